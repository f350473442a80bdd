"""Tables as values: the helpers that write rows, and the slips of a study's author."""

from __future__ import annotations

import itertools

import pytest

from assay.errors import UserError
from assay.presets import quick
from assay.study import Profile, Row, Study, Table, grid, leave_one_out, one_at_a_time


def study(*rows: Row, profile: dict | None = None, **table: object) -> Study:
    made = {"name": "mkd.table1", "columns": ("1/16(92)", "1/8(183)"), "rows": rows, **table}
    profiles = (Profile(name="quick", note="drawn", start=quick, columns={"1/16(92)": {}}, **(profile or {})),)
    return Study(name="s", title="S", tables=(Table(**made),), profiles=profiles)


FIRST, SECOND = Row("first", {"method": "supervised"}), Row("second", {"method": "cps"})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: study(FIRST, FIRST), "two rows called 'first'"),
        (lambda: study(FIRST, columns=("1/16(92)", "1/16(92)")), "two columns called '1/16(92)'"),
        (lambda: study(FIRST, SECOND, reference="fisrt"), "no row 'fisrt'; did you mean 'first'"),
        (lambda: study(Row("first", by_column={"1/16(93)": {}})), "no column '1/16(93)'; did you mean '1/16(92)'"),
        (lambda: study(Row("first", {"seed": 3})), "changes seed"),
        (lambda: study(Row("first", by_column={"1/16(92)": {"seed": 3}})), "changes seed"),
        (lambda: study(FIRST, changes={"seed": 3}), "changes seed"),
        (lambda: study(FIRST, profile={"tables": ("mkd.table2",)}), "no 'mkd.table2'; did you mean 'mkd.table1'"),
        (lambda: study(FIRST, profile={"shown": ("1/8(184)",)}), "no column '1/8(184)'; did you mean '1/8(183)'"),
        (lambda: study(FIRST, profile={"shown_rows": ("fisrt",)}), "no row 'fisrt'; did you mean 'first'"),
        (
            lambda: study(FIRST, profile={"cells": {"mkd.table1/first/1/8(184)": {}}}),
            "no 'mkd.table1/first/1/8(184)'; did you mean 'mkd.table1/first/1/8(183)'",
        ),
    ],
)
def test_a_name_that_means_nothing_or_two_things_is_refused(made, message: str) -> None:
    with pytest.raises(UserError) as caught:
        made().check()
    assert message in str(caught.value)


def test_two_tables_or_two_profiles_of_one_name_are_refused() -> None:
    good = study(FIRST, SECOND, reference="first")
    good.check()
    twice = {"name": "s", "title": "S", "tables": good.tables, "profiles": good.profiles}
    with pytest.raises(UserError, match="two tables"):
        Study(**twice | {"tables": good.tables * 2}).check()
    with pytest.raises(UserError, match="two profiles"):
        Study(**twice | {"profiles": good.profiles * 2}).check()


def test_the_papers_table_is_the_first_two_parts_of_a_tables_name() -> None:
    for name in ("mgd.table1", "mgd.table1.shapes"):
        assert study(FIRST, name=name).tables[0].paper == "mgd.table1"


def test_a_column_of_one_table_goes_before_the_column_of_all() -> None:
    profile = Profile(name="p", note="", start=quick, columns={"c": {"a": 1}, "t/c": {"a": 2}})
    assert profile.column("t", "c") == {"a": 2} and profile.column("u", "c") == {"a": 1}
    assert profile.column("t", "d") is None


def test_leaving_one_out_switches_off_one_part_in_each_row() -> None:
    parts = {"cutmix": {"method.cutmix": "none"}, "labels": {"method.on_labeled": False}}
    rows = leave_one_out(parts, base={"method": "cps"}, full="everything")
    assert [(row.label, row.changes) for row in rows] == [
        ("everything", {"method": "cps"}),
        ("without cutmix", {"method": "cps", "method.cutmix": "none"}),
        ("without labels", {"method": "cps", "method.on_labeled": False}),
    ]


def test_one_at_a_time_changes_one_path_in_each_row() -> None:
    base = {"method": "cps", "method.weight": 1.5}
    rows = one_at_a_time({"method.weight": (1.0, 2.0), "recipe.steps": (5,)}, base=base)
    assert [(row.label, row.changes) for row in rows] == [
        ("default", base),
        ("weight = 1.0", {"method": "cps", "method.weight": 1.0}),
        ("weight = 2.0", {"method": "cps", "method.weight": 2.0}),
        ("steps = 5", base | {"recipe.steps": 5}),
    ]


def test_a_grid_has_every_combination_once_the_last_path_running_fastest() -> None:
    rows = grid({"method.weight": (1, 2, 3), "recipe.steps": (4, 5)}, base={"method": "cps"})
    expected = [
        (f"weight = {weight}, steps = {steps}", {"method": "cps", "method.weight": weight, "recipe.steps": steps})
        for weight, steps in itertools.product((1, 2, 3), (4, 5))
    ]
    assert [(row.label, row.changes) for row in rows] == expected
