"""Tables as values: what a row, a column and a profile mean together."""

from __future__ import annotations

import dataclasses
import importlib
import json
import time
from pathlib import Path

import pytest

from assay.errors import UserError
from assay.execution.plan import make_plan
from assay.overrides import Override
from assay.places import Places
from assay.presets import quick
from assay.results.layout import Counted
from assay.store.local import LocalStore
from assay.study import Nested, PaperRow, Profile, Row, Study, Table, grid, leave_one_out, one_at_a_time, paper
from assay.study.cells import Selection, cells_of, profile_of
from assay.study.layouts import layout_of
from assay.study.paper import paper_number

STUDIES = [
    module.STUDY
    for path in sorted((Path(__file__).parents[2] / "studies").glob("*.py"))
    if hasattr(module := importlib.import_module(f"studies.{path.stem}"), "STUDY")
]


def study(*rows: Row, columns: tuple[str, ...] = ("1/16(92)", "1/8(183)"), **profile: object) -> Study:
    data = {"1/16(92)": {"data.split.labeled": "1/16"}, "1/8(183)": {"data.split.labeled": "1/8"}}
    made = {
        "name": "quick",
        "note": "drawn",
        "start": quick,
        "columns": {column: changes for column, changes in data.items() if column in columns},
        "seeds": (0, 1),
        **profile,
    }
    table = Table(name="mkd.table1", rows=rows, columns=columns, reference=rows[0].label)
    return Study(name="s", title="S", tables=(table,), profiles=(Profile(**made),))


def cells(of: Study, **choice: object):
    return cells_of(of, of.profiles[0], Selection(**choice))


SUPERVISED = Row("Supervised", {"method": "supervised"}, paper="SupOnly-R101")
CPS = Row("CPS", {"method": "cps"}, paper="CPS-R101 [5]")


@pytest.mark.parametrize("of", STUDIES, ids=lambda each: each.name)
def test_every_row_and_column_of_every_study_stands_in_its_paper(of: Study) -> None:
    for table in of.tables:
        for row in table.rows:
            for column in table.columns:
                paper_number(table, row, column)
        assert table.reference in [row.label for row in table.rows]


@pytest.mark.parametrize("of", STUDIES, ids=lambda each: each.name)
def test_every_profile_maps_columns_that_are_there_and_every_cell_is_a_checked_value(of: Study) -> None:
    known = {column for table in of.tables for column in table.columns}
    known |= {f"{table.name}/{column}" for table in of.tables for column in table.columns}
    for profile in of.profiles:
        assert set(profile.columns) <= known
        assert cells_of(of, profile, Selection())
        layout_of(of, profile)


def test_a_number_is_found_by_table_row_and_column_and_a_slip_offers_the_nearest() -> None:
    assert paper.number("mkd.table1", "SupOnly-R101", "1/16(92)") == 45.77
    assert paper.number("mkd.table1", "MT-R101 [31]", "Full(1464)") is None
    # Two data sets have rows of one label.
    assert paper.number("mkd.table2", "SupOnly", "R101 1/16(662)") is not None
    assert paper.number("mkd.table2", "SupOnly", "R101 1/16(186)") is not None
    for name, row, column in (
        ("mkd.table9", "SupOnly-R101", "1/16(92)"),
        ("mkd.table1", "SupOnly-R102", "1/16(92)"),
        ("mkd.table1", "SupOnly-R101", "1/16(93)"),
    ):
        with pytest.raises(UserError, match="did you mean"):
            paper.number(name, row, column)


def printed_numbers() -> list[tuple[str, str, dict, str, float | None]]:
    """Every number of every table, read off the file itself."""
    papers = json.loads((Path(paper.__file__).parent / "papers.json").read_text(encoding="utf-8"))
    return [
        (f"{name}.{number}", row["label"], row.get("factors", {}), column, value)
        for name, tables in papers.items()
        if name != "_meta"
        for number, table in tables.items()
        for row in table["rows"]
        for column, value in row["values"].items()
    ]


def test_every_number_of_the_papers_is_reached_by_its_table_row_and_column() -> None:
    every = printed_numbers()
    assert len(every) > 500
    for name, label, factors, column, value in every:
        assert paper.number(name, label, column, factors) == value, (name, label, factors, column)


def test_sizes_are_found_by_table_and_row_where_the_paper_prints_them() -> None:
    found = paper.counted("mgd.table3", "CPS [7] / ResNet-101 (T_D)")
    assert found == Counted(params=pytest.approx(42.63e6), macs=pytest.approx(144.32e9), crop="800x800")
    assert paper.counted("mgd.table2", "CPS [7] / ResNet-101") is None
    with pytest.raises(UserError, match="did you mean"):
        paper.counted("mgd.table3", "CPS [7] / ResNet-102 (T_D)")


def test_a_table_is_laid_out_with_the_papers_sizes_if_it_asks_for_them() -> None:
    row = Row("MGD", {"method": "supervised"}, paper="Ours (MGD) / ResNet-18")
    table = Table(name="mgd.table1", rows=(row, Row("another", {"method": "cps"})), columns=("1/8(1323)",))
    profile = Profile(name="quick", note="drawn", start=quick, columns={"1/8(1323)": {}})
    for counts, sizes in ((None, [None, None]), ("encoder", [(11.19e6, 17.2e9, "512x512"), None])):
        of = Study(
            name="s", title="S", tables=(dataclasses.replace(table, count_flops_of=counts),), profiles=(profile,)
        )
        (made,) = layout_of(of, profile).tables
        assert made.count_flops_of == counts
        assert [each.counted and dataclasses.astuple(each.counted) for each in made.rows] == sizes


def test_rows_of_one_label_and_column_are_told_apart_by_their_marks_or_refused() -> None:
    marks = {"mscoco_pretraining": True}
    assert paper.number("three_stage.table2", "Ours", "1/8", marks) == 72.95
    assert paper.number("three_stage.table2", "Ours", "1/8", {"mscoco_pretraining": False}) == 69.36
    with pytest.raises(UserError, match=r"2 rows 'Ours'.*mscoco_pretraining"):
        paper.number("three_stage.table2", "Ours", "1/8")
    with pytest.raises(UserError, match=r"no row 'Ours'.*has the marks"):
        paper.number("three_stage.table2", "Ours", "1/8", {"mscoco": True})
    row = Row("with COCO", {"method": "supervised"}, paper=PaperRow("Ours", marks))
    table = Table(name="three_stage.table2", rows=(row,), columns=("1/8",))
    assert paper_number(table, row, "1/8") == 72.95


def test_a_profile_with_a_misspelt_column_is_refused() -> None:
    of = study(SUPERVISED, seeds=(0,))
    profile = dataclasses.replace(of.profiles[0], columns={"1/16(93)": {}})
    with pytest.raises(UserError, match=r"profile quick, columns: there is no '1/16\(93\)'; did you mean '1/16\(92\)'"):
        dataclasses.replace(of, profiles=(profile,)).check()


def test_a_teacher_that_one_method_names_twice_is_needed_once(tmp_path: Path) -> None:
    teacher = Nested({"method": "supervised"}, seed=7)
    of = study(Row("twice", {"method": "kd", "method.teachers": (teacher, teacher)}), seeds=(0,))
    plan = make_plan(cells(of, columns=("1/8(183)",)), LocalStore(tmp_path), Places())
    assert [node.needed_by for node in plan.nodes.values()] == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method.wieght=1", r"none of the chosen rows' methods \(supervised, cps\).*did you mean 'weight'"),
        ("method.weight=1", r"rows 'Supervised' \(supervised\) have no field 'weight'.*--rows CPS"),
    ],
)
def test_a_change_of_a_field_that_some_methods_lack_names_rows_that_have_it(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cells(study(SUPERVISED, CPS), overrides=(Override.parse(text),))
    assert cells(study(SUPERVISED, CPS), rows=("CPS",), overrides=(Override.parse("method.weight=1"),))


def test_what_stands_later_wins_and_the_command_line_last() -> None:
    row = Row(
        "r",
        {"method": "cps", "method.weight": 2.0, "recipe.steps": 30},
        by_column={"1/8(183)": {"method.weight": 3.0}},
    )
    of = study(row, changes={"recipe.steps": 10, "recipe.labeled_batch": 4})
    first, second = cells(of, seeds=(0,))
    assert (first.experiment.method.weight, second.experiment.method.weight) == (2.0, 3.0)
    assert first.experiment.recipe.steps == 30 and first.experiment.recipe.labeled_batch == 4
    changed = cells(of, seeds=(0,), overrides=(Override.parse("recipe.steps=50"),))[0]
    assert changed.experiment.recipe.steps == 50
    assert "recipe.steps=50" in changed.not_comparable and first.not_comparable == ""


@pytest.mark.parametrize(
    ("choice", "nearest"),
    [
        ({"tables": ("mkd.tabel1",)}, "mkd.table1"),
        ({"rows": ("CSP",)}, "CPS"),
        ({"columns": ("1/16(93)",)}, "1/16(92)"),
    ],
)
def test_a_misspelt_name_offers_the_nearest(choice: dict[str, tuple[str, ...]], nearest: str) -> None:
    with pytest.raises(UserError, match=f"did you mean '{nearest[:3]}"):
        cells(study(SUPERVISED, CPS), **choice)


def test_seeds_are_chosen_by_their_own_flag() -> None:
    with pytest.raises(UserError, match="--seeds"):
        cells(study(SUPERVISED), overrides=(Override.parse("seed=5"),))


def test_a_column_that_the_profile_does_not_map_is_never_run() -> None:
    of = study(SUPERVISED, columns=("1/16(92)", "1/4(366)"))
    assert {cell.column for cell in cells(of)} == {"1/16(92)"}
    with pytest.raises(UserError, match=r"no data for '1/4\(366\)'"):
        cells(of, columns=("1/4(366)",))


def test_a_profile_that_is_not_there_offers_the_others() -> None:
    with pytest.raises(UserError, match="did you mean 'quick'"):
        profile_of(study(SUPERVISED), "quik")


def test_helpers_write_the_rows_of_common_ablations() -> None:
    off = {"a": {"method.weight": 0.0}, "b": {"method.on_labeled": False}}
    rows = leave_one_out(off, base={"method": "cps"})
    assert [row.label for row in rows] == ["all", "without a", "without b"]
    assert rows[2].changes == {"method": "cps", "method.on_labeled": False}
    rows = one_at_a_time({"method.weight": (1, 2)}, base={"method": "cps"})
    assert [row.label for row in rows] == ["default", "weight = 1", "weight = 2"]
    rows = grid({"method.weight": (1, 2), "recipe.steps": (3, 4)})
    assert len(rows) == 4 and rows[-1].changes == {"method.weight": 2, "recipe.steps": 4}


def test_an_experiment_inside_a_row_has_the_cells_data_and_its_own_seed(tmp_path: Path) -> None:
    teacher = Nested({"method": "supervised"}, seed=7)
    tied = Nested({"method": "supervised"})
    rows = (
        SUPERVISED,
        Row("fixed", {"method": "kd", "method.teachers": (teacher,)}),
        Row("hot", {"method": "kd", "method.teachers": (teacher,), "method.temperature": 4.0}),
        Row("tied", {"method": "kd", "method.teachers": (tied,)}),
    )
    of = study(*rows)
    made = cells(of, columns=("1/8(183)",), overrides=(Override.parse("recipe.steps=5"),))
    inner = {(cell.row, cell.seed): cell.experiment.method.teachers[0] for cell in made if cell.row != "Supervised"}
    assert {each.data.split.labeled for each in inner.values()} == {"1/8"}
    assert {each.recipe.steps for each in inner.values()} == {5}, "--set changes what stands inside as well"
    assert inner["fixed", 0].seed == inner["fixed", 1].seed == 7
    assert [inner["tied", seed].seed for seed in (0, 1)] == [0, 1]
    plan = make_plan(made, LocalStore(tmp_path), Places())
    # Four rows of two seeds, of which the tied teachers are the supervised row's own trainings; one teacher more.
    assert len(made) == 8 and len(plan.nodes) == 9
    (shared,) = (node for node in plan.nodes.values() if node.resolved.experiment.seed == 7)
    assert shared.needed_by == 4 and shared.cells == 0
    order = list(plan.nodes)
    for node in plan.nodes.values():
        assert all(order.index(each.key) < order.index(node.key) for each in node.resolved.inputs.values())
    json.dumps([cell.experiment.to_json() for cell in made])


def test_equal_experiments_of_different_rows_are_one(tmp_path: Path) -> None:
    twin = Row("again", {"method": "supervised", "recipe.unlabeled_batch": 4})
    plan = make_plan(cells(study(SUPERVISED, twin)), LocalStore(tmp_path), Places())
    assert len(plan.nodes) == 4, "Supervised does not read unlabelled images, however many there are"
    assert {node.cells for node in plan.nodes.values()} == {2}


def test_a_plan_of_ten_thousand_cells_is_made_in_seconds(tmp_path: Path) -> None:
    rows = tuple(Row(f"w{n}", {"method": "cps", "method.weight": 0.01 * n}) for n in range(1000))
    of = study(SUPERVISED, *rows, seeds=(0, 1, 2, 3, 4))
    began = time.process_time()
    plan = make_plan(cells(of), LocalStore(tmp_path), Places())
    took = time.process_time() - began
    assert len(plan.nodes) == 10_010
    assert took < 5, f"{took:.1f} s"
