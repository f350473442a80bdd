"""The report of a study: its tables, what belongs to each of them, and how everything was run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from assay.analysis.filled_table import FilledCell, FilledTable
from assay.analysis.run_summary import RunSummary
from assay.report.appendix import failures, how, size_and_speed
from assay.report.formatting import (
    INTERVAL,
    NONE,
    comparisons,
    count_heads,
    counts,
    deviation,
    interval,
    not_trained,
    notes,
    number,
    points,
    probability,
    progress,
    signed,
    smallest_gap,
    words,
)
from assay.report.markup import Markup, element, join, scrolling
from assay.report.shell import document, figure_groups
from assay.report.strips import strips
from assay.report.svg import Figure
from assay.results.layout import ColumnLayout, RowLayout, StudyLayout
from assay.results.panel import Panel


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A table with all that belongs to it."""

    table: FilledTable
    figures: Sequence[Figure]
    panels: Sequence[tuple[str, Panel]]
    panels_note: str = ""  # which of the trainings the predictions are from


def page(layout: StudyLayout, sections: Sequence[Section], facts: RunSummary) -> str:
    """The whole page."""
    shown = [each for each in sections if each.table.is_planned]
    others = [each.table for each in sections if not each.table.is_planned]
    return document(
        f"{layout.title} ({layout.profile})",
        element("header", *_opening(layout, facts, [each.table for each in shown])),
        element("main", *(_section(each) for each in shown), *_appendix(facts), _others(others)),
    )


def _appendix(facts: RunSummary) -> Iterable[Markup | None]:
    return (size_and_speed(facts), failures(facts), how(facts))


def _others(tables: Sequence[FilledTable]) -> Markup | None:
    """The tables of which nothing was ever to be trained, by name: the paper's numbers alone are no result."""
    if not tables:
        return None
    said = (
        element("li", element("b", table.layout.name), f" {table.layout.title}. {' '.join(not_trained(table))}")
        for table in tables
    )
    return element("section", element("h2", "The paper’s other tables"), element("ul", *said, class_="notes"))


# --- opening -------------------------------------------------------------------------------------------------


def _opening(layout: StudyLayout, facts: RunSummary, shown: Sequence[FilledTable]) -> Iterable[Markup]:
    yield element("p", f"{layout.name} · profile {layout.profile}", class_="eyebrow")
    yield element("h1", layout.title)
    warning = {"all": "", "some": "Not all of it is the paper’s setting. ", "none": "Not the paper’s setting. "}
    said = warning[facts.comparable]
    if said or layout.profile_note:
        yield element("p", element("strong", said), layout.profile_note, class_="note warning" if said else "note")
    yield _states(facts)
    tables = (table.layout for table in shown)
    links = (element("li", element("a", table.title, href=f"#{_anchor(table.name)}")) for table in tables)
    yield element("nav", element("ul", *links), aria_label="Tables")


def _states(facts: RunSummary) -> Markup:
    """How far the study is, as a bar and in numbers."""
    total = sum(facts.states.values())
    bar = (element("span", class_=f"state {state}", style=f"flex-grow:{n}") for state, n in facts.states.items())
    said = (
        element("li", element("span", class_=f"dot state {state}"), element("b", str(n)), f" {state}")
        for state, n in facts.states.items()
    )
    count = element("li", element("b", str(total)), " trainings")
    return element(
        "div", element("div", *bar, class_="bar", aria_hidden="true"), element("ul", count, *said), class_="states"
    )


def _anchor(name: str) -> str:
    return "table-" + re.sub(r"[^A-Za-z0-9]+", "-", name)


# --- a table -------------------------------------------------------------------------------------------------


def _section(section: Section) -> Markup:
    table = section.table
    return element(
        "section",
        element("p", table.layout.name, class_="eyebrow"),
        element("h2", table.layout.title),
        element("p", table.layout.caption, class_="caption") if table.layout.caption else None,
        _results(table),
        element("ul", *(element("li", note) for note in notes(table)), class_="notes"),
        _differences(table),
        figure_groups(section.figures),
        _panels(section.panels, section.panels_note),
        id=_anchor(table.layout.name),
    )


def _head(labels: Iterable[str]) -> Markup:
    heads = (element("th", label, scope="col") for label in labels)
    return element("thead", element("tr", element("th", "", scope="col"), *heads))


def _results(table: FilledTable) -> Markup:
    lines = (
        element(
            "tr",
            _row_head(row, table.layout.reference),
            *_counts(table, cells),
            *(element("td", *_cell(cell)) for cell in cells),
        )
        for row, cells in table.lines()
    )
    head = _head([*count_heads(table), *_labels(table.layout.columns)])
    content = element("table", head, element("tbody", *lines), class_="results")
    return scrolling(content, f"Results: {table.layout.title}")


def _labels(columns: Sequence[ColumnLayout]) -> list[str]:
    return [column.label for column in columns]


def _counts(table: FilledTable, cells: tuple[FilledCell, ...]) -> Iterable[Markup]:
    """Params and FLOPs: ours and the paper's."""
    for said in counts(table, cells):
        own, theirs = _pair("ours", element("b", said.ours), None, class_="pair ours"), said.paper
        yield element("td", own, _pair("paper", theirs, None, class_="pair"), class_="count")


def _row_head(row: RowLayout, reference: str | None) -> Markup:
    mark = element("small", "reference") if row.label == reference else None
    return element("th", element("span", row.label), mark, scope="row")


def _cell(cell: FilledCell) -> Iterable[Markup]:
    """Ours, the paper's, their difference, the verdict; and the seeds behind it."""
    said = words(cell)
    if cell.done:
        spread = element("small", points(cell.last.low, cell.last.high).strip())
        yield _pair("ours", element("b", number(cell.last.mean)), spread, class_="pair ours")
        yield _pair("best", number(cell.best.mean), None, class_="pair quiet")
    delta = None if said.delta == NONE else element("small", f"Δ {said.delta}")
    yield _pair("paper", said.paper, delta, class_="pair")
    chip = element("span", said.verdict.text, class_=f"chip {said.verdict.kind.replace(' ', '-')}")
    if said.verdict.kind == "empty":
        return
    seeds = " · ".join(filter(None, (progress(cell), deviation(cell))))
    yield element("div", chip, element("span", seeds, class_="seeds") if cell.planned else None, class_="foot")


def _pair(name: str, value: str | Markup, beside: Markup | None, *, class_: str) -> Markup:
    return element("div", element("span", name), element("span", value), beside or element("small"), class_=class_)


def _differences(table: FilledTable) -> Markup | None:
    """The differences paired by seed, and how small a gap can be seen."""
    if not comparisons(table):
        return None
    table = table.planned_columns()
    lines = (
        element("tr", element("th", row.label, scope="row"), *(element("td", *_difference(cell)) for cell in cells))
        for row, cells in table.lines()
        if row.label != table.layout.reference
    )
    content = element("table", _head(_labels(table.layout.columns)), element("tbody", *lines), class_="differences")
    family = max(each.family for each in comparisons(table))
    explained = "Points of mIoU, equal seeds against equal seeds"
    tested = f", with a {INTERVAL}; p by flipping signs, and by Holm’s method for the {family} comparisons of a column"
    return join(
        element("h3", f"Differences from {table.layout.reference}, paired by seed"),
        element("p", f"{explained}{tested if family else ''}.", class_="caption"),
        scrolling(content, f"Differences: {table.layout.title}"),
        element("p", smallest_gap(table), class_="note") if smallest_gap(table) else None,
    )


def _difference(cell: FilledCell) -> Iterable[Markup]:
    if cell.comparison is None:
        yield element("span", "–", class_="seeds")
        return
    pair = cell.comparison.paired
    yield element("div", element("b", signed(pair.mean)), " ", element("small", interval(pair.low, pair.high)))
    if pair.n < 2:
        yield element("div", "one seed: not tested", class_="seeds")
        return
    corrected = probability(cell.comparison.holm)
    yield element("div", f"{pair.n} seeds · p {probability(pair.p)} · Holm {corrected}", class_="seeds")
    least = f"least possible p {probability(pair.smallest_p)}"
    yield element("div", f"{least} · t-test {probability(pair.t_p)}", class_="seeds")


# --- panels --------------------------------------------------------------------------------------------------


def _panels(panels: Sequence[tuple[str, Panel]], note: str) -> Markup | None:
    if not panels:
        return None
    lines = (
        element(
            "div",
            element("p", strip.label),
            element("div", *(_picture(uri, strip.label, n) for n, uri in enumerate(strip.uris, 1)), class_="pictures"),
            class_="strip",
        )
        for strip in strips(panels)
    )
    named = dict.fromkeys(pair for _, panel in panels for pair in zip(panel.classes, panel.palette, strict=True))
    legend = (element("li", _swatch(*color), name) for name, color in named)
    ignored = element("li", element("span", class_="swatch ignored"), "not counted")
    return join(
        element("h3", "Predictions on validation images"),
        element("p", note, class_="caption") if note else None,
        element("ul", *legend, ignored, class_="legend"),
        element("div", *lines, class_="strips"),
    )


def _picture(uri: str, label: str, number: int) -> Markup:
    return element("img", src=uri, alt=f"{label}, validation image {number}")


def _swatch(red: int, green: int, blue: int) -> Markup:
    return element("span", class_="swatch", style=f"background:rgb({red},{green},{blue})")
