"""How large and how fast a study's networks are: students beside the teachers that their experiments have inside."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from assay.disambiguate import distinguishing_texts, flatten
from assay.results.nested import inside

Line = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """One network as it was measured under one set of conditions."""

    network: str  # encoder and head, and what sets it apart from others with the same
    crop: str  # on which multiply-adds are counted and latency is measured
    params: float
    macs: float | None
    latency_ms: float | None  # the middle one of all its trainings
    latency_at: str | None  # processor and threads
    trainings: int
    rows: tuple[str, ...]  # whose own network it is
    inside: tuple[str, ...]  # the rows whose experiments have it inside
    miou: tuple[float, float] | None  # of its trainings, the least and the greatest


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
    miou: float | None
    net: Mapping[str, Any]  # by path; empty in results of older versions
    row: str
    inside: bool


def sizes(lines: Iterable[Line]) -> tuple[Size, ...]:
    """Every network of a study's finished trainings, the largest last; none where there is only one network."""
    found: dict[_Kind, list[_Use]] = {}
    for line in lines:
        _add(found, line, line["row"], net=_own_net(line), inner=False)
        for each in inside(line):
            _add(found, each, line["row"], net=each["net"], inner=True)
    if len({kind[:-1] for kind in found}) < 2:
        return ()
    ordered = sorted(found, key=lambda kind: (kind.params, kind.macs or 0))
    names = _names({kind: found[kind] for kind in ordered})
    return tuple(_size(kind, names[kind], found[kind]) for kind in ordered)


def _own_net(line: Line) -> Any:
    experiment = line.get("experiment")
    return json.loads(experiment)["net"] if experiment else None


def _add(found: dict[_Kind, list[_Use]], line: Line, row: str, *, net: Any, inner: bool) -> None:
    if line["status"] != "done" or line["params"] is None:
        return
    name = f"{line['encoder']}, {line['arch']}"
    kind = _Kind(name, line["crop"], line["params"], line["macs"], line["latency_at"])
    use = _Use(line["key"], line["latency_ms"], line["miou"], flatten(net or {}), row, inner)
    found.setdefault(kind, []).append(use)


def _names(found: Mapping[_Kind, Sequence[_Use]]) -> dict[_Kind, str]:
    """What each network is called; where several have one encoder and head, with the paths that set them apart."""
    names: dict[_Kind, str] = {}
    for name in dict.fromkeys(kind.network for kind in found):
        own = [kind for kind in found if kind.network == name]
        # What differs between trainings of one line does not set it apart.
        mixed = {path for kind in own for path in _mixed([use.net for use in found[kind]])}
        nets = [{path: value for path, value in found[kind][0].net.items() if path not in mixed} for kind in own]
        told = distinguishing_texts(nets)
        names |= {kind: ", ".join(filter(None, (name, each))) for kind, each in zip(own, told, strict=True)}
    return names


def _mixed(nets: Sequence[Mapping[str, Any]]) -> set[str]:
    """The paths at which networks do not agree."""
    first = nets[0]
    return {path for net in nets for path in first.keys() | net.keys() if first.get(path) != net.get(path)}


def _size(kind: _Kind, name: str, uses: Sequence[_Use]) -> Size:
    own = dict.fromkeys(use.row for use in uses if not use.inside)
    # A teacher is one training, whichever rows it serves.
    trainings = {use.key: use for use in uses}.values()
    measured = [use.latency_ms for use in trainings if use.latency_ms is not None]
    scores = [use.miou for use in trainings if use.miou is not None]
    return Size(
        **kind._asdict() | {"network": name},
        latency_ms=statistics.median(measured) if measured else None,
        trainings=len(trainings),
        rows=tuple(own),
        inside=tuple(dict.fromkeys(use.row for use in uses if use.inside)),
        miou=(min(scores), max(scores)) if scores else None,
    )
