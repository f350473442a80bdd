"""The texts of published orderings: how many hold, what that means, and what to run for more certainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from assay.analysis.filled_table import FilledTable
from assay.analysis.orderings import MOST_SEEDS, ColumnOrderings, Ordering, OrderingCounts, tally
from assay.analysis.statistics import ALPHA, POWER
from assay.report.formatting import number
from assay.wording import count

_FIRST_SPREAD = 3  # the number of seeds to run where one seed shows no spread

_MEANING = (
    "A published ordering is a pair of trained rows whose printed numbers differ. It holds where the difference here,"
    " a mean over equal seeds, has the same sign, is reversed where it has the other, and is open where it is not"
    " larger than its standard error."
)
_BEYOND_CHANCE = (
    f"Beyond chance: p of a paired t test is at most {ALPHA:g} after Holm’s correction for all orderings of the column."
)
# With n seeds the sign-flip test cannot give a p below 2 / 2^n.
_ABOUT_TESTS = (
    "The t test assumes that the differences are normally distributed. The sign-flip test of the differences from a"
    f" reference row does not, but needs at least {math.ceil(math.log2(2 / ALPHA))} seeds for such a p."
)


def headline(columns: Sequence[ColumnOrderings]) -> str:
    """Return how many published orderings hold in some columns together; empty where none is published."""
    if not columns:
        return ""
    counts = tally(columns)
    return " · ".join(filter(None, (_counts(counts, columns), _taus(columns), _seeds(columns))))


def column_lines(columns: Sequence[ColumnOrderings]) -> list[str]:
    """Return the same for each column alone, behind its name."""
    return [f"{column.table} at {column.column}: {headline([column])}" for column in columns]


def explanation(columns: Sequence[ColumnOrderings], *, with_assumptions: bool = False) -> str:
    """Return the meaning of a headline's words; of tests only where there are any, on request with what they assume."""
    if max(_common_seeds(columns), default=0) < 2:
        return _MEANING
    return " ".join((_MEANING, _BEYOND_CHANCE, *([_ABOUT_TESTS] if with_assumptions else [])))


def left_out(table: FilledTable) -> str:
    """Return a sentence on the trained rows that are not the paper's; empty without any."""
    rows = [
        f"{row.label} ({row.not_the_papers})"
        for row, cells in table.lines()
        if row.not_the_papers and any(cell.planned for cell in cells)
    ]
    return f"Left out, as another thing than the paper’s row: {'; '.join(rows)}." if rows else ""


def _counts(counts: OrderingCounts, columns: Iterable[ColumnOrderings]) -> str:
    if not counts.judged:
        return f"{count(counts.waiting, 'published ordering')}, not judged yet: rows wait for trainings"
    waiting = f"; {counts.waiting} more {'waits' if counts.waiting == 1 else 'wait'} for trainings"
    return _judged(counts, columns) + (waiting if counts.waiting else "")


def _judged(counts: OrderingCounts, columns: Iterable[ColumnOrderings]) -> str:
    if all(seeds < 2 for seeds in _common_seeds(columns)):
        are_open = "all open" if counts.judged > 1 else "open"
        return f"{count(counts.judged, 'published ordering')}, {are_open}: one seed shows no spread"
    return ", ".join(
        (
            f"{counts.hold} of {counts.judged} published orderings {'holds' if counts.hold == 1 else 'hold'}"
            + _beyond_chance(counts.hold, counts.hold_beyond_chance),
            f"{counts.reversed or 'none'} reversed" + _beyond_chance(counts.reversed, counts.reversed_beyond_chance),
            f"{counts.open or 'none'} open",
        )
    )


def _beyond_chance(of: int, beyond: int) -> str:
    return f" ({beyond or 'none'} beyond chance)" if of else ""


def _common_seeds(columns: Iterable[ColumnOrderings]) -> list[int]:
    """Return the different numbers of seeds that two complete rows have in common."""
    orderings = (ordering for column in columns for ordering in column.orderings)
    judged = (ordering for ordering in orderings if ordering.verdict != "waiting")
    return sorted({0 if ordering.test is None else ordering.test.n for ordering in judged})


def _seeds(columns: Iterable[ColumnOrderings]) -> str:
    seeds = _common_seeds(columns)
    if not seeds:
        return ""
    return count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"


def _taus(columns: Sequence[ColumnOrderings]) -> str:
    taus = sorted(column.tau for column in columns if column.tau is not None)
    ends = dict.fromkeys(map(number, (taus[0], taus[-1]))) if taus else ()
    name = "Kendall’s τ by column" if len(columns) > 1 else "Kendall’s τ"
    return f"{name} {' to '.join(ends)}" if taus else ""


# --- what to run next ----------------------------------------------------------------------------------------


def next_step(
    columns: Sequence[ColumnOrderings], *, command: Callable[[Sequence[int]], str], has_failures: bool = False
) -> str:
    """Return what to run for more certainty; empty where no ordering is published.

    command: writes the command that trains the given seeds
    has_failures: whether failed trainings can be tried again
    """
    counts = tally(columns)
    if not columns:
        return ""
    if counts.waiting:
        retry = "; --retry-failed trains failed ones again" if has_failures else ""
        return f"next: {count(counts.waiting, 'published ordering')} still without all trainings{retry}"
    planned = sorted({seed for column in columns for seed in column.seeds})
    orderings = [ordering for column in columns for ordering in column.orderings]
    if any(ordering.test is None or ordering.test.n < 2 for ordering in orderings):
        seeds = _extended(planned, _FIRST_SPREAD)
        return f"next: one seed shows no spread, {len(seeds)} seeds do: {command(seeds)}"
    opened = [ordering for ordering in orderings if ordering.verdict == "open"]
    state = _open_state(opened)
    needed = _needed(opened) or _needed(orderings)  # where none is open within reach, those that may be chance
    if not needed:
        return f"next: {state}"
    which = count(len(needed), "open ordering" if _needed(opened) else "ordering")
    return (
        f"next: {state}; about {max(needed)} seeds would show {which}{'' if _needed(opened) else ' not beyond chance'}"
        f" (t test, Holm, power {100 * POWER:.0f} %, if difference and spread stay):"
        f" {command(_extended(planned, max(needed)))}"
    )


def _open_state(opened: Sequence[Ordering]) -> str:
    """Return the number of open orderings, and how many of them are out of reach."""
    out_of_reach = len(opened) - len(_needed(opened))
    if not out_of_reach:
        return f"{len(opened) or 'nothing'} {'is' if len(opened) < 2 else 'are'} open"
    return (
        f"{out_of_reach} of {count(len(opened), 'open ordering')} {'needs' if out_of_reach == 1 else 'need'} more than"
        f" {MOST_SEEDS} seeds, no difference that a run of this size could show"
    )


def _needed(orderings: Iterable[Ordering]) -> list[int]:
    """Return the numbers of seeds of the orderings that more seeds would show, and that are within reach."""
    judged = ((ordering.test, ordering.seeds_needed) for ordering in orderings)
    return [seeds for test, seeds in judged if test is not None and seeds is not None and seeds > test.n]


def _extended(seeds: Sequence[int], to: int) -> list[int]:
    """Return the seeds with those that follow, so many in all."""
    first = max(seeds, default=-1) + 1
    return [*seeds, *range(first, first + max(0, to - len(seeds)))]
