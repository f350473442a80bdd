"""`--set` on a path in which rows differ makes them equal, and says so."""

from __future__ import annotations

from assay.overrides import Override
from assay.presets import quick
from assay.study import Profile, Row, Study, Table
from assay.study.cells import Selection, cells_of
from assay.study.equal_rows import rows_made_equal

ROWS = (
    Row("weak", {"method": "cps", "method.weight": 0.5}),
    Row("strong", {"method": "cps", "method.weight": 1.5}),
    Row("same as strong", {"method": "cps", "method.weight": 1.5}),
    Row("supervised", {"method": "supervised"}),
)
PROFILE = Profile(name="quick", note="drawn", start=quick, columns={"1/16(92)": {}}, seeds=(0, 1))
STUDY = Study(
    name="s",
    title="S",
    tables=(Table(name="mkd.table1", columns=("1/16(92)",), rows=ROWS),),
    profiles=(PROFILE,),
)


def texts(*overrides: str, rows: tuple[str, ...] = ()) -> list[str]:
    selection = Selection(rows=rows, overrides=tuple(Override.parse(text) for text in overrides))
    cells = cells_of(STUDY, PROFILE, selection)
    return [each.text() for each in rows_made_equal(STUDY, PROFILE, selection, cells)]


CPS = ("weak", "strong", "same as strong")


def test_rows_that_set_makes_equal_are_named_with_the_override() -> None:
    assert texts("method.weight=2", rows=CPS) == [
        "--set method.weight=2 makes the rows 'weak', 'strong' and 'same as strong' of mkd.table1 the same trainings;"
        " they are not compared"
    ]


def test_rows_that_are_equal_without_set_are_not_its_work() -> None:
    assert texts(rows=CPS) == []
    assert texts("recipe.steps=7", rows=CPS) == []


def test_rows_that_differ_in_an_unused_field_alone_are_equal() -> None:
    rows = (
        Row("no teachers", {"method": "mkd", "method.teaching": "none"}),
        Row("mutual", {"method": "mkd", "method.weight_teachers": 0.36}),
        Row("mutual, T = 0.5", {"method": "mkd", "method.weight_teachers": 0.36, "method.threshold_teachers": 0.5}),
    )
    study = Study(
        name="s",
        title="S",
        tables=(Table(name="mkd.table1", columns=("1/16(92)",), rows=rows),),
        profiles=(PROFILE,),
    )
    selection = Selection(overrides=(Override.parse("method.weight_teachers=0"),))
    (equal,) = rows_made_equal(study, PROFILE, selection, cells_of(study, PROFILE, selection))
    assert equal.rows == ("no teachers", "mutual", "mutual, T = 0.5")


def test_rows_that_are_equal_in_some_columns_name_these() -> None:
    rows = (
        Row("weak", {"method": "cps", "method.weight": 0.5}),
        Row("strong", {"method": "cps", "method.weight": 1.5}, by_column={"1/8(183)": {"recipe.steps": 7}}),
    )
    columns = {"1/16(92)": {}, "1/8(183)": {"data.split.labeled": "1/8"}}
    profile = Profile(name="quick", note="drawn", start=quick, columns=columns, seeds=(0,))
    table = Table(name="mkd.table1", columns=tuple(columns), rows=rows)
    study = Study(name="s", title="S", tables=(table,), profiles=(profile,))
    selection = Selection(overrides=(Override.parse("method.weight=2"),))
    (equal,) = rows_made_equal(study, profile, selection, cells_of(study, profile, selection))
    assert equal.columns == ("1/16(92)",)
    assert "of mkd.table1, columns 1/16(92), the same trainings" in equal.text()


def test_a_replaced_method_makes_all_rows_equal() -> None:
    (text,) = texts("method=supervised")
    assert all(repr(row.label) in text for row in ROWS)
