"""The resources of a cluster's nodes, and the jobs that hold them."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

from assay.wording import count


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeResources:
    """The resources of a node, all of them and the free ones."""

    node_id: str
    name: str
    total: dict[str, float]
    free: dict[str, float]


def holders_text(address: str) -> str:
    """Return a sentence about the jobs that hold a cluster's CPUs and GPUs; empty where there is none or no answer."""
    from ray.exceptions import RayError
    from ray.util.state.exception import RayStateApiException

    try:
        held, names = _held_by_job(address)
    except (RayStateApiException, RayError, OSError, ValueError):
        return ""  # a Ray without a dashboard cannot answer
    holders = [f"{names.get(job, f'job {job}')}: {amounts(resources)}" for job, resources in sorted(held.items())]
    return f"Held by {'; '.join(holders)}." if holders else ""


def _held_by_job(address: str) -> tuple[dict[str, Counter[str]], dict[str, str]]:
    """Return the resources that placement groups and actors of each job hold, and the names of the jobs."""
    import ray
    from ray.util.state import list_actors, list_jobs, list_placement_groups

    limits: dict[str, Any] = {"address": address, "limit": 1000, "timeout": 5, "raise_on_missing_output": False}
    held: dict[str, Counter[str]] = {}
    for group in list_placement_groups(detail=True, filters=[("state", "=", "CREATED")], **limits):
        for bundle in group.bundles or ():
            held.setdefault(group.creator_job_id, Counter()).update(bundle["unit_resources"])
    for actor in list_actors(detail=True, filters=[("state", "=", "ALIVE")], **limits):
        if not actor.placement_group_id:  # else it is counted with the group
            held.setdefault(actor.job_id, Counter()).update(actor.required_resources or {})
    names = {job.job_id: f"job {job.job_id} ({textwrap.shorten(job.entrypoint, 80)})" for job in list_jobs(**limits)}
    names[ray.get_runtime_context().get_job_id()] = "this program"
    return {job: resources for job, resources in held.items() if amounts(resources)}, names


def amounts(resources: Mapping[str, float]) -> str:
    """Return the processors among resources in words."""
    return ", ".join(count(resources[kind], kind) for kind in ("CPU", "GPU") if resources.get(kind))
