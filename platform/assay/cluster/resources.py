"""What a cluster's nodes have, how much of it is free, and who holds the rest."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeResources:
    """What a node has, and how much of it nobody holds."""

    node_id: str
    name: str
    total: dict[str, float]
    free: dict[str, float]


def who_holds(address: str) -> str:
    """A sentence about the jobs that hold CPUs and GPUs of a cluster; empty where nobody does or nobody answers."""
    from ray.exceptions import RayError
    from ray.util.state.exception import RayStateApiException

    try:
        held, names = _held_by_job(address)
    except (RayStateApiException, RayError, OSError, ValueError):
        return ""  # a Ray without its dashboard has nobody to ask
    holders = [f"{names.get(job, f'job {job}')}: {amounts(each)}" for job, each in sorted(held.items())]
    return f"Held by {'; '.join(holders)}." if holders else ""


def _held_by_job(address: str) -> tuple[dict[str, Counter[str]], dict[str, str]]:
    """The resources that placement groups and actors of each job hold, and what the jobs are called."""
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
    return {job: each for job, each in held.items() if amounts(each)}, names


def amounts(resources: Mapping[str, float]) -> str:
    """The processors among resources, in words."""
    return ", ".join(count(resources[kind], kind) for kind in ("CPU", "GPU") if resources.get(kind))


def count(number: float, noun: str) -> str:
    """1 gang, 2 gangs."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"
