"""The texts and numbers of a report: the same ones in the terminal, in files and on the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from assay.analysis.filled_table import RUN_STATES, Comparison, FilledCell, FilledTable
from assay.analysis.statistics import ALPHA, LEVEL
from assay.analysis.verdict import Verdict, verdict
from assay.results.layout import ColumnLayout, Counted
from assay.wording import count

NONE = "–"  # in the place of an absent number
_NAMED = 3  # significant differences that a terminal names; it counts more
INTERVAL = f"{100 * LEVEL:.0f} % interval"
PARTS = ("paper", "ours", "Δ", "verdict")
COUNTS = ("Params", "FLOPs")
COUNT_PARTS = ("paper", "ours")
OF_CLASS = "IoU"  # the only part of a cell in a column of a class


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellText:
    """The printed parts of a cell."""

    paper: str
    ours: str
    delta: str
    verdict: Verdict

    def parts(self) -> tuple[str, str, str, str]:
        """Return the four parts in the order of `PARTS`."""
        return self.paper, self.ours, self.delta, self.verdict.text


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountText:
    """The printed Params or FLOPs of a row."""

    paper: str
    ours: str

    def parts(self) -> tuple[str, str]:
        """Return both in the order of `COUNT_PARTS`."""
        return self.paper, self.ours


def amount(value: float | None, form: str = ".2f") -> str:
    """Return a large count with a letter for its thousands, by default with two decimals, as the papers print them."""
    if value is None:
        return NONE
    for scale, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:{form}}{letter}"
    return f"{value:g}"


def number(value: float | None) -> str:
    """Return points with two decimals, as the papers print them."""
    return NONE if value is None else f"{value:.2f}".replace("-", "−")


def signed(value: float | None) -> str:
    """Return a difference of points with its sign."""
    return NONE if value is None else f"{value:+.2f}".replace("-", "−")


def probability(value: float | None) -> str:
    """Return a p value, which is never printed as zero."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def points(low: float | None, high: float | None) -> str:
    """Return half the width of an interval behind its sign ±; empty without an interval."""
    return "" if low is None or high is None else f" ± {number((high - low) / 2)}"


def ours(cell: FilledCell) -> str:
    """Return our mean ± half its interval, with the number of its seeds where some of the planned ones are missing."""
    if not cell.done:
        return NONE
    share = f" ({cell.done} of {cell.planned})" if cell.done < cell.planned else ""
    return f"{number(cell.last.mean)}{points(cell.last.low, cell.last.high)}{share}"


def in_class_column(cell: FilledCell) -> str:
    """Return a cell of a column of a class in one text: ours, with the paper's number in brackets."""
    paper = NONE if cell.paper is None else number(cell.paper)
    if not cell.planned:
        return paper
    return number(cell.last.mean) if cell.paper is None else f"{number(cell.last.mean)} ({paper})"


def parts_of(column: ColumnLayout) -> tuple[str, ...]:
    """Return the heads of the parts of a column's cells; a column of a class has one part."""
    return (OF_CLASS,) if column.of_class else PARTS


def deviation(cell: FilledCell) -> str:
    """Return the standard deviation of a cell's seeds; empty below two seeds."""
    return "" if cell.last.sd is None else f"SD {number(cell.last.sd)}"


def cell_text(cell: FilledCell) -> CellText:
    """Return a cell's printed parts; Δ only where our number can be compared with the paper's."""
    delta = cell.delta if cell.comparable else None
    papers = distinct(number(miou) for miou in (cell.paper, *cell.papers_merged) if miou is not None)
    return CellText(paper=papers, ours=ours(cell), delta=signed(delta), verdict=verdict(cell))


def count_heads(table: FilledTable) -> tuple[str, ...]:
    """Return the heads of a table's columns of network sizes; none where it counts none."""
    return COUNTS if table.layout.count_flops_of else ()


def counts(table: FilledTable, cells: tuple[FilledCell, ...]) -> tuple[CountText, ...]:
    """Return a row's Params and FLOPs under `count_heads`; ours are several where its cells have different networks."""
    if table.layout.count_flops_of is None:
        return ()
    printed, trained = [cells[0].paper_counted], [cell.counted for cell in cells]
    return tuple(CountText(paper=_amounts(printed, name), ours=_amounts(trained, name)) for name in ("params", "macs"))


def _amounts(counted: Iterable[Counted | None], name: str) -> str:
    return distinct(amount(getattr(size, name)) for size in counted if size is not None)


def distinct(texts: Iterable[str]) -> str:
    """Return each text once, separated by slashes."""
    return " / ".join(dict.fromkeys(texts)) or NONE


def progress(cell: FilledCell) -> str:
    """Return the number of finished seeds and the states of the others."""
    if not cell.planned:
        return "not trained here"
    others = [f"{cell.count(state)} {state}" for state in RUN_STATES if state != "done" and cell.count(state)]
    return ", ".join([f"{cell.done} of {cell.planned} seeds", *others])


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of differences in brackets."""
    return "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def difference(comparison: Comparison) -> str:
    """Return a difference paired by seed, with the tests and the number of seeds that are needed to judge it."""
    pair = comparison.paired
    if pair.n < 2:
        return f"{signed(pair.mean)}, one seed: not tested"
    gap = " ".join(filter(None, (signed(pair.mean), interval(pair.low, pair.high))))
    return (
        f"{gap}, {pair.n} seeds, p {probability(pair.p)} (least {probability(pair.smallest_p)}), "
        f"Holm {probability(comparison.holm)} (of {comparison.family}), t test {probability(pair.t_p)}"
    )


def differences(table: FilledTable) -> list[str]:
    """Return the differences paired by seed, a line each below a line that explains them; empty without any."""
    head = (
        f"Differences from {table.layout.reference}, paired by seed, with a {100 * LEVEL:.0f} % t interval. p is that"
        " of the sign-flip test; Holm corrects it for the number of comparisons in the column, which follows it."
    )
    lines = [
        f"  {cell.row} at {cell.column}: {difference(cell.comparison)}" for cell in table.cells() if cell.comparison
    ]
    return [head, *lines] if lines else []


def differences_in_short(table: FilledTable) -> str:
    """Return the differences paired by seed in one sentence, with the largest significant ones; empty without any."""
    compared = [(cell, cell.comparison) for cell in table.cells() if cell.comparison]
    untested = [comparison.paired.mean for _, comparison in compared if comparison.paired.n < 2]
    tested = [(cell, comparison) for cell, comparison in compared if comparison.paired.n >= 2]
    parts = []
    if untested:
        span = _range([signed(min(untested)), signed(max(untested))])
        seeds = "one seed" if len(untested) == 1 else "one seed each"
        parts.append(
            f"{count(len(untested), 'difference')} from {table.layout.reference}, {seeds}: not tested ({span})"
        )
    if tested:
        heading = f"{count(len(tested), 'difference')} from {table.layout.reference}, paired by seed"
        parts.append(f"{heading}: {_significant_ones(tested)}")
    return "; ".join(parts)


def _significant_ones(tested: Sequence[tuple[FilledCell, Comparison]]) -> str:
    """Return the number of significant differences, and the largest ones."""
    significant = [(cell, pair) for cell, pair in tested if pair.holm is not None and pair.holm <= ALPHA]
    significant.sort(key=lambda cell_and_pair: -abs(cell_and_pair[1].paired.mean))
    least = probability(min(pair.paired.smallest_p for _, pair in tested))
    names = [f"{cell.row} at {cell.column} {signed(pair.paired.mean)}" for cell, pair in significant[:_NAMED]]
    names += [f"{len(significant) - _NAMED} more"] if len(significant) > _NAMED else []
    test = f"Holm p ≤ {ALPHA:g}; the least possible p is {least}"
    return f"{len(significant) or 'none'} significant ({test})" + (f": {', '.join(names)}" if names else "")


def comparisons(table: FilledTable) -> list[Comparison]:
    """Return all comparisons with the reference row."""
    return [cell.comparison for cell in table.cells() if cell.comparison is not None]


def smallest_gap(table: FilledTable) -> str:
    """Return a sentence on the smallest gap that this number of seeds detects; empty without comparisons."""
    compared = comparisons(table)
    gaps = sorted(comparison.detectable for comparison in compared if comparison.detectable is not None)
    if not compared:
        return ""
    if not gaps:
        return "One seed, or equal differences, show no spread: the smallest detectable gap is not known."
    seeds = _range([f"{n}" for n in sorted({comparison.paired.n for comparison in compared})])
    span = _range([f"{gap:.1f}" for gap in gaps])
    least = min(comparison.paired.smallest_p for comparison in compared)
    return (
        f"With {seeds} seeds that spread as these do, a gap has to be about {span} points to be detected reliably;"
        f" smaller ones may exist and be missed. The sign-flip test cannot give a p below {probability(least)} here."
    )


def _range(texts: Sequence[str]) -> str:
    """Return the first and the last of some texts; one of them where they are equal."""
    return " to ".join(dict.fromkeys((texts[0], texts[-1])))
