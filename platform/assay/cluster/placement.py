"""How many gangs of what size there can be, and where: asked of a cluster, or of this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.cluster.connection import cluster_address, connect
from assay.cluster.ray_internals import cpus_here, gpus_here
from assay.cluster.resources import NodeResources, amounts
from assay.errors import UserError


class DoesNotFit(UserError):
    """There can never be so many gangs of this size."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GangShape:
    """How many gangs of what size."""

    gangs: int
    workers: int
    gpus_per_worker: float | None  # one where there are any, if nothing is said
    widen: bool  # as many gangs as have room beside what others hold, instead of `gangs`


def fitting(
    asked: GangShape, nodes: Sequence[NodeResources], tasks: int, *, at_most: Mapping[str, float] | None = None
) -> GangShape:
    """The gangs that can be placed once nobody else is there; what can never be is refused by name.

    at_most: what a cluster that grows may come to have in all
    """
    has_gpus = any(each.get("GPU") for each in (*(node.total for node in nodes), at_most or {}))
    gpus = asked.gpus_per_worker if asked.gpus_per_worker is not None else float(has_gpus)
    needs = worker_needs(gpus)
    there = sum(_places(node.total, needs) for node in nodes)
    places = max(there, _places(at_most or {}, needs))
    if places < asked.workers:
        raise DoesNotFit(
            f"a gang of {asked.workers} workers needs {_amounts(needs, asked.workers)}, and there are places for"
            f" {places} such workers on {len(nodes)} nodes; lower --workers or --gpus-per-worker."
        )
    most = places // asked.workers
    if not asked.widen and asked.gangs > most:
        raise DoesNotFit(
            f"{asked.gangs} gangs of {asked.workers} workers need {_amounts(needs, asked.gangs * asked.workers)}, and"
            f" there are places for {places} such workers; lower --gangs to {most}."
        )
    free = places - there + sum(_places(node.free, needs) for node in nodes)
    wanted = free // asked.workers if asked.widen else asked.gangs
    return dataclasses.replace(asked, gangs=max(1, min(wanted, tasks)), gpus_per_worker=gpus)


def fits_now(shape: GangShape, nodes: Sequence[NodeResources]) -> bool:
    """Whether one gang can be placed beside what others hold."""
    needs = worker_needs(shape.gpus_per_worker or 0.0)
    return sum(_places(node.free, needs) for node in nodes) >= shape.workers


def worker_needs(gpus: float) -> dict[str, float]:
    """What Ray sets aside for one worker."""
    return {"CPU": 1.0} | ({"GPU": gpus} if gpus else {})


def _places(there: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many workers have room in this."""
    return min(int(there.get(name, 0.0) / each) for name, each in needs.items())


def _amounts(needs: Mapping[str, float], times: int) -> str:
    return " and ".join(f"{times * each:g} {name}" for name, each in needs.items())


def preview(asked: GangShape, tasks: int, *, address: str | None) -> tuple[GangShape, str]:
    """How many gangs of what size fit, and on what; what can never fit is refused as the run would refuse it.

    A cluster is asked. A Ray of our own is not started for this: it would have what this machine has.
    """
    if cluster_address(address, os.environ) is None:
        here = _this_machine()
        return fitting(asked, [here], tasks), f"this machine ({amounts(here.total)})"
    with connect(address) as connection:
        shape = fitting(asked, connection.resources(), tasks, at_most=connection.at_most())
        return shape, connection.describe()


def _this_machine() -> NodeResources:
    """Return what a Ray that is started here finds."""
    gpus = gpus_here()
    total = {"CPU": float(cpus_here())} | ({"GPU": float(gpus)} if gpus else {})
    return NodeResources(node_id="", name="", total=total, free=dict(total))


def gangs_by_default() -> int:
    """Gangs, as many as fit, on a cluster or where there is a GPU; none on a laptop."""
    # The second is what Ray sets for a job's driver.
    in_cluster = bool(os.environ.get("RAY_ADDRESS") or os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR"))
    return 1 if in_cluster or any(Path("/dev").glob("nvidia[0-9]*")) else 0
