"""The gangs that a run would start, asked before it begins."""

from __future__ import annotations

import os

from assay.cluster.connection import cluster_address, connect
from assay.cluster.resources import NodeResources
from assay.cluster.shape import Shape, fitting
from assay.cluster.where import cpus_here


def preview(asked: Shape, tasks: int, *, address: str | None) -> tuple[Shape, str]:
    """How many gangs of what size fit, and on what; what can never fit is refused as the run would refuse it.

    A cluster is asked. A Ray of our own is not started for this: it would have what this machine has.
    """
    if cluster_address(address, os.environ) is None:
        here = _this_machine()
        return fitting(asked, [here], tasks), f"this machine ({_amounts(here.total)})"
    with connect(address) as connection:
        shape = fitting(asked, connection.resources(), tasks, at_most=connection.at_most())
        return shape, connection.describe()


def _this_machine() -> NodeResources:
    """What a Ray that is started here finds."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager = get_accelerator_manager_for_resource("GPU")
    found = manager.get_current_node_num_accelerators() if manager is not None else 0
    chosen = manager.get_current_process_visible_accelerator_ids() if manager is not None else None
    gpus = found if chosen is None else min(found, len(chosen))
    total = {"CPU": float(cpus_here())} | ({"GPU": float(gpus)} if gpus else {})
    return NodeResources(node_id="", name="", total=total, free=dict(total))


def _amounts(resources: dict[str, float]) -> str:
    return ", ".join(f"{number:g} {name}" for name, number in resources.items())
