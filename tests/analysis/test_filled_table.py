"""Cells: the right statistics in the right places, and no made-up numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import pandas as pd
import pytest
from drawn_study import frame_of, line

from assay.analysis.filled_table import FilledCell, FilledTable, fill
from assay.report.formatting import cell_text
from assay.results.layout import ColumnLayout, Counted, RowLayout, TableLayout

NAN = float("nan")
T_OF_TWO = 4.302652729749464  # the 97.5 % quantile of Student's t with two degrees of freedom, from a printed table


def layout(*rows: str, columns: tuple[str, ...] = ("a",), reference: str | None = None) -> TableLayout:
    return TableLayout(
        name="t",
        title="T",
        rows=tuple(RowLayout(label=row) for row in rows),
        columns=tuple(ColumnLayout(label=column) for column in columns),
        reference=reference,
    )


def table(values: Mapping[str, Mapping[int, float]], reference: str | None = None) -> FilledTable:
    """Return a table of one column from each row's mIoU by seed."""
    lines = [
        line("t", row, "a", seed, miou=miou, miou_best=miou + 1)
        for row, by_seed in values.items()
        for seed, miou in by_seed.items()
    ]
    return fill(frame_of(lines), layout(*values, reference=reference))


def cell_of(*lines: dict) -> FilledCell:
    """Return the cell of some lines of results."""
    return next(fill(frame_of(list(lines)), layout("r")).cells())


def test_a_cell_has_mean_spread_and_t_interval_of_its_seeds() -> None:
    cell = next(table({"r": {0: 60.0, 1: 62.0, 2: 64.0}}).cells())
    half = T_OF_TWO * 2 / math.sqrt(3)
    assert (cell.last.mean, cell.last.sd) == (62.0, 2.0)
    assert cell.last.low == pytest.approx(62 - half)
    assert cell.last.high == pytest.approx(62 + half)


def test_the_best_checkpoints_stand_beside_the_last() -> None:
    assert next(table({"r": {0: 60.0, 1: 62.0}}).cells()).best.mean == 62.0


def test_delta_is_ours_less_the_papers() -> None:
    assert cell_of(line("t", "r", "a", 0, miou=60.0, paper_miou=61.5)).delta == -1.5


def test_a_failed_seed_has_no_number_and_counts_as_planned() -> None:
    cell = cell_of(
        line("t", "r", "a", 0, miou=60.0),
        line("t", "r", "a", 1, status="failed", error="no memory", miou=NAN),
        line("t", "r", "a", 2, miou=64.0),
    )
    assert (cell.done, cell.planned, cell.last.n, cell.last.mean) == (2, 3, 2, 62.0)
    assert [run.error for run in cell.runs] == ["", "no memory", ""]


@pytest.mark.parametrize("state", ["failed", "blocked", "running", "waiting"])
def test_a_number_that_an_unfinished_seed_left_behind_does_not_count(state: str) -> None:
    cell = cell_of(line("t", "r", "a", 0, status=state, miou=70.0, miou_best=71.0))
    assert (cell.done, cell.count(state), cell.last.mean, cell.best.mean) == (0, 1, None, None)


def test_a_finished_seed_without_a_number_counts_as_failed_with_its_reason() -> None:
    cell = cell_of(line("t", "r", "a", 0, miou=NAN))
    assert (cell.done, cell.count("failed")) == (0, 1)
    assert "finite" in cell.runs[0].error


def test_a_quoted_cell_has_the_papers_number_and_no_seeds() -> None:
    cell = cell_of(line("t", "r", "a", None, paper_miou=57.6))
    assert (cell.planned, cell.paper, cell.delta) == (0, 57.6, None)


def test_cells_stand_in_the_layouts_order_whatever_the_frames() -> None:
    lines = [line("t", row, column, 0, miou=50.0) for row in ("y", "x") for column in ("b", "a")]
    filled = fill(frame_of(lines), layout("x", "y", columns=("a", "b")))
    assert [(cell.row, cell.column) for cell in filled.cells()] == [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")]


def test_lines_of_other_tables_are_left_out() -> None:
    assert cell_of(line("t", "r", "a", 0, miou=50.0), line("other", "r", "a", 1, miou=90.0)).last.mean == 50.0


def test_every_kind_of_absent_value_is_absent() -> None:
    frame = frame_of([line("t", "r", "a", 0, miou=50.0), line("t", "r", "a", 1, miou=52.0)])
    frame["error"] = pd.array([None, pd.NA], dtype="string")
    frame["macs"] = pd.array([None, 7], dtype="Int64")
    cell = next(fill(frame, layout("r")).cells())
    assert [run.error for run in cell.runs] == ["", ""]
    assert cell.counted is not None and cell.counted.macs == 7


def test_a_table_counts_whole_networks_or_the_part_that_it_names() -> None:
    frame = frame_of([line("t", "r", "a", 0, miou=50.0)])
    counted = [
        next(fill(frame, dataclasses.replace(layout("r"), count_flops_of=part)).cells()).counted
        for part in (None, "network", "encoder")
    ]
    whole, encoder = Counted(params=1.2e5, macs=2.4e7, crop="32x32"), Counted(params=9e4, macs=2e7, crop="32x32")
    assert counted == [whole, whole, encoder]


def test_a_result_from_before_encoders_were_counted_has_no_size_in_a_table_that_counts_them() -> None:
    frame = frame_of([line("t", "r", "a", 0, miou=50.0, encoder_params=None, encoder_macs=None)])
    cell = next(fill(frame, dataclasses.replace(layout("r"), count_flops_of="encoder")).cells())
    assert cell.done == 1 and cell.counted is None


def test_a_deviation_of_all_seeds_stands_once() -> None:
    lines = [line("t", "r", "a", seed, miou=50.0, comparable=False, differs="crop") for seed in (0, 1)]
    cell = cell_of(*lines)
    assert (cell.comparable, cell.not_comparable) == (False, "crop")


def test_differences_are_of_equal_seeds() -> None:
    filled = table({"r": {0: 50.0, 1: 60.0, 2: 70.0}, "x": {0: 51.0, 1: 62.0, 2: 73.0}}, reference="r")
    pair = filled.rows[1][0].comparison.paired
    half = T_OF_TWO * 1 / math.sqrt(3)
    assert (pair.n, pair.mean, pair.sd) == (3, 2.0, 1.0)
    assert (pair.low, pair.high) == (pytest.approx(2 - half), pytest.approx(2 + half))
    assert (pair.p, pair.smallest_p) == (0.25, 0.25)  # of 8 flips only +++ and --- are as far from 0


def test_seeds_that_only_one_of_two_rows_has_are_not_compared() -> None:
    filled = table({"r": {0: 50.0, 1: 60.0, 3: 99.0}, "x": {0: 51.0, 1: 62.0, 2: 0.0}}, reference="r")
    pair = filled.rows[1][0].comparison.paired
    assert (pair.n, pair.mean) == (2, 1.5)


def test_holm_corrects_over_the_comparisons_of_a_column() -> None:
    rows = {"r": {0: 50.0, 1: 50.0, 2: 50.0}, "x": {0: 51.0, 1: 52.0, 2: 53.0}, "y": {0: 51.0, 1: 53.0, 2: 49.0}}
    filled = table(rows, reference="r")
    better, mixed = filled.rows[1][0].comparison, filled.rows[2][0].comparison
    assert (better.paired.p, mixed.paired.p) == (0.25, 0.75)
    assert (better.holm, mixed.holm) == (0.5, 0.75)
    assert (better.family, mixed.family) == (2, 2)


def test_one_seed_is_no_test_and_leaves_the_correction_of_the_others_alone() -> None:
    rows = {"r": {0: 50.0, 1: 50.0, 2: 50.0}, "x": {0: 51.0, 1: 52.0, 2: 53.0}, "y": {0: 51.0}}
    filled = table(rows, reference="r")
    assert filled.rows[1][0].comparison.holm == 0.25
    assert filled.rows[2][0].comparison.holm is None
    assert filled.rows[2][0].comparison.paired.mean == 1.0


def test_the_reference_has_no_comparison_and_without_a_reference_no_row_has_one() -> None:
    values = {"r": {0: 50.0, 1: 51.0}, "x": {0: 52.0, 1: 52.5}}
    assert table(values, reference="r").rows[0][0].comparison is None
    assert all(cell.comparison is None for cell in table(values).cells())


def test_each_column_is_compared_with_its_own_reference_cell() -> None:
    lines = [
        line("t", row, column, seed, miou=base + seed)
        for row, column, base in (("r", "a", 50), ("r", "b", 60), ("x", "a", 52), ("x", "b", 61))
        for seed in (0, 1)
    ]
    filled = fill(frame_of(lines), layout("r", "x", columns=("a", "b"), reference="r"))
    assert [cell.comparison.paired.mean for cell in filled.rows[1]] == [2.0, 1.0]


def test_columns_of_the_same_trainings_become_one_with_all_the_papers_numbers() -> None:
    papers = {"a": 68.2, "b": 60.0, "c": 71.1}
    lines = [
        line("t", row, column, 0, miou=50.0, paper_miou=paper, key=f"{row}{'b' if column == 'b' else ''}")
        for row in ("r", "s")
        for column, paper in papers.items()
    ]
    merged = fill(frame_of(lines), layout("r", "s", columns=tuple(papers), reference="s")).merged()
    assert [column.label for column in merged.layout.columns] == ["a = c", "b"]
    first, second = merged.rows[0]
    assert (first.column, cell_text(first).paper) == ("a = c", "68.20 / 71.10")
    assert not first.comparable and "several of the paper's" in first.not_comparable
    assert second.comparable and cell_text(second).paper == "60.00"
    assert [cell.comparison is not None for cell in merged.rows[0]] == [True, True]
    assert merged.merged() == merged


def test_columns_that_differ_in_one_row_or_were_never_trained_stay_apart() -> None:
    lines = [line("t", "r", column, 0, miou=50.0, key="same") for column in ("a", "b")]
    lines += [line("t", "s", column, 0, miou=50.0, key=column) for column in ("a", "b")]
    lines += [line("t", "r", column, None, paper_miou=60.0) for column in ("c", "d")]
    table = fill(frame_of(lines), layout("r", "s", columns=("a", "b", "c", "d")))
    assert table.merged() == table


# --- equal rows ----------------------------------------------------------------------------------------------

SET = "drawn textures; changed by --set: method.fda=none"


def equal_table(
    keys: Mapping[str, Mapping[str, tuple[str, ...]]], *, differs: str = SET, reference: str | None = "r"
) -> FilledTable:
    """Return a table from the keys of each row's seeds by column; a key's mIoU follows from its text."""
    lines = [
        line("t", row, column, seed, key=key, miou=50 + len(key) + seed * seed, comparable=False, differs=differs)
        for row, columns in keys.items()
        for column, seeds in columns.items()
        for seed, key in enumerate(seeds)
    ]
    columns = tuple(dict.fromkeys(column for columns in keys.values() for column in columns))
    return fill(frame_of(lines), layout(*keys, columns=columns, reference=reference))


def test_a_row_of_the_references_trainings_is_not_compared_and_does_not_count_in_holms_family() -> None:
    table = equal_table(
        {"r": {"a": ("k0", "k1", "k2")}, "x": {"a": ("k0", "k1", "k2")}, "y": {"a": ("y-0", "y-1", "y-22")}}
    )
    (equal,) = table.equal_rows()
    assert (equal.rows, equal.columns, equal.is_everywhere) == (("r", "x"), ("a",), True)
    assert equal.changed == "method.fda=none"
    assert table.rows[1][0].comparison is None
    comparison = table.rows[2][0].comparison
    assert comparison is not None and comparison.family == 1 and comparison.holm == comparison.paired.p


def test_rows_that_are_equal_to_each_other_are_compared_with_another_reference() -> None:
    same = {"a": ("k-0", "k-1")}
    table = equal_table({"r": {"a": ("r", "r-1")}, "x": same, "y": same})
    assert [equal.rows for equal in table.equal_rows()] == [("x", "y")]
    assert [cells[0].comparison is not None for cells in table.rows] == [False, True, True]


def test_rows_that_are_equal_in_one_column_are_compared_in_the_other() -> None:
    table = equal_table({"r": {"a": ("k", "k1"), "b": ("r", "r1")}, "x": {"a": ("k", "k1"), "b": ("x", "x-1")}})
    (equal,) = table.equal_rows()
    assert (equal.columns, equal.is_everywhere) == (("a",), False)
    assert [cell.comparison is not None for cell in table.rows[1]] == [False, True]


def test_a_column_in_which_only_one_of_the_equal_rows_is_planned_does_not_set_them_apart() -> None:
    table = equal_table({"r": {"a": ("k", "k1"), "b": ("r", "r1")}, "x": {"a": ("k", "k1")}})
    assert [equal.is_everywhere for equal in table.equal_rows()] == [True]


def test_equal_rows_may_have_different_numbers_of_seeds() -> None:
    table = equal_table({"r": {"a": ("k", "k1", "k2")}, "x": {"a": ("k", "k1")}})
    assert [equal.rows for equal in table.equal_rows()] == [("r", "x")]


def test_rows_that_differ_in_one_seed_or_have_no_key_yet_are_not_equal() -> None:
    keys = {"r": {"a": ("k", "k1")}, "x": {"a": ("k", "other")}, "y": {"a": ("", "")}, "z": {"a": ("", "")}}
    assert equal_table(keys).equal_rows() == ()


def test_rows_that_no_flag_made_equal_have_no_changes() -> None:
    same = {"a": ("k", "k1")}
    assert [equal.changed for equal in equal_table({"r": same, "x": same}, differs="drawn").equal_rows()] == [""]
