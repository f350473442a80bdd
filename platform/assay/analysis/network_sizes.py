"""Size and speed of a study's networks: students beside the teachers that are nested in their experiments."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from assay.analysis.filled_table import Record
from assay.disambiguate import distinguishing_texts, flatten
from assay.results.nested import nested_records


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSize:
    """One network, measured under one set of conditions."""

    network: str  # encoder and head, and the values in which it differs from others with the same
    crop: str  # the image of multiply-adds and latency
    params: float
    macs: float | None
    latency_ms: float | None  # the median of all its trainings
    latency_at: str | None  # processor and threads
    trainings: int
    rows: tuple[str, ...]  # the rows that train it
    nested_in: tuple[str, ...]  # the rows with experiments in which it is nested
    miou: tuple[float, float] | None  # the least and the greatest of its trainings


class _Kind(NamedTuple):
    """The values that distinguish networks, and latencies that cannot be compared."""

    network: str
    crop: str
    params: float
    macs: float | None
    latency_at: str | None


class _Use(NamedTuple):
    """One training of a network."""

    key: str
    latency_ms: float | None
    miou: float | None
    net: Mapping[str, Any]  # by path; empty in results of older versions
    row: str
    is_nested: bool


def sizes(records: Iterable[Record]) -> tuple[NetworkSize, ...]:
    """Return every network of a study's finished trainings, the largest last; empty where there is only one."""
    uses: dict[_Kind, list[_Use]] = {}
    for record in records:
        _add(uses, record, record["row"], net=_net_of_cell(record), is_nested=False)
        for nested in nested_records(record):
            _add(uses, nested, record["row"], net=nested["net"], is_nested=True)
    if len({kind[:-1] for kind in uses}) < 2:
        return ()
    ordered = sorted(uses, key=lambda kind: (kind.params, kind.macs or 0))
    names = _names({kind: uses[kind] for kind in ordered})
    return tuple(_size(kind, names[kind], uses[kind]) for kind in ordered)


def _net_of_cell(record: Record) -> Any:
    experiment = record.get("experiment")
    return json.loads(experiment)["net"] if experiment else None


def _add(uses: dict[_Kind, list[_Use]], record: Record, row: str, *, net: Any, is_nested: bool) -> None:
    if record["status"] != "done" or record["params"] is None:
        return
    name = f"{record['encoder']}, {record['arch']}"
    kind = _Kind(name, record["crop"], record["params"], record["macs"], record["latency_at"])
    use = _Use(record["key"], record["latency_ms"], record["miou"], flatten(net or {}), row, is_nested)
    uses.setdefault(kind, []).append(use)


def _names(uses: Mapping[_Kind, Sequence[_Use]]) -> dict[_Kind, str]:
    """Return a name for each network; several with one encoder and head get the paths at which they differ."""
    names: dict[_Kind, str] = {}
    for name in dict.fromkeys(kind.network for kind in uses):
        kinds = [kind for kind in uses if kind.network == name]
        # A path at which trainings of one network differ does not distinguish it from others.
        mixed = {path for kind in kinds for path in _mixed([use.net for use in uses[kind]])}
        nets = [{path: value for path, value in uses[kind][0].net.items() if path not in mixed} for kind in kinds]
        for kind, values in zip(kinds, distinguishing_texts(nets), strict=True):
            names[kind] = ", ".join(filter(None, (name, values)))
    return names


def _mixed(nets: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the paths at which networks differ."""
    first = nets[0]
    return {path for net in nets for path in first.keys() | net.keys() if first.get(path) != net.get(path)}


def _size(kind: _Kind, name: str, uses: Sequence[_Use]) -> NetworkSize:
    # A teacher of several rows is one training.
    trainings = {use.key: use for use in uses}.values()
    latencies = [use.latency_ms for use in trainings if use.latency_ms is not None]
    scores = [use.miou for use in trainings if use.miou is not None]
    return NetworkSize(
        **kind._asdict() | {"network": name},
        latency_ms=statistics.median(latencies) if latencies else None,
        trainings=len(trainings),
        rows=tuple(dict.fromkeys(use.row for use in uses if not use.is_nested)),
        nested_in=tuple(dict.fromkeys(use.row for use in uses if use.is_nested)),
        miou=(min(scores), max(scores)) if scores else None,
    )
