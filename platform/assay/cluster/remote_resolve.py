"""Resolving on a cluster's nodes what this machine cannot read: a login node often sees neither data nor lists."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from assay.cluster.connection import Connection, cluster_address, connect
from assay.cluster.resources import NodeResources
from assay.cluster.worker_checks import check_code, code_hash
from assay.errors import UserError
from assay.experiment import Experiment
from assay.places import Places
from assay.resolve import Resolved, Resolver, without_seed

_NODES = 8  # that are asked at the most: what so many do not see is nowhere
_PATIENCE = 300.0  # seconds for one node's answer; a large data set on a slow file server takes a while to list


def resolve_on_nodes(
    experiments: Sequence[Experiment], places: Places, *, address: str | None, say: Callable[[str], None]
) -> list[Resolved]:
    """What the nodes of a cluster resolve of these, one node after another; nothing where there is no cluster.

    One answer stands for all seeds of an experiment. What no node resolves is left out, and `say` is told why.
    """
    wanted = list({without_seed(each): each for each in experiments}.values())
    if not wanted or cluster_address(address, os.environ) is None:
        return []
    found: list[Resolved] = []
    with _connected(address) as connection:
        nodes = _in_turn(connection)
        if not nodes:
            say("no node with a CPU is there yet that could be asked for what this machine does not see")
        for node in nodes:
            answers = _asked(node, wanted, places)
            found += [each for each in answers if isinstance(each, Resolved)]
            problems = list(dict.fromkeys(each for each in answers if isinstance(each, str)))
            if problems:
                more = f" And {len(problems) - 1} more of this kind." if problems[1:] else ""
                say(f"unresolved on node {node.name}: {problems[0]}{more}")
            wanted = [each for each, answer in zip(wanted, answers, strict=True) if not isinstance(answer, Resolved)]
            if not wanted:
                break
    return found


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[Connection]:
    """The connection that this process has, since a search asks while its gangs train; else one for the question."""
    import ray

    if ray.is_initialized():
        yield Connection(is_local=False, address=ray.get_runtime_context().gcs_address)
        return
    with connect(address, quiet=not os.environ.get("ASSAY_RAY_LOGS")) as connection:
        yield connection


def _in_turn(connection: Connection) -> list[NodeResources]:
    """The nodes on which something could be trained, those with GPUs first."""
    nodes = [each for each in connection.resources() if each.total.get("CPU")]
    return sorted(nodes, key=lambda node: -node.total.get("GPU", 0.0))[:_NODES]


def _asked(node: NodeResources, experiments: Sequence[Experiment], places: Places) -> list[Resolved | str]:
    """A node's answers; where it gives none, that for each."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
    task = ray.remote(look).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    answer = task.remote([each.to_json() for each in experiments], places, code_hash(), node.name)
    try:
        found: list[Resolved | str] = ray.get(answer, timeout=_PATIENCE)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(answer, force=True)
        return [f"it gave no answer in {_PATIENCE:.0f} seconds"] * len(experiments)
    except ray.exceptions.RayError as problem:
        return [f"it could not be asked ({str(problem).strip().splitlines()[-1]})"] * len(experiments)
    return found


def look(experiments: Sequence[Any], places: Places, code: str, node: str) -> list[Resolved | str]:
    """On a node: each experiment resolved with this node's files, or why it cannot be."""
    try:
        check_code(code)
    except UserError as error:
        return [str(error)] * len(experiments)
    resolver = Resolver(places.on_this_machine(), resolved_on=node)
    return [_resolved(resolver, Experiment.from_json(each)) for each in experiments]


def _resolved(resolver: Resolver, experiment: Experiment) -> Resolved | str:
    try:
        return resolver.resolve(experiment)
    except UserError as error:
        return str(error)
