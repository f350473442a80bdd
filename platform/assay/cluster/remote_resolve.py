"""Resolving on a cluster's nodes what this machine cannot read: a login node often has neither data nor lists."""

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
from assay.wording import count

_NODES = 8  # nodes that try at most: files that so many nodes do not have are nowhere
_TIMEOUT = 300.0  # seconds for one node; a large data set on a slow file server takes a while to list


def resolve_on_nodes(
    experiments: Sequence[Experiment], places: Places, *, address: str | None, print_line: Callable[[str], None]
) -> list[Resolved]:
    """Return the experiments that a cluster's nodes, one after another, can resolve; none where there is no cluster.

    One result stands for all seeds of an experiment. Experiments that no node resolves are left out; `print_line`
    gets the reason.
    """
    open_experiments = list({without_seed(experiment): experiment for experiment in experiments}.values())
    if not open_experiments or cluster_address(address, os.environ) is None:
        return []
    resolved: list[Resolved] = []
    with _connection(address) as connection:
        nodes = _nodes_to_try(connection)
        if not nodes:
            print_line("the cluster has no node with a CPU yet that could resolve what this machine cannot read")
        for node in nodes:
            results = _resolve_on(node, open_experiments, places)
            resolved += [result for result in results if isinstance(result, Resolved)]
            problems = list(dict.fromkeys(result for result in results if isinstance(result, str)))
            if problems:
                more = f" And {count(len(problems) - 1, 'other problem')}." if problems[1:] else ""
                print_line(f"unresolved on node {node.name}: {problems[0]}{more}")
            open_experiments = [
                experiment
                for experiment, result in zip(open_experiments, results, strict=True)
                if not isinstance(result, Resolved)
            ]
            if not open_experiments:
                break
    return resolved


@contextlib.contextmanager
def _connection(address: str | None) -> Iterator[Connection]:
    """Yield the connection of this process, since a search resolves while its gangs train, or else a new one."""
    import ray

    if ray.is_initialized():
        yield Connection(is_local=False, address=ray.get_runtime_context().gcs_address)
        return
    with connect(address, quiet=not os.environ.get("ASSAY_RAY_LOGS")) as connection:
        yield connection


def _nodes_to_try(connection: Connection) -> list[NodeResources]:
    """Return the nodes that could train something, nodes with GPUs first."""
    nodes = [node for node in connection.resources() if node.total.get("CPU")]
    return sorted(nodes, key=lambda node: -node.total.get("GPU", 0.0))[:_NODES]


def _resolve_on(node: NodeResources, experiments: Sequence[Experiment], places: Places) -> list[Resolved | str]:
    """Return a node's result for each experiment: resolved, or the reason why not."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    on_node = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
    task = ray.remote(resolve_here).options(num_cpus=0, max_retries=0, scheduling_strategy=on_node)
    reference = task.remote([experiment.to_json() for experiment in experiments], places, code_hash(), node.name)
    try:
        results: list[Resolved | str] = ray.get(reference, timeout=_TIMEOUT)
    except ray.exceptions.GetTimeoutError:
        ray.cancel(reference, force=True)
        return [f"the node gave no answer in {_TIMEOUT:.0f} seconds"] * len(experiments)
    except ray.exceptions.RayError as problem:
        return [f"the node failed ({str(problem).strip().splitlines()[-1]})"] * len(experiments)
    return results


def resolve_here(experiments: Sequence[Any], places: Places, code: str, node: str) -> list[Resolved | str]:
    """Resolve experiments, given as JSON, with the files of this node; the result of each may be the reason why not."""
    try:
        check_code(code)
    except UserError as error:
        return [str(error)] * len(experiments)
    resolver = Resolver(places.on_this_machine(), resolved_on=node)
    return [_resolve(resolver, Experiment.from_json(experiment)) for experiment in experiments]


def _resolve(resolver: Resolver, experiment: Experiment) -> Resolved | str:
    try:
        return resolver.resolve(experiment)
    except UserError as error:
        return str(error)
