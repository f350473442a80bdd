"""The verdict of a cell on the paper's number."""

from __future__ import annotations

import dataclasses
from typing import Literal

from assay.analysis.filled_table import FilledCell

VerdictKind = Literal[
    "reproduced", "above", "below", "one seed", "not comparable", "unpublished",
    "failed", "blocked", "running", "waiting", "quoted", "empty",
]  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """A kind of verdict with its text."""

    kind: VerdictKind
    text: str
    detail: str = ""  # the deviations from the paper's protocol

    def __str__(self) -> str:
        return f"{self.text}: {self.detail}" if self.detail else self.text


def verdict(cell: FilledCell) -> Verdict:
    """Return the verdict of a cell whose seeds are all finished; until then, the worst state of its seeds.

    A failed seed might have scored low, so the mean of the others gives no verdict.
    """
    if not cell.planned:
        return Verdict(kind="empty", text="") if cell.paper is None else Verdict(kind="quoted", text="quoted")
    for state in ("failed", "blocked", "running", "waiting"):
        if cell.count(state):
            return Verdict(kind=state, text=state)
    if not cell.comparable:
        return Verdict(kind="not comparable", text="not comparable", detail=cell.not_comparable)
    if cell.paper is None:
        return Verdict(kind="unpublished", text="no published number")
    return _against_paper(cell, cell.paper)


def _against_paper(cell: FilledCell, paper: float) -> Verdict:
    """Return the verdict of the interval of our mean; one seed has no interval."""
    ours = cell.last
    if ours.low is None or ours.high is None:
        return Verdict(kind="one seed", text="one seed: no verdict")
    if ours.low <= paper <= ours.high:
        return Verdict(kind="reproduced", text="reproduced")
    return Verdict(kind="above", text="above") if paper < ours.low else Verdict(kind="below", text="below")
