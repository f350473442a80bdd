"""The number and size of gangs that fit on a cluster or on this machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from assay.cluster.connection import cluster_address, connect, is_in_job
from assay.cluster.ray_internals import cpus_here, gpus_here
from assay.cluster.resources import NodeResources, amounts
from assay.errors import UserError
from assay.wording import count


class DoesNotFit(UserError):
    """A request for gangs that can never be placed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GangShape:
    """The number of gangs and their size."""

    gangs: int
    workers: int
    gpus_per_worker: float | None  # None: one GPU where a node has any
    widen: bool  # as many gangs as have room beside what others hold, instead of `gangs`


def fit_gangs(
    requested: GangShape, nodes: Sequence[NodeResources], tasks: int, *, at_most: Mapping[str, float] | None = None
) -> GangShape:
    """Return the shape with at least one gang: the requested number, or with `widen` those that fit now.

    Raise DoesNotFit where the nodes could never hold the shape.

    at_most: all resources that a growing cluster may come to have
    """
    has_gpus = any(resources.get("GPU") for resources in (*(node.total for node in nodes), at_most or {}))
    gpus = requested.gpus_per_worker if requested.gpus_per_worker is not None else float(has_gpus)
    needs = worker_needs(gpus)
    present = sum(_places(node.total, needs) for node in nodes)
    places = max(present, _places(at_most or {}, needs))
    if places < requested.workers:
        raise DoesNotFit(
            f"a gang of {count(requested.workers, 'worker')} needs {_amounts(needs, requested.workers)}, and there are"
            f" places for {places} such workers on {count(len(nodes), 'node')}; lower --workers or --gpus-per-worker."
        )
    most = places // requested.workers
    if not requested.widen and requested.gangs > most:
        raise DoesNotFit(
            f"{count(requested.gangs, 'gang')} of {count(requested.workers, 'worker')} need"
            f" {_amounts(needs, requested.gangs * requested.workers)}, and there are places for {places} such workers;"
            f" lower --gangs to {most}."
        )
    free = places - present + sum(_places(node.free, needs) for node in nodes)
    gangs = free // requested.workers if requested.widen else requested.gangs
    return dataclasses.replace(requested, gangs=max(1, min(gangs, tasks)), gpus_per_worker=gpus)


def fits_now(shape: GangShape, nodes: Sequence[NodeResources]) -> bool:
    """Return whether one gang can be placed beside what others hold."""
    needs = worker_needs(shape.gpus_per_worker or 0.0)
    return sum(_places(node.free, needs) for node in nodes) >= shape.workers


def worker_needs(gpus: float) -> dict[str, float]:
    """Return the resources that Ray reserves for one worker."""
    return {"CPU": 1.0} | ({"GPU": gpus} if gpus else {})


def _places(resources: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """Return the number of workers for which there are resources."""
    return min(int(resources.get(name, 0.0) / need) for name, need in needs.items())


def _amounts(needs: Mapping[str, float], times: int) -> str:
    return " and ".join(f"{times * need:g} {name}" for name, need in needs.items())


def preview(requested: GangShape, tasks: int, *, address: str | None) -> tuple[GangShape, str]:
    """Return the gangs that fit and the machines in words; raise DoesNotFit as the run would.

    A cluster reports its resources. No local Ray is started: it would have the resources of this machine.
    """
    if cluster_address(address, os.environ) is None:
        machine = _this_machine()
        return fit_gangs(requested, [machine], tasks), f"this machine ({amounts(machine.total)})"
    with connect(address) as connection:
        shape = fit_gangs(requested, connection.resources(), tasks, at_most=connection.at_most())
        return shape, connection.describe()


def _this_machine() -> NodeResources:
    """Return the resources that a local Ray would find."""
    gpus = gpus_here()
    total = {"CPU": float(cpus_here())} | ({"GPU": float(gpus)} if gpus else {})
    return NodeResources(node_id="", name="", total=total, free=dict(total))


def uses_gangs_by_default() -> bool:
    """Return whether gangs train where no flag chooses: on a cluster, or where there is a GPU."""
    in_cluster = bool(os.environ.get("RAY_ADDRESS")) or is_in_job()
    return in_cluster or any(Path("/dev").glob("nvidia[0-9]*"))
