"""The sentences of a report."""

from __future__ import annotations

import pytest
from report.drawn import Study, frame_of, line

from assay.report.cells import FilledTable, fill
from assay.report.layout import ColumnLayout, RowLayout, TableLayout
from assay.report.words import difference, notes, probability, progress, signed, smallest_gap


def compared(*others: float) -> FilledTable:
    """A reference of 50 in every seed, and a row with these values."""
    layout = TableLayout(
        name="t",
        title="T",
        rows=(RowLayout(label="r"), RowLayout(label="x")),
        columns=(ColumnLayout(label="a"),),
        reference="r",
    )
    lines = [line("t", "r", "a", seed, miou=50.0) for seed in range(len(others))]
    lines += [line("t", "x", "a", seed, miou=miou) for seed, miou in enumerate(others)]
    return fill(frame_of(lines), layout)


def test_negative_numbers_have_a_minus_and_not_a_hyphen() -> None:
    assert signed(-1.5) == "−1.50"


@pytest.mark.parametrize(("p", "said"), [(0.25, "0.250"), (0.00001, "< 0.001"), (None, "–")])
def test_a_p_value_is_never_printed_as_zero(p: float | None, said: str) -> None:
    assert probability(p) == said


def test_progress_names_what_became_of_every_seed(table: FilledTable) -> None:
    assert progress(table.rows[0][0]) == "3 of 3 seeds"
    assert progress(table.rows[2][1]) == "2 of 3 seeds, 1 failed"
    assert progress(table.rows[3][0]) == "not trained here"


def test_a_difference_comes_with_the_smallest_p_there_can_be() -> None:
    said = difference(compared(51.0, 52.0, 53.0).rows[1][0].comparison)
    assert said == "+2.00 [−0.48, +4.48], p = 0.250 (smallest possible 0.250), Holm 0.250, 3 seeds"


def test_one_seed_is_said_to_be_no_test() -> None:
    assert difference(compared(51.0).rows[1][0].comparison) == "+1.00, one seed: not tested"


def test_the_smallest_gap_grows_with_the_spread() -> None:
    narrow, wide = smallest_gap(compared(51.0, 51.5, 52.0)), smallest_gap(compared(51.0, 55.0, 59.0))
    assert "about 1.6 points" in narrow
    assert "about 13.1 points" in wide


@pytest.mark.parametrize("values", [(51.0,), (51.0, 51.0, 51.0)])
def test_without_spread_no_gap_is_promised(values: tuple[float, ...]) -> None:
    assert "not known" in smallest_gap(compared(*values))


def test_a_reason_that_holds_for_all_cells_is_said_once(study: Study) -> None:
    said = notes(fill(study.frame, study.layout.tables[0]))
    assert [each for each in said if "Not comparable" in each] == [
        "Not comparable with the paper (all cells): trained on drawn shapes, not on PASCAL VOC 2012"
    ]


def test_a_reason_that_holds_for_some_cells_names_them() -> None:
    layout = TableLayout(
        name="t",
        title="T",
        rows=(RowLayout(label="r"), RowLayout(label="x")),
        columns=(ColumnLayout(label="a"), ColumnLayout(label="b")),
    )
    lines = [
        line("t", row, column, 0, miou=50.0, comparable=column == "b", differs="" if column == "b" else "crop")
        for row in ("r", "x")
        for column in ("a", "b")
    ]
    assert "Not comparable with the paper (all of a): crop" in notes(fill(frame_of(lines), layout))


def test_notes_that_several_columns_share_stand_once(table: FilledTable) -> None:
    assert "1/16 (92), 1/8 (183): 62 of 992 drawn images labelled" in notes(table)
