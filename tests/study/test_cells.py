"""From tables to cells: which of them are run, and what wins where changes meet."""

from __future__ import annotations

import pytest

from assay.errors import UserError
from assay.overrides import Override
from assay.presets import quick
from assay.study import Nested, Profile, Row, Study, Table
from assay.study.cells import Cell, Selection, cells_of
from assay.study.layouts import layout_of

FEW, MORE, ALL = "1/16(92)", "1/8(183)", "Full(1464)"
OTHER = "R50 1/16(662)"
PATH = "recipe.optimizer.lr"


def study(row: Row, *, table: dict | None = None, **profile: object) -> Study:
    first = {"name": "mkd.table1", "columns": (FEW, MORE, ALL), "rows": (row, Row("plain", {"method": "supervised"}))}
    second = Table(name="mkd.table2", columns=(OTHER,), rows=(Row("elsewhere", {"method": "supervised"}),))
    made = {
        "name": "quick",
        "note": "drawn",
        "start": quick,
        "columns": {FEW: {}, MORE: {}, OTHER: {}},
        "seeds": (3, 5),
        **profile,
    }
    tables = (Table(**first | (table or {})), second)
    return Study(name="s", title="S", tables=tables, profiles=(Profile(**made),))


def cells(of: Study, **choice: object) -> list[Cell]:
    return cells_of(of, of.profiles[0], Selection(**choice))


def rate(of: Study, column: str, **choice: object) -> float:
    (found,) = {cell.experiment.recipe.optimizer.lr for cell in cells(of, columns=(column,), rows=("row",), **choice)}
    return found


def test_changes_win_in_the_order_profile_table_column_row_rows_column_profiles_cell_command_line() -> None:
    layers: dict[str, object] = {"row": Row("row", {"method": "cps"})}
    assert rate(study(**layers), FEW) == quick()[2].optimizer.lr
    layers["changes"] = {PATH: 0.1}
    assert rate(study(**layers), FEW) == 0.1
    layers["table"] = {"changes": {PATH: 0.2}}
    assert rate(study(**layers), FEW) == 0.2
    layers["columns"] = {FEW: {PATH: 0.3}, MORE: {}}
    assert (rate(study(**layers), FEW), rate(study(**layers), MORE)) == (0.3, 0.2)
    layers["row"] = Row("row", {"method": "cps", PATH: 0.4})
    assert rate(study(**layers), FEW) == 0.4
    layers["row"] = Row("row", {"method": "cps", PATH: 0.4}, by_column={FEW: {PATH: 0.5}})
    assert (rate(study(**layers), FEW), rate(study(**layers), MORE)) == (0.5, 0.4)
    layers["cells"] = {f"mkd.table1/row/{FEW}": {PATH: 0.55}}
    assert (rate(study(**layers), FEW), rate(study(**layers), MORE)) == (0.55, 0.4)
    assert rate(study(**layers), FEW, overrides=(Override.parse(f"{PATH}=0.6"),)) == 0.6


def test_the_command_line_makes_cells_incomparable_and_says_why_beside_what_the_profile_says() -> None:
    changed = (Override.parse("recipe.steps=7"), Override.parse(f"{PATH}=0.6"))
    plain = study(Row("row", {"method": "cps"}))
    assert {cell.not_comparable for cell in cells(plain)} == {""}
    (reasons,) = {cell.not_comparable for cell in cells(plain, overrides=changed)}
    assert reasons == f"changed by --set: recipe.steps=7, {PATH}=0.6"
    drawn = study(Row("row", {"method": "cps"}), not_comparable="trained on drawn textures")
    (reasons,) = {cell.not_comparable for cell in cells(drawn, overrides=changed[:1])}
    assert reasons == "trained on drawn textures; changed by --set: recipe.steps=7"
    assert cells(plain, overrides=changed[:1])[0].changes == {"method": "cps", "recipe.steps": "7"}


def test_what_a_row_or_a_column_has_otherwise_than_the_papers_makes_its_cells_incomparable() -> None:
    of = study(
        Row("row", {"method": "cps"}, not_comparable="its base is not stated"),
        table={"not_comparable": {MORE: "pool not stated"}},
        not_comparable="drawn",
        columns={FEW: {}, MORE: {}},
    )
    reasons = {
        (cell.row, cell.column): cell.not_comparable
        for cell in cells(of, overrides=(Override.parse("recipe.steps=7"),))
    }
    assert reasons == {
        ("row", FEW): "drawn; its base is not stated; changed by --set: recipe.steps=7",
        ("row", MORE): "drawn; pool not stated; its base is not stated; changed by --set: recipe.steps=7",
        ("plain", FEW): "drawn; changed by --set: recipe.steps=7",
        ("plain", MORE): "drawn; pool not stated; changed by --set: recipe.steps=7",
    }


def test_a_row_that_is_not_the_papers_is_not_comparable_and_the_report_knows_it() -> None:
    of = study(Row("row", {"method": "cps"}, not_the_papers="CutMix alone"), not_comparable="drawn")
    assert {cell.not_comparable for cell in cells(of, rows=("row",))} == {"drawn; CutMix alone"}
    assert [row.not_the_papers for row in layout_of(of, of.profiles[0]).tables[0].rows] == ["CutMix alone", ""]


def test_rows_that_are_one_training_in_a_profile_name_each_other() -> None:
    of = study(Row("row", {"method": "supervised"}, notes=("of ours",)))
    labelled = {row.label: row.notes for row in layout_of(of, of.profiles[0]).tables[0].rows}
    assert labelled == {"row": ("of ours", "the same training as plain"), "plain": ("the same training as row",)}
    apart = study(Row("row", {"method": "supervised"}), rows={"row": {"net.encoder.width": 8}})
    assert {row.notes for row in layout_of(apart, apart.profiles[0]).tables[0].rows} == {()}


def test_seeds_are_the_profiles_unless_others_are_chosen() -> None:
    of = study(Row("row", {"method": "cps"}))
    assert [cell.seed for cell in cells(of, rows=("row",), columns=(FEW,))] == [3, 5]
    chosen = cells(of, rows=("row",), columns=(FEW,), seeds=(9,))
    assert [(cell.seed, cell.experiment.seed) for cell in chosen] == [(9, 9)]
    with pytest.raises(UserError, match="seed"):
        cells(of, seeds=(-1,))
    with pytest.raises(UserError, match="--seeds"):
        cells(of, overrides=(Override.parse("seed=4"),))


def test_rows_that_a_profile_shows_are_run_unless_others_are_chosen() -> None:
    def rows(of: Study, **choice: object) -> set[str]:
        return {cell.row for cell in cells(of, **choice)}

    of = study(Row("row", {"method": "cps"}), shown_rows=("plain",))
    assert rows(of) == {"plain"} and rows(of, columns=(FEW,)) == {"plain"}
    assert rows(of, rows=("row",)) == {"row"}
    assert rows(of, tables=("mkd.table1",)) == {"plain"}
    assert rows(of, tables=("mkd.table2",)) == {"elsewhere"}, "a table without a shown row runs whole where it is named"


def test_a_column_that_the_profile_does_not_map_is_laid_out_as_quoted_and_not_run() -> None:
    of = study(Row("row", {"method": "cps"}))
    assert ALL not in {cell.column for cell in cells(of)}
    columns = {each.label: each for each in layout_of(of, of.profiles[0]).tables[0].columns}
    assert columns[ALL].note == "quoted: not trained in this profile" and "quoted" not in columns[FEW].note
    assert columns[FEW].same_as == (MORE,) and columns[ALL].same_as == ()


def test_the_profile_says_which_tables_and_columns_are_run_when_none_are_chosen() -> None:
    of = study(Row("row", {"method": "cps"}), tables=("mkd.table1",), shown=(FEW,))
    assert {(cell.table, cell.column) for cell in cells(of)} == {("mkd.table1", FEW)}
    assert {cell.column for cell in cells(of, columns=(MORE,))} == {MORE}


def test_a_table_asked_for_by_name_is_run_though_the_profile_shows_none_of_its_columns() -> None:
    of = study(Row("row", {"method": "cps"}), tables=("mkd.table1",), shown=(FEW,))
    chosen = cells(of, tables=("mkd.table2",))
    assert {(cell.table, cell.column) for cell in chosen} == {("mkd.table2", OTHER)}
    both = {(cell.table, cell.column) for cell in cells(of, tables=("mkd.table1", "mkd.table2"))}
    assert both == {("mkd.table1", FEW), ("mkd.table2", OTHER)}


def test_a_choice_that_leaves_nothing_to_train_is_a_mistake() -> None:
    of = study(Row("row", {"method": "cps"}))
    with pytest.raises(UserError, match=r"nothing of mkd\.table1, mkd\.table2 is left to train"):
        cells(of, rows=("elsewhere",), columns=(FEW,))
    quoted = study(Row("row", {"method": "cps"}), columns={OTHER: {}})
    with pytest.raises(UserError, match="only quotes these columns"):
        cells(quoted, tables=("mkd.table1",))


def test_a_misspelt_path_in_a_row_names_the_row_and_the_nearest_field() -> None:
    with pytest.raises(UserError, match=r"row 'row'.*method\.wieght") as caught:
        cells(study(Row("row", {"method": "cps", "method.wieght": 2.0})))
    assert "did you mean 'weight'" in str(caught.value)


def test_a_change_of_the_method_reaches_the_student_and_not_its_teachers() -> None:
    student_of = {"method": "kd", "method.teachers": (Nested({"method": "cps", "method.weight": 1.5}),)}
    of = study(Row("row", student_of, by_column={MORE: {"method.weight": 4.0}}))
    student = cells(of, rows=("row",), columns=(MORE,))[0].experiment.method
    assert (student.weight, student.teachers[0].method.weight) == (4.0, 1.5)
    student = cells(of, rows=("row",), overrides=(Override.parse("method.weight=8"),))[0].experiment.method
    assert (student.weight, student.teachers[0].method.weight) == (8.0, 1.5)


def test_teachers_stand_on_the_cells_own_column() -> None:
    student_of = {"method": "kd", "method.teachers": (Nested({"method": "supervised"}, seed=0),)}
    columns = {FEW: {"data.split.labeled": "1/16"}, MORE: {"data.split.labeled": "1/8"}}
    for cell in cells(study(Row("row", student_of), columns=columns), rows=("row",)):
        (teacher,) = cell.experiment.method.teachers
        assert teacher.data == cell.experiment.data and teacher.seed == 0
