"""The texts of published orderings: true for every count, the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from drawn_study import Study, frame_of, line
from page_parser import Page

from assay.analysis.filled_table import FilledTable, fill
from assay.analysis.orderings import ColumnOrderings, orderings_of
from assay.analysis.run_summary import summarize
from assay.report.orderings import column_lines, explanation, headline, left_out, next_step
from assay.report.orderings_section import orderings_section
from assay.report.page import Section, study_page
from assay.report.text_tables import markdown, terminal_orderings
from assay.results.layout import ColumnLayout, RowLayout, StudyLayout, TableLayout

PAPERS = {"r": 70.0, "s": 71.0, "u": 72.5}
CLEAR = {"r": [50.0, 50.5, 50.2], "s": [52.0, 52.6, 52.1], "u": [54.0, 54.4, 54.3]}  # every ordering holds
LINE = "3 of 3 published orderings hold (3 beyond chance), none reversed, none open · Kendall’s τ 1.00 · 3 seeds"


def layout(*rows: RowLayout, columns: Sequence[str] = ("a",), name: str = "t") -> TableLayout:
    columns_of = tuple(ColumnLayout(label=column) for column in columns)
    return TableLayout(name=name, title="T", rows=rows, columns=columns_of, reference=rows[0].label)


def lines(values: Mapping[str, Sequence[float]], column: str, papers: Mapping[str, float] = PAPERS) -> list[dict]:
    return [
        line("t", row, column, seed, miou=miou, miou_best=miou, paper_miou=papers[row])
        for row, mious in values.items()
        for seed, miou in enumerate(mious)
    ]


def table(*columns: Mapping[str, Sequence[float]], other: str = "", reason: str = "") -> FilledTable:
    """Return a table with a column for each map from rows to mIoU by seed."""
    labels = "abc"[: len(columns)]
    rows = (RowLayout(label=row, not_the_papers=reason if row == other else "") for row in columns[0])
    results = [each for label, values in zip(labels, columns, strict=True) for each in lines(values, label)]
    return fill(frame_of(results), layout(*rows, columns=tuple(labels)))


def turned(values: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {row: [100 - miou for miou in mious] for row, mious in values.items()}


def next_of(columns: Sequence[ColumnOrderings], **options: bool) -> str:
    return next_step(columns, command=lambda seeds: f"run {list(seeds)}", **options)


def test_the_headline_counts_orderings_that_hold() -> None:
    assert headline(orderings_of(table(CLEAR))) == LINE


def test_it_counts_reversed_and_open_orderings() -> None:
    values = {"r": [50.0, 50.5, 50.2], "s": [49.0, 49.6, 49.1], "u": [48.0, 52.0, 47.9]}
    line = "0 of 3 published orderings hold, 1 reversed (1 beyond chance), 2 open · Kendall’s τ −0.33 · 3 seeds"
    assert headline(orderings_of(table(values))) == line


def test_it_names_orderings_that_are_not_beyond_chance() -> None:
    values = {"r": [50.0, 51.0, 50.2], "s": [52.0, 55.0, 50.3]}
    line = "1 of 1 published orderings holds (none beyond chance), none reversed, none open · 3 seeds"
    assert headline(orderings_of(table(values))) == line


def test_one_seed_claims_nothing_and_mentions_no_test() -> None:
    columns = orderings_of(table({row: mious[:1] for row, mious in CLEAR.items()}))
    assert headline(columns) == (
        "3 published orderings, all open: one seed shows no spread · Kendall’s τ 1.00 · 1 seed"
    )
    assert "t test" not in explanation(columns, with_assumptions=True)
    assert "t test" in explanation(orderings_of(table(CLEAR)))


def test_several_columns_are_counted_together_and_then_each() -> None:
    columns = orderings_of(table(CLEAR, turned(CLEAR)))
    assert headline(columns) == (
        "3 of 6 published orderings hold (3 beyond chance), 3 reversed (3 beyond chance), none open · Kendall’s τ by"
        " column −1.00 to 1.00 · 3 seeds"
    )
    assert column_lines(columns)[0] == f"t at a: {LINE}"
    assert column_lines(columns)[1].startswith("t at b: 0 of 3 published orderings hold, 3 reversed (3 beyond chance)")


def test_incomplete_rows_wait_and_are_counted_apart(study: Study) -> None:
    columns = orderings_of(fill(study.frame, study.layout.tables[0]))
    judged, waiting_for = headline(columns[1:]).split("; ")
    assert judged == "1 of 1 published orderings holds (1 beyond chance), none reversed, none open"
    assert waiting_for == "2 more wait for trainings · 3 seeds"
    waiting = study.frame.assign(status="waiting", miou=float("nan"))
    columns = orderings_of(fill(waiting[waiting["seed"].notna()], study.layout.tables[0]))
    assert headline(columns) == "9 published orderings, not judged yet: rows wait for trainings"


def test_uneven_seeds_are_a_range() -> None:
    values = {**CLEAR, "u": CLEAR["u"][:2]}
    assert headline(orderings_of(table(values))).endswith(" · 2 to 3 seeds")


def test_without_published_orderings_there_is_no_text() -> None:
    alone = table({"r": CLEAR["r"]})
    assert orderings_of(alone) == [] and headline([]) == "" and next_of([]) == ""
    assert terminal_orderings([alone], width=80) == ""
    assert markdown(alone).startswith("### t T\n")
    assert orderings_section(alone) is None


# --- what to run next ----------------------------------------------------------------------------------------


def test_nothing_is_proposed_where_all_is_beyond_chance() -> None:
    assert next_of(orderings_of(table(CLEAR))) == "next: nothing is open"


def test_where_nothing_is_open_seeds_are_proposed_for_what_may_be_chance() -> None:
    columns = orderings_of(table({"r": [50.0, 51.0, 50.2], "s": [52.0, 55.0, 50.3]}))
    needed = columns[0].orderings[0].seeds_needed
    assert needed is not None and 3 < needed < 50
    assert next_of(columns) == (
        f"next: nothing is open; about {needed} seeds would show 1 ordering not beyond chance (t test, Holm, power"
        f" 80 %, if difference and spread stay): run {list(range(needed))}"
    )


def test_one_seed_is_followed_by_three() -> None:
    columns = orderings_of(table({row: mious[:1] for row, mious in CLEAR.items()}))
    assert next_of(columns) == "next: one seed shows no spread, 3 seeds do: run [0, 1, 2]"


def test_open_orderings_need_the_seeds_of_the_spread_here() -> None:
    values = {"r": [50.0, 50.0, 50.0], "s": [50.0, 50.5, 51.5], "u": [51.2, 52.3, 50.6]}
    columns = orderings_of(table(values))
    (ordering,) = [each for each in columns[0].orderings if each.verdict == "open"]
    needed = ordering.seeds_needed
    assert (ordering.higher, ordering.lower) == ("u", "s") and needed is not None and needed > 10
    assert next_of(columns) == (
        f"next: 1 is open; about {needed} seeds would show 1 open ordering (t test, Holm, power 80 %, if difference"
        f" and spread stay): run {list(range(needed))}"
    )


def test_open_orderings_out_of_reach_are_named_as_such() -> None:
    hopeless = {"r": [50.0, 50.0, 50.0], "s": [49.0, 50.0, 51.01]}
    out_of_reach = "1 of 1 open ordering needs more than 50 seeds, no difference that a run of this size could show"
    assert next_of(orderings_of(table(hopeless))) == f"next: {out_of_reach}"
    hopeful = {"r": [50.0, 50.0, 50.0], "s": [51.2, 51.8, 49.1]}
    columns = orderings_of(table(hopeless, hopeful))
    needed = columns[1].orderings[0].seeds_needed
    both = next_of(columns)
    assert needed is not None and both.startswith("next: 1 of 2 open orderings needs more than 50 seeds, ")
    assert f"; about {needed} seeds would show 1 open ordering (" in both
    assert both.endswith(f": run {list(range(needed))}")
    may_be_chance = {"r": [50.0, 51.0, 50.2], "s": [52.0, 55.0, 50.3]}
    both = next_of(orderings_of(table(hopeless, may_be_chance)))
    assert both.startswith(f"next: {out_of_reach}; about ") and "1 ordering not beyond chance" in both


@pytest.mark.parametrize("has_failures", [False, True])
def test_what_waits_comes_before_what_is_open(study: Study, has_failures: bool) -> None:
    columns = orderings_of(fill(study.frame, study.layout.tables[0]))
    step = next_of(columns, has_failures=has_failures)
    assert step.startswith("next: 2 published orderings still without all trainings")
    assert ("--retry-failed" in step) is has_failures


# --- where it stands -----------------------------------------------------------------------------------------


def page_of(filled: FilledTable) -> Page:
    results = frame_of([each for values in (CLEAR,) for each in lines(values, "a")])
    study = StudyLayout(name="n", title="Title", profile="quick", tables=(filled.layout,))
    return Page(study_page(study, [Section(table=filled, figures=(), panels=())], summarize(results, study)))


def test_it_is_the_first_line_in_the_terminal_and_in_markdown_and_on_the_page() -> None:
    filled = table(CLEAR)
    assert terminal_orderings([filled], width=200).splitlines()[0] == LINE
    assert markdown(filled).splitlines()[0] == f"**{LINE}**"
    text = page_of(filled).text()
    assert text.index(f"Title {LINE}") < text.index("t T ")


@pytest.mark.parametrize("width", [200, 60, 40])
def test_the_terminal_has_a_line_for_each_of_several_columns_and_is_never_too_narrow(width: int) -> None:
    printed = terminal_orderings([table(CLEAR, turned(CLEAR))], width=width)
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("t at ") == 2
    assert "t at " not in terminal_orderings([table(CLEAR)], width=width)


def test_a_row_that_is_left_out_is_named_with_its_reason_everywhere() -> None:
    filled = table(CLEAR, other="s", reason="CutMix alone")
    sentence = "Left out, as another thing than the paper’s row: s (CutMix alone)."
    assert left_out(filled) == sentence and left_out(table(CLEAR)) == ""
    assert sentence in terminal_orderings([filled], width=200)
    assert sentence in markdown(filled)
    assert sentence in page_of(filled).text()


def test_the_page_has_a_grid_in_the_published_order_and_a_list_of_all_pairs() -> None:
    tables = page_of(table({**CLEAR, "s": [50.1, 50.4, 50.3]})).tables
    head, first, second, third = tables["Published orderings at a: T"]
    assert head == ["published order", "2", "3"]
    assert [first[0], second[0], third[0]] == ["1. u", "2. s", "3. r"]
    assert first[1:] == ["✓✓ +3.97", "✓✓ +4.00"] and third[1:] == ["", ""]
    assert second[1:] == ["", "? +0.03"]
    pairs = {row[0]: row for row in tables["Pairs: T"][1:]}
    assert set(pairs) == {"u > s a", "u > r a", "s > r a"}
    assert pairs["u > r a"][1] == "+2.50" and pairs["u > r a"][2].startswith("+4.00 [+3.")
    assert (pairs["u > r a"][4], pairs["s > r a"][4]) == ("holds, beyond chance", "open")
