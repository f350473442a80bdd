"""The texts and numbers of a report."""

from __future__ import annotations

import pytest
from drawn_study import Study, frame_of, line

from assay.analysis.filled_table import FilledTable, fill
from assay.report.formatting import (
    amount,
    count_heads,
    counts,
    difference,
    differences_in_short,
    probability,
    progress,
    signed,
    smallest_gap,
)
from assay.results.layout import ColumnLayout, RowLayout, TableLayout


def compared(*others: float) -> FilledTable:
    """Return a table with a reference of 50 in every seed and a row with these values."""
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


@pytest.mark.parametrize(("p", "text"), [(0.25, "0.250"), (0.00001, "< 0.001"), (None, "–")])
def test_a_p_value_is_never_printed_as_zero(p: float | None, text: str) -> None:
    assert probability(p) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(11_195_700, "11.20 M"), (222.451e9, "222.45 G"), (1440, "1.44 k"), (999, "999"), (None, "–")],
)
def test_a_large_count_has_two_decimals_and_a_letter_as_the_papers_print_it(value: float | None, text: str) -> None:
    assert amount(value) == text


def test_a_row_has_its_sizes_beside_the_papers_and_dashes_where_there_are_none(study: Study) -> None:
    methods, networks = (fill(study.frame, layout) for layout in study.layout.tables)
    assert count_heads(methods) == () and counts(methods, methods.rows[0]) == ()
    assert count_heads(networks) == ("Params", "FLOPs")
    sizes = [[size.parts() for size in counts(networks, cells)] for cells in networks.rows]
    assert sizes[0] == [("11.19 M", "17.20 M"), ("17.20 G", "17.20 G")]
    assert sizes[2] == [("–", "59.10 M"), ("–", "59.10 G")]


def test_a_row_whose_cells_have_different_networks_has_each_size_once() -> None:
    columns = tuple(ColumnLayout(label=label) for label in "abc")
    layout = TableLayout(name="t", title="T", rows=(RowLayout(label="r"),), columns=columns, count_flops_of="network")
    lines = [
        line("t", "r", column, 0, miou=50.0, params=size) for column, size in zip("abc", (5e6, 6e6, 5e6), strict=True)
    ]
    table = fill(frame_of(lines), layout)
    assert counts(table, table.rows[0])[0].ours == "5.00 M / 6.00 M"


def test_progress_names_the_state_of_every_seed(table: FilledTable) -> None:
    assert progress(table.rows[0][0]) == "3 of 3 seeds"
    assert progress(table.rows[2][1]) == "2 of 3 seeds, 1 failed"
    assert progress(table.rows[3][0]) == "not trained here"


def test_a_difference_comes_with_the_smallest_p_there_can_be() -> None:
    text = difference(compared(51.0, 52.0, 53.0).rows[1][0].comparison)
    assert text == ("+2.00 [−0.48, +4.48], 3 seeds, p 0.250 (least 0.250), Holm 0.250 (of 1), t test 0.074")


def test_one_seed_is_not_tested() -> None:
    assert difference(compared(51.0).rows[1][0].comparison) == "+1.00, one seed: not tested"


def test_differences_in_short_count_untested_ones() -> None:
    assert differences_in_short(compared(51.0)) == "1 difference from r, one seed: not tested (+1.00)"


def test_differences_in_short_name_significant_ones() -> None:
    values = [51.0 + seed / 10 for seed in range(8)]
    head = "1 difference from r, paired by seed"
    assert differences_in_short(compared(*values)) == (
        f"{head}: 1 significant (Holm p ≤ 0.05; the least possible p is 0.008): x at a +1.35"
    )
    assert differences_in_short(compared(*values[:3])) == (
        f"{head}: none significant (Holm p ≤ 0.05; the least possible p is 0.250)"
    )


def test_without_comparisons_there_are_no_differences_in_short(study: Study) -> None:
    assert differences_in_short(fill(study.frame, study.layout.tables[1])) == ""


def test_the_smallest_gap_grows_with_the_spread() -> None:
    narrow, wide = smallest_gap(compared(51.0, 51.5, 52.0)), smallest_gap(compared(51.0, 55.0, 59.0))
    assert "about 1.6 points" in narrow
    assert "about 13.1 points" in wide


@pytest.mark.parametrize("values", [(51.0,), (51.0, 51.0, 51.0)])
def test_without_spread_no_gap_is_promised(values: tuple[float, ...]) -> None:
    assert "not known" in smallest_gap(compared(*values))
