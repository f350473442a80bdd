"""Published orderings against pairs written as loops; ties, missing seeds and rows that do not count."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from drawn_study import Study, frame_of, line
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.analysis.filled_table import FilledTable, fill
from assay.analysis.orderings import ColumnOrderings, Ordering, orderings_frame, orderings_of, tally
from assay.results.layout import ColumnLayout, RowLayout, TableLayout
from assay.results.ordering_columns import ORDERING_COLUMNS

NAN = float("nan")
Values = Mapping[str, Sequence[float]]  # mIoU by seed, of each row


def layout(*rows: str, columns: Sequence[str] = ("a",), not_the_papers: Sequence[str] = ()) -> TableLayout:
    return TableLayout(
        name="t",
        title="T",
        rows=tuple(RowLayout(label=row, not_the_papers="a reason" if row in not_the_papers else "") for row in rows),
        columns=tuple(ColumnLayout(label=column) for column in columns),
    )


def lines(values: Values, papers: Mapping[str, float], column: str = "a", **changes: object) -> list[dict]:
    return [
        line("t", row, column, seed, miou=miou, miou_best=miou, paper_miou=papers.get(row, NAN), **changes)
        for row, mious in values.items()
        for seed, miou in enumerate(mious)
    ]


def table(values: Values, papers: Mapping[str, float], **described: Sequence[str]) -> FilledTable:
    return fill(frame_of(lines(values, papers)), layout(*values, **described))


def column_of(values: Values, papers: Mapping[str, float], **described: Sequence[str]) -> ColumnOrderings:
    (column,) = orderings_of(table(values, papers, **described))
    return column


def verdicts(column: ColumnOrderings) -> dict[str, str]:
    return {f"{ordering.higher} > {ordering.lower}": ordering.verdict for ordering in column.orderings}


def only(column: ColumnOrderings) -> Ordering:
    (ordering,) = column.orderings
    return ordering


# --- against slow references ---------------------------------------------------------------------------------

# Whole and half numbers, so that ties occur and sums are exact.
mious = st.integers(40, 60).map(lambda half: half / 2)


@st.composite
def drawn_tables(draw: st.DrawFn) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return rows with three to five seeds each, and their printed numbers, of which some are equal or missing."""
    rows = "rstuv"[: draw(st.integers(2, 5))]
    seeds = draw(st.integers(3, 5))
    values = {row: draw(st.lists(mious, min_size=seeds, max_size=seeds)) for row in rows}
    papers = {row: draw(st.one_of(st.integers(70, 73).map(float), st.just(NAN))) for row in rows}
    return values, papers


def slow_verdicts(values: Values, papers: Mapping[str, float]) -> dict[str, str]:
    result = {}
    for higher in values:
        for lower in values:
            if not papers[higher] > papers[lower]:
                continue
            differences = [a - b for a, b in zip(values[higher], values[lower], strict=True)]
            mean = sum(differences) / len(differences)
            variance = sum((each - mean) ** 2 for each in differences) / (len(differences) - 1)
            error = math.sqrt(variance / len(differences))
            verdict = "open" if abs(mean) < error * (1 + 1e-9) + 1e-9 else "hold" if mean > 0 else "reversed"
            result[f"{higher} > {lower}"] = verdict
    return result


def slow_holm(p_values: Sequence[float]) -> list[float]:
    """Return the corrected p of each test: the largest product of any smaller-or-equal p and the tests left."""
    ranked = sorted(p_values)
    return [
        max(min(1.0, (len(ranked) - rank) * other) for rank, other in enumerate(ranked) if other <= p) for p in p_values
    ]


@given(drawn_tables())
def test_verdicts_are_those_of_all_pairs_in_loops(drawn: tuple[dict[str, list[float]], dict[str, float]]) -> None:
    values, papers = drawn
    expected = slow_verdicts(values, papers)
    columns = orderings_of(table(values, papers))
    assert (verdicts(columns[0]) if columns else {}) == expected
    counts = tally(columns)
    assert counts.hold + counts.reversed + counts.open + counts.waiting == len(expected)
    assert (counts.hold, counts.reversed) == tuple(
        sum(verdict == kind for verdict in expected.values()) for kind in ("hold", "reversed")
    )
    assert counts.hold_beyond_chance <= counts.hold and counts.reversed_beyond_chance <= counts.reversed


@given(drawn_tables())
def test_kendalls_tau_is_scipys_and_that_of_counted_pairs(
    drawn: tuple[dict[str, list[float]], dict[str, float]],
) -> None:
    values, papers = drawn
    printed = {row: paper for row, paper in papers.items() if not math.isnan(paper)}
    means = {row: sum(values[row]) / len(values[row]) for row in printed}
    columns = orderings_of(table(values, papers))
    if not columns:
        return
    expected = float(stats.kendalltau(list(printed.values()), list(means.values())).statistic)
    if len(printed) < 3 or math.isnan(expected):
        assert columns[0].tau is None
        return
    assert columns[0].tau == pytest.approx(expected)
    if len(set(printed.values())) == len(set(means.values())) == len(printed):  # without ties it is a plain count
        agree = [(printed[a] > printed[b]) == (means[a] > means[b]) for a, b in itertools.combinations(printed, 2)]
        assert columns[0].tau == pytest.approx((sum(agree) - agree.count(False)) / len(agree))


def test_p_is_scipys_paired_t_test_corrected_for_all_orderings_of_the_column() -> None:
    values = {"r": [50.0, 51.0, 50.5], "s": [53.1, 54.0, 53.6], "u": [53.0, 56.0, 55.0]}
    column = column_of(values, {"r": 70.0, "s": 71.0, "u": 72.0})
    expected = [
        float(stats.ttest_rel(values[ordering.higher], values[ordering.lower]).pvalue) for ordering in column.orderings
    ]
    assert [ordering.test.t_p for ordering in column.orderings if ordering.test] == pytest.approx(expected)
    assert [ordering.holm for ordering in column.orderings] == pytest.approx(slow_holm(expected))
    assert [ordering.is_beyond_chance for ordering in column.orderings] == [p <= 0.05 for p in slow_holm(expected)]
    assert {ordering.is_beyond_chance for ordering in column.orderings} == {True, False}, "the test needs both"


# --- the verdicts --------------------------------------------------------------------------------------------


def test_an_ordering_holds_is_reversed_or_is_open() -> None:
    papers = {"r": 70.0, "s": 71.0}
    assert only(column_of({"r": [50.0, 50, 50], "s": [52.0, 53, 51]}, papers)).verdict == "hold"
    assert only(column_of({"r": [52.0, 53, 51], "s": [50.0, 50, 50]}, papers)).verdict == "reversed"
    assert only(column_of({"r": [50.0, 50, 50], "s": [49.0, 53, 49]}, papers)).verdict == "open"


def test_the_published_difference_is_positive_whatever_the_order_of_the_rows() -> None:
    values = {"r": [52.0, 53.0], "s": [50.0, 50.5]}
    for papers in ({"r": 71.5, "s": 70.0}, {"r": 70.0, "s": 71.5}):
        assert only(column_of(values, papers)).published == 1.5
    assert only(column_of(values, {"r": 71.5, "s": 70.0})).test.mean == 2.25
    assert only(column_of(values, {"r": 70.0, "s": 71.5})).test.mean == -2.25


def test_equal_printed_numbers_and_rows_without_one_are_no_ordering() -> None:
    values = {"r": [50.0, 51.0], "s": [52.0, 53.0], "u": [54.0, 55.5], "v": [10.0, 11.0]}
    column = column_of(values, {"r": 70.0, "s": 70.0, "u": 71.0})
    assert set(verdicts(column)) == {"u > r", "u > s"}
    assert column.rows == ("u", "r", "s")
    assert orderings_of(table(values, {"r": 70.0, "s": 70.0})) == []


def test_one_seed_leaves_every_ordering_open_and_has_a_tau() -> None:
    column = column_of({"r": [50.0], "s": [52.0], "u": [51.0]}, {"r": 70.0, "s": 71.0, "u": 72.0})
    assert set(verdicts(column).values()) == {"open"}
    assert column.tau == pytest.approx(1 / 3)
    assert {(ordering.holm, ordering.seeds_needed) for ordering in column.orderings} == {(None, None)}


def test_equal_differences_hold_without_being_beyond_chance() -> None:
    ordering = only(column_of({"r": [50.0, 51.0, 52.0], "s": [52.0, 53.0, 54.0]}, {"r": 70.0, "s": 71.0}))
    assert (ordering.verdict, ordering.holm, ordering.is_beyond_chance) == ("hold", None, False)
    same = only(column_of({"r": [50.0, 51.0, 52.0], "s": [50.0, 51.0, 52.0]}, {"r": 70.0, "s": 71.0}))
    assert (same.verdict, same.seeds_needed) == ("open", None)


def test_only_common_seeds_are_compared() -> None:
    values = {"r": [50.0, 51.0, 50.0, 99.0], "s": [52.0, 53.5, 52.5]}
    test = only(column_of(values, {"r": 70.0, "s": 71.0})).test
    assert test is not None and (test.n, test.mean) == (3, pytest.approx(7 / 3))


@pytest.mark.parametrize("state", ["failed", "blocked", "running", "waiting", "done"])
def test_orderings_of_a_row_without_all_its_seeds_wait(state: str) -> None:
    results = lines({"r": [50.0, 51.0], "s": [52.0, 53.5], "u": [54.0, 55.0]}, {"r": 70.0, "s": 71.0, "u": 72.0})
    lost = {"status": state, "miou": NAN}  # a training that is done without a finite number is lost as well
    frame = frame_of([{**each, **(lost if (each["row"], each["seed"]) == ("s", 1) else {})} for each in results])
    (column,) = orderings_of(fill(frame, layout("r", "s", "u")))
    assert verdicts(column) == {"u > s": "waiting", "u > r": "hold", "s > r": "waiting"}
    assert {ordering.test is None for ordering in column.orderings if ordering.verdict == "waiting"} == {True}
    counts = tally([column])
    assert (counts.judged, counts.waiting, counts.hold) == (1, 2, 1)
    assert column.tau is None, "two complete rows are their one ordering"


# --- rows and columns that count once, or not at all ---------------------------------------------------------


def test_a_row_that_is_not_the_papers_is_left_out_and_one_that_is_not_comparable_counts() -> None:
    values = {"r": [50.0, 51.0], "s": [52.0, 53.5], "u": [54.0, 55.0]}
    papers = {"r": 70.0, "s": 71.0, "u": 72.0}
    assert set(verdicts(column_of(values, papers, not_the_papers=("s",)))) == {"u > r"}
    frame = frame_of(lines(values, papers, comparable=False, differs="other data"))
    assert len(orderings_of(fill(frame, layout(*values)))[0].orderings) == 3


def test_rows_of_the_same_trainings_count_once_where_their_printed_numbers_agree() -> None:
    values = {"r": [50.0, 51.0], "s": [50.0, 51.0], "u": [54.0, 55.5], "v": [10.0, 11.5]}
    papers = {"r": 70.0, "s": 72.0, "u": 73.0, "v": 71.0}
    same = {("r", 0): "x", ("r", 1): "y", ("s", 0): "x", ("s", 1): "y"}
    results = [{**each, "key": same.get((each["row"], each["seed"]), each["key"])} for each in lines(values, papers)]
    (column,) = orderings_of(fill(frame_of(results), layout(*values)))
    assert verdicts(column) == {"u > r = s": "hold", "u > v": "hold"}  # v is printed above r and below s
    assert next(ordering.published for ordering in column.orderings if ordering.lower == "r = s") == 1.0


def test_columns_of_the_same_trainings_count_once_where_their_printed_numbers_agree() -> None:
    values = {"r": [50.0, 51.0], "s": [52.0, 53.5], "u": [54.0, 55.0]}
    keys = {"r": "r", "s": "s", "u": "u"}
    results = [
        {**each, "key": f"{keys[each['row']]}-{each['seed']}"}
        for column, papers in (("a", {"r": 70.0, "s": 71.0, "u": 73.0}), ("b", {"r": 60.0, "s": 63.0, "u": 62.0}))
        for each in lines(values, papers, column)
    ]
    merged = fill(frame_of(results), layout(*values, columns=("a", "b"))).merged()
    (column,) = orderings_of(merged)
    assert column.column == "a = b"
    assert {pair: ordering.published for pair, ordering in zip(verdicts(column), column.orderings, strict=True)} == {
        "u > r": 2.0,  # 3 in the one column, 2 in the other
        "s > r": 1.0,
    }
    assert column.tau == pytest.approx(2 / math.sqrt(2 * 3))  # one of three pairs is a tie of the printed numbers


# --- stored --------------------------------------------------------------------------------------------------


def test_the_stored_frame_has_a_line_for_each_ordering(study: Study) -> None:
    frame = orderings_frame(study.frame, study.layout)
    columns = [column for each in study.layout.tables for column in orderings_of(fill(study.frame, each).merged())]
    assert len(frame) == sum(len(column.orderings) for column in columns)
    assert frame.dtypes.astype(str).to_dict() == ORDERING_COLUMNS
    first = frame.iloc[0]
    ordering = columns[0].orderings[0]
    assert (first["study"], first["profile"], first["table"]) == ("drawn", "quick", "drawn.table1")
    assert (first["higher"], first["lower"], first["verdict"]) == (ordering.higher, ordering.lower, ordering.verdict)
    assert first["difference"] == ordering.test.mean and first["holm"] == ordering.holm
    waiting = frame[frame["verdict"] == "waiting"]
    assert len(waiting) == 2 and waiting["difference"].isna().all() and (waiting["seeds"] == 0).all()


def test_a_study_without_printed_numbers_has_an_empty_frame(study: Study) -> None:
    empty = orderings_frame(study.frame.assign(paper_miou=np.nan), study.layout)
    assert len(empty) == 0 and list(empty.columns) == list(ORDERING_COLUMNS)
    assert isinstance(empty, pd.DataFrame)


def test_an_ordering_beyond_chance_needs_no_more_seeds() -> None:
    ordering = only(column_of({"r": [50.0, 50.5, 50.2], "s": [52.0, 52.6, 52.1]}, {"r": 70.0, "s": 71.0}))
    assert ordering.is_beyond_chance and ordering.seeds_needed is None


def test_the_seeds_that_an_open_ordering_needs_are_those_of_the_spread_here() -> None:
    differences = np.array([1.0, 3.0, -2.5, 2.0, -1.0])
    values = {"r": [50.0] * 5, "s": [50.0 + each for each in differences]}
    ordering = only(column_of(values, {"r": 70.0, "s": 71.0}))
    effect = differences.mean() / differences.std(ddof=1)

    def power(n: int) -> float:
        critical = stats.t.ppf(0.975, n - 1)
        return float(stats.nct(n - 1, effect * math.sqrt(n)).sf(critical))

    assert ordering.verdict == "open" and power(50) < 0.8 and ordering.seeds_needed is None
    shifted = dataclasses.replace(ordering, test=dataclasses.replace(ordering.test, mean=1.5))
    effect = 1.5 / differences.std(ddof=1)
    assert shifted.seeds_needed == next(n for n in range(2, 60) if power(n) >= 0.8)
