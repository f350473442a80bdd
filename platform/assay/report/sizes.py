"""How large and how fast a study's networks are: students beside the teachers that their experiments have inside."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Line = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """One network as it was measured under one set of conditions."""

    network: str  # encoder and head
    crop: str  # on which multiply-adds are counted and latency is measured
    params: float
    macs: float | None
    latency_ms: float | None  # the middle one of all its trainings
    latency_at: str | None  # processor and threads
    trainings: int
    rows: tuple[str, ...]  # whose own network it is
    inside: tuple[str, ...]  # the rows whose experiments have it inside


class _Kind(NamedTuple):
    """What tells networks apart, and latencies that cannot be compared."""

    network: str
    crop: str
    params: float
    macs: float | None
    latency_at: str | None


class _Use(NamedTuple):
    key: str
    latency_ms: float | None
    row: str
    inside: bool


def sizes(lines: Iterable[Line]) -> tuple[Size, ...]:
    """Every network of a study's finished trainings, the largest last; none where there is only one network."""
    found: dict[_Kind, list[_Use]] = {}
    for line in lines:
        if line["status"] == "done":
            _add(found, line, line, inside=False)
        for each in json.loads(line["inside"] or "[]"):
            _add(found, each, line, inside=True)
    if len({kind[:-1] for kind in found}) < 2:
        return ()
    ordered = sorted(found, key=lambda kind: (kind.params, kind.macs or 0))
    return tuple(_size(kind, found[kind]) for kind in ordered)


def _add(found: dict[_Kind, list[_Use]], network: Line, line: Line, *, inside: bool) -> None:
    if network["params"] is None:
        return
    name = f"{network['encoder']}, {network['arch']}"
    kind = _Kind(name, network["crop"], network["params"], network["macs"], network["latency_at"])
    found.setdefault(kind, []).append(_Use(network["key"], network["latency_ms"], line["row"], inside))


def _size(kind: _Kind, uses: Sequence[_Use]) -> Size:
    own = dict.fromkeys(use.row for use in uses if not use.inside)
    # A teacher is one training, whichever rows it serves.
    times = {use.key: use.latency_ms for use in uses}
    measured = [time for time in times.values() if time is not None]
    return Size(
        **kind._asdict(),
        latency_ms=statistics.median(measured) if measured else None,
        trainings=len(times),
        rows=tuple(own),
        inside=tuple(dict.fromkeys(use.row for use in uses if use.inside)),
    )
