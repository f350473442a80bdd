"""The end of a study's page: network sizes, failures and costs as plain values."""

from __future__ import annotations

import pytest
from drawn_study import draw_study

from assay.analysis.run_summary import RunSummary, summarize
from assay.report.appendix import cost_row, failure_items, size_table


def summary(**columns: object) -> RunSummary:
    """Return the summary of the drawn study, with some columns of its results set to one value."""
    study = draw_study()
    return summarize(study.frame.assign(**columns), study.layout)


@pytest.mark.parametrize(("crop", "small"), [("32x32", ("32x32",)), ("512x512", ())])
def test_very_small_crops_are_named(crop: str, small: tuple[str, ...]) -> None:
    table = size_table(summary(crop=crop).sizes)
    assert table is not None and table.small_crops == small


def test_a_crop_without_latency_is_not_named() -> None:
    table = size_table(summary(latency_ms=float("nan")).sizes)
    assert table is not None and table.small_crops == ()


def test_a_network_without_latency_has_a_dash() -> None:
    table = size_table(summary(latency_ms=float("nan")).sizes)
    assert table is not None and table.rows[0].cells[1:4] == ("120 k", "24 M", "–")


def test_each_network_has_its_rows_and_numbers() -> None:
    table = size_table(summary().sizes)
    assert table is not None and len(table.rows) == 4
    row = table.rows[0]
    assert row.network == "tiny, deeplabv3plus"
    assert row.uses == ("of: Supervised; Mean Teacher [31]; CPS & <R50>_100%; Mutual distillation",)
    assert row.cells[:6] == ("32x32", "120 k", "24 M", "1.5 ms", "cpu AVX2, 1 thread", "20")


def test_a_study_with_one_network_has_no_table_of_sizes() -> None:
    assert size_table(()) is None


def test_failures_have_their_seeds_and_cells() -> None:
    places = [failure.places for failure in failure_items(summary().failures)]
    assert "seed 2 · drawn.table1: CPS & <R50>_100%, 1/8 (183)" in places
    assert "seeds 0, 1, 2 · drawn.table1: Mutual distillation, 1/8 (183)" in places


def test_costs_are_in_units_that_are_easily_read() -> None:
    row = cost_row(summary().costs[0])
    assert (row.label, row.table) == ("Supervised", "Semi-supervised methods on PASCAL VOC 2012")
    assert row.cells == ("6", "120 k", "24 M", "38.5 s", "3.9 min")
