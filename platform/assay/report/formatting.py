"""The words and numbers of a report: the same ones in the terminal, in files and on the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from assay.analysis.filled_table import STATES, Comparison, FilledCell, FilledTable
from assay.analysis.statistics import LEVEL
from assay.analysis.verdict import Verdict, verdict
from assay.results.layout import ColumnLayout, Counted

NONE = "–"  # stands where there is no number
INTERVAL = f"{100 * LEVEL:.0f} % interval"
PARTS = ("paper", "ours", "Δ", "verdict")
COUNTS = ("Params", "FLOPs")
COUNT_PARTS = ("paper", "ours")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellText:
    """A cell's parts as they are printed."""

    paper: str
    ours: str
    delta: str
    verdict: Verdict

    def parts(self) -> tuple[str, str, str, str]:
        """The four parts, in the order of `PARTS`."""
        return self.paper, self.ours, self.delta, self.verdict.text


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountText:
    """Params or FLOPs of a row as they are printed."""

    paper: str
    ours: str

    def parts(self) -> tuple[str, str]:
        """Both, in the order of `COUNT_PARTS`."""
        return self.paper, self.ours


def amount(value: float | None, form: str = ".2f") -> str:
    """A large count with a letter for its thousands; two decimals, as the papers print them, unless told otherwise."""
    if value is None:
        return NONE
    for scale, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:{form}}{letter}"
    return f"{value:g}"


def number(value: float | None) -> str:
    """Points with two decimals, as the papers print them."""
    return NONE if value is None else f"{value:.2f}".replace("-", "−")


def signed(value: float | None) -> str:
    """A difference of points, with its sign."""
    return NONE if value is None else f"{value:+.2f}".replace("-", "−")


def probability(value: float | None) -> str:
    """A p value, never printed as zero."""
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def points(low: float | None, high: float | None) -> str:
    """Half the width of an interval."""
    return "" if low is None or high is None else f" ± {number((high - low) / 2)}"


def ours(cell: FilledCell) -> str:
    """Our mean ± half its interval, and how many of the planned seeds it is over where some are missing."""
    if not cell.done:
        return NONE
    share = f" ({cell.done} of {cell.planned})" if cell.done < cell.planned else ""
    return f"{number(cell.last.mean)}{points(cell.last.low, cell.last.high)}{share}"


def deviation(cell: FilledCell) -> str:
    """The standard deviation of a cell's seeds; empty where one seed, or none, shows no spread."""
    return "" if cell.last.sd is None else f"SD {number(cell.last.sd)}"


def words(cell: FilledCell) -> CellText:
    """A cell as it is printed: a difference from the paper's number only where the two can be compared."""
    delta = cell.delta if cell.comparable else None
    papers = _distinct(number(each) for each in (cell.paper, *cell.papers_merged) if each is not None)
    return CellText(paper=papers, ours=ours(cell), delta=signed(delta), verdict=verdict(cell))


def count_heads(table: FilledTable) -> tuple[str, ...]:
    """The columns of a table that say how large its networks are; none unless it asks for them."""
    return COUNTS if table.layout.count_flops_of else ()


def counts(table: FilledTable, cells: tuple[FilledCell, ...]) -> tuple[CountText, ...]:
    """A row's Params and FLOPs under `count_heads`; ours more than once where its cells have different networks."""
    if table.layout.count_flops_of is None:
        return ()
    theirs, own = [cells[0].paper_counted], [cell.counted for cell in cells]
    return tuple(CountText(paper=_amounts(theirs, name), ours=_amounts(own, name)) for name in ("params", "macs"))


def _amounts(counted: Iterable[Counted | None], name: str) -> str:
    return _distinct(amount(getattr(each, name)) for each in counted if each is not None)


def _distinct(texts: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(texts)) or NONE


def progress(cell: FilledCell) -> str:
    """How many seeds are finished, and what became of the others."""
    if not cell.planned:
        return "not trained here"
    others = [f"{cell.count(state)} {state}" for state in STATES if state != "done" and cell.count(state)]
    return ", ".join([f"{cell.done} of {cell.planned} seeds", *others])


def interval(low: float | None, high: float | None) -> str:
    """An interval of differences in brackets."""
    return "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def difference(comparison: Comparison) -> str:
    """A difference paired by seed, with what is needed to judge it."""
    pair = comparison.paired
    if pair.n < 2:
        return f"{signed(pair.mean)}, one seed: not tested"
    found = " ".join(filter(None, (signed(pair.mean), interval(pair.low, pair.high))))
    return (
        f"{found}, {pair.n} seeds, p {probability(pair.p)} (least {probability(pair.smallest_p)}), "
        f"Holm {probability(comparison.holm)} (of {comparison.family}), t test {probability(pair.t_p)}"
    )


def differences(table: FilledTable) -> list[str]:
    """The differences paired by seed, a line each, below one that says what they are."""
    found = [cell for cell in table.cells() if cell.comparison is not None]
    head = (
        f"Differences from {table.layout.reference}, paired by seed, with a {100 * LEVEL:.0f} % t interval. p is the"
        " sign-flip test’s; Holm’s is corrected for as many comparisons of the column as stand behind it."
    )
    lines = [f"  {cell.row} at {cell.column}: {difference(cell.comparison)}" for cell in found if cell.comparison]
    return [head, *lines] if lines else []


def notes(table: FilledTable) -> list[str]:
    """What a reader of the numbers has to know, a sentence or two each."""
    found = [f"Ours: mIoU in percent of the last checkpoint, mean over the seeds that finished ± half its {INTERVAL}."]
    found += _how_counted(table)
    planned = _planned(table)
    shown = (column for column in table.layout.columns if column.quoted or column.label in planned)
    found += _shared((column.label, _of_column(column)) for column in shown if column.note)
    found += not_trained(table)
    found += _shared((row.label, note) for row in table.layout.rows for note in row.notes)
    found += table.layout.notes
    found += _differences(table)
    return found


def _of_column(column: ColumnLayout) -> str:
    same = f" (the same training as {', '.join(column.same_as)})" if column.same_as else ""
    return column.note + same


def _planned(table: FilledTable) -> set[str]:
    """The columns of which anything was ever to be trained."""
    return {cell.column for cell in table.cells() if cell.planned}


def not_trained(table: FilledTable) -> list[str]:
    """The columns that could be trained here, and were not yet."""
    planned = _planned(table)
    left = [column.label for column in table.layout.columns if not column.quoted and column.label not in planned]
    if left and not planned:
        return [f"Not trained yet; --tables {table.layout.name} runs it."]
    return [f"Not trained yet: {', '.join(left)}; --columns runs them."] if left else []


_OF = {"encoder": "the encoder alone", "network": "encoder and head"}


def _how_counted(table: FilledTable) -> list[str]:
    """What Params and FLOPs are of, and for which image, in a table that has them."""
    part, cells = table.layout.count_flops_of, list(table.cells())
    if part is None:
        return []
    own = _distinct(cell.counted.crop for cell in cells if cell.counted)
    theirs = _distinct(cell.paper_counted.crop for cell in cells if cell.paper_counted)
    said = [
        f"Params and FLOPs are of {_OF[part]}. FLOPs are multiply-adds for one image, and two for each value that"
        " batch norm puts out.",
        _for_which_image(own, theirs),
        "Some results are of a version that did not count them."
        if any(cell.done and cell.counted is None for cell in cells)
        else "",
    ]
    return [" ".join(filter(None, said))]


def _for_which_image(own: str, theirs: str) -> str:
    """Whose networks ours are, and whether they were counted as the paper's were."""
    if own == NONE:
        return f"The paper’s are for images of {theirs}." if theirs != NONE else ""
    if theirs in (own, NONE):
        both = "; both are" if theirs == own else ","
        return f"Ours are of the networks that were trained here{both} for images of {own}."
    return (
        f"Ours are of the networks that were trained here, on {own}; the paper’s are on {theirs}: not to be compared."
    )


def _shared(noted: Iterable[tuple[str, str]]) -> list[str]:
    """Each note once, behind all the labels that it belongs to."""
    labels: dict[str, list[str]] = {}
    for label, note in noted:
        labels.setdefault(note, []).append(label)
    return [f"{', '.join(own)}: {note}" for note, own in labels.items()]


def _differences(table: FilledTable) -> list[str]:
    """What keeps cells from being compared with the paper; each reason once, with the cells it holds for."""
    holding: dict[str, list[FilledCell]] = {}
    trained = [cell for cell in table.cells() if cell.planned]
    for cell in trained:
        if not cell.comparable:
            for reason in (cell.not_comparable or "the protocol differs").split("; "):
                holding.setdefault(reason, []).append(cell)
    return [f"Not comparable with the paper ({_where(cells, trained)}): {why}" for why, cells in holding.items()]


def _where(cells: list[FilledCell], trained: list[FilledCell]) -> str:
    if len(cells) == len(trained):
        return "all cells"
    columns = {cell.column for cell in cells}
    if all(cell in cells for cell in trained if cell.column in columns):
        return f"all of {', '.join(dict.fromkeys(cell.column for cell in cells))}"
    return ", ".join(f"{cell.row} at {cell.column}" for cell in cells)


def comparisons(table: FilledTable) -> list[Comparison]:
    """All comparisons with the reference row."""
    return [cell.comparison for cell in table.cells() if cell.comparison is not None]


def smallest_gap(table: FilledTable) -> str:
    """How small a difference this number of seeds can see; empty where nothing was compared."""
    made = comparisons(table)
    gaps = sorted(each.detectable for each in made if each.detectable is not None)
    if not made:
        return ""
    if not gaps:
        return "One seed, or equal differences, show no spread: how small a gap can be seen is not known."
    counts = sorted({each.paired.n for each in made})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    span = f"{gaps[0]:.1f}" if f"{gaps[0]:.1f}" == f"{gaps[-1]:.1f}" else f"{gaps[0]:.1f} to {gaps[-1]:.1f}"
    least = min(each.paired.smallest_p for each in made)
    return (
        f"With {seeds} seeds that spread as these do, a gap has to be about {span} points to be seen reliably; "
        f"smaller ones may be there and be missed. The sign-flip test cannot give a p below {probability(least)} here."
    )
