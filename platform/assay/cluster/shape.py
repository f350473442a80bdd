"""How many gangs of what size there can be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from assay.cluster.connection import NodeResources
from assay.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """How many gangs of what size."""

    gangs: int
    workers: int
    gpus_per_worker: float | None  # one where there are any, if nothing is said
    widen: bool  # as many gangs as fit, instead of `gangs`


def fitting(asked: Shape, nodes: Sequence[NodeResources], tasks: int) -> Shape:
    """The gangs that can be placed once nobody else is there; what can never be is refused by name."""
    has_gpus = any(node.total.get("GPU") for node in nodes)
    gpus = asked.gpus_per_worker if asked.gpus_per_worker is not None else float(has_gpus)
    name, each = ("GPU", gpus) if gpus else ("CPU", 1.0)
    places = sum(int(node.total.get(name, 0.0) / each) for node in nodes)
    if places < asked.workers:
        raise UserError(
            f"a gang of {asked.workers} workers needs {asked.workers * each:g} {name}, and there are places for"
            f" {places} such workers on {len(nodes)} nodes; lower --workers or --gpus-per-worker."
        )
    most = places // asked.workers
    if not asked.widen and asked.gangs > most:
        raise UserError(
            f"{asked.gangs} gangs of {asked.workers} workers need {asked.gangs * asked.workers * each:g} {name}, and"
            f" there are places for {places} such workers; lower --gangs to {most}."
        )
    wanted = most if asked.widen else asked.gangs
    return dataclasses.replace(asked, gangs=max(1, min(wanted, tasks)), gpus_per_worker=gpus)


def fits_now(shape: Shape, nodes: Sequence[NodeResources]) -> bool:
    """Whether one gang can be placed beside what others hold."""
    name, each = ("GPU", shape.gpus_per_worker) if shape.gpus_per_worker else ("CPU", 1.0)
    return sum(int(node.free.get(name, 0.0) / each) for node in nodes) >= shape.workers
