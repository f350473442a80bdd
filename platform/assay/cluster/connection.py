"""A connection to Ray: to an existing cluster, or to a local Ray on this machine that ends with the connection.

Ray is imported inside functions here, so that `--help` and mistakes in an address are answered without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.cluster.jobs import CODE_PATH, checkout, code_copy
from assay.cluster.processes import kill, local_ray_folder, local_ray_processes, wait_for_end
from assay.cluster.ray_internals import (
    autoscaling_limit,
    cpus_here,
    environment_variables,
    free_resources,
    head_address,
    import_disconnected_ray,
    init,
    require_head,
    restored_handler,
    separate_process_groups,
)
from assay.cluster.resources import NodeResources, amounts, holders_text
from assay.cluster.worker_checks import packages
from assay.errors import UserError
from assay.wording import count

OBJECT_STORE = 200 * 2**20  # bytes; results go through the store on disk, so that little passes through Ray's memory
_IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for a job's driver
# Under `uv run` Ray would send the whole working folder along and start every worker through uv.
_NO_UV: dict[str, str | None] = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Connection:
    """A connection of this process to a Ray."""

    is_local: bool  # started by this process, and ended with the connection
    address: str
    folder: str = ""  # of a local Ray's files

    def kill(self) -> None:
        """Kill the processes of a local Ray, where this process is about to end in the same way."""
        if self.is_local:
            kill(local_ray_processes(self.folder))

    def describe(self) -> str:
        """Return the machines and their processors, for the first line of a run."""
        nodes = self.resources()
        totals = Counter[str]()
        for node in nodes:
            totals.update(node.total)
        machines = (
            "this machine" if self.is_local else f"the Ray cluster at {self.address}, {count(len(nodes), 'node')}"
        )
        return f"{machines}: {amounts(totals) or 'no CPU'}"

    def resources(self) -> list[NodeResources]:
        """Return the resources of each living node, all of them and the free ones."""
        import ray

        free = free_resources()
        return [
            NodeResources(
                node_id=node["NodeID"],
                name=node["NodeManagerHostname"],
                total=dict(node["Resources"]),
                # Ray leaves out resources that are used up.
                free={name: free.get(node["NodeID"], {}).get(name, 0.0) for name in node["Resources"]},
            )
            for node in ray.nodes()
            if node["Alive"]
        ]

    def at_most(self) -> dict[str, float] | None:
        """Return all resources that a cluster's autoscaler may come to provide; None where there is no autoscaler."""
        return autoscaling_limit()

    def holders_text(self) -> str:
        """Return a sentence about the jobs that hold CPUs and GPUs; empty where there is none or nothing is known."""
        # Nobody else uses a local Ray, and the port of its dashboard may belong to another Ray.
        return "" if self.is_local else holders_text(self.address)


def connect(
    address: str | None, *, cpus: int | None = None, dashboard: bool = False, quiet: bool = True
) -> contextlib.AbstractContextManager[Connection]:
    """Connect to the cluster that `address` or RAY_ADDRESS names or that runs this job, else to a local Ray.

    address: HOST:PORT of a cluster that has this machine as a node; "auto" finds that cluster; "local" starts a
        local Ray in any case
    cpus: the number of CPUs that a local Ray may use; all by default
    dashboard: whether a local Ray has a dashboard (11 processes and one or two seconds more). Worker groups of Ray
        Train that end by themselves need none. Where the controller of a group is killed, Ray frees what the group
        held only with a dashboard; without one it is lost until the connection ends.
    quiet: keep back Ray's own messages, and what workers print

    Connect in the main thread: Ray's processes end with the thread that started them. When the block ends, nothing is
    left of a local Ray; after SIGKILL of this process two of Ray's agents go on for a minute, and its folder stays.
    """
    cluster = cluster_address(address, os.environ)
    if cluster is None:
        return _local_ray(cpus=cpus, dashboard=dashboard, quiet=quiet)
    if cpus is not None:
        raise UserError(f"the number of CPUs can be chosen only for a local Ray, not for {cluster}; got {cpus}.")
    return _existing_cluster(cluster, quiet=quiet)


def is_in_job(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether Ray started this process as a job."""
    return _IN_JOB in (os.environ if environment is None else environment)


def cluster_address(address: str | None, environment: Mapping[str, str]) -> str | None:
    """Return the cluster to join, or None for a local Ray; raise UserError where it cannot be joined from here."""
    chosen = address or environment.get("RAY_ADDRESS") or ("auto" if is_in_job(environment) else "local")
    origin = "" if address else " (from RAY_ADDRESS)"
    if chosen == "local":
        return None
    if chosen.startswith(("http://", "https://")):
        raise UserError(f"{chosen}{origin} takes jobs, not connections: submit the script there as a job instead.")
    scheme, separator, rest = chosen.partition("://")
    if separator:
        host = rest.rpartition(":")[0] or "HEAD"
        raise UserError(
            f"{chosen}{origin} cannot be used, since a run through {scheme}:// ends with the connection: "
            f"submit the script as a job to http://{host}:8265 instead."
        )
    host, _, port = chosen.rpartition(":")
    if chosen != "auto" and not (host and port.isdecimal()):
        raise UserError(f"the address of a Ray cluster must be HOST:PORT or http://HEAD:8265, got {chosen!r}{origin}.")
    return chosen


# --- a local Ray --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _local_ray(*, cpus: int | None, dashboard: bool, quiet: bool) -> Iterator[Connection]:
    ray = import_disconnected_ray()
    with local_ray_folder() as folder, environment_variables(_local_ray_environment()), restored_handler():
        try:
            with separate_process_groups():
                context = init(
                    ray,
                    quiet=quiet,
                    folder=folder,
                    address="local",
                    num_cpus=cpus or cpus_here(),
                    object_store_memory=OBJECT_STORE,
                    include_dashboard=dashboard,
                )
            yield Connection(is_local=True, address=context.address_info["gcs_address"], folder=folder)
        finally:
            processes = local_ray_processes(folder)
            ray.shutdown(wait_for_processes=True)
            wait_for_end(processes)


def _local_ray_environment() -> dict[str, str | None]:
    """Return the environment variables of a local Ray and all its processes."""
    roots = [str(folder.parent) for folder in packages().values()]
    inherited = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {
        # The only setting that makes Ray take the loopback address for this machine's; Windows does not matter here.
        # With _node_ip_address="127.0.0.1" alone Ray 2.60 listens on all interfaces.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # A token, since other users of this machine reach these ports as well. Given this one, Ray writes none to the
        # home directory.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray gives its workers niceness 15; beside a busy process they would hardly make progress.
        "RAY_worker_niceness": "0",
        # The time for which Ray's agents look for its servers after a kill -9 of this process; some take a minute.
        "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
        "RAY_ADDRESS": None,
        "RAY_API_SERVER_ADDRESS": None,
        # Workers must find the packages wherever this process found them, even where only sys.path names the place.
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(roots + inherited)),
        **_NO_UV,
    }


# --- an existing cluster ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _existing_cluster(cluster: str, *, quiet: bool) -> Iterator[Connection]:
    ray = import_disconnected_ray()
    address = _reachable_address(cluster)
    # Ray prefers these variables to the addresses that it is given.
    addresses = {"RAY_ADDRESS": address, "RAY_API_SERVER_ADDRESS": None}
    with environment_variables(addresses | _NO_UV), _shipped_code() as code, restored_handler():
        try:
            try:
                init(ray, quiet=quiet, address=address, runtime_env=code)
            except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as problem:
                raise _unreachable(cluster, problem) from problem
            yield Connection(is_local=False, address=address)
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _shipped_code() -> Iterator[dict[str, Any] | None]:
    """Yield the runtime environment that brings a checkout's code to the workers; None where they have it already."""
    root = checkout()
    if root is None:
        yield None
        return
    if is_in_job():
        # The job brought the folders along. Its script found the packages in them, as the workers must.
        is_inherited = "platform" in os.environ.get("PYTHONPATH", "")
        yield None if is_inherited else {"env_vars": {"PYTHONPATH": CODE_PATH}}
        return
    with code_copy(root) as folder:
        yield {"working_dir": str(folder), "env_vars": {"PYTHONPATH": CODE_PATH}}


def _reachable_address(cluster: str) -> str:
    """Return the address of a cluster's head; raise UserError unless a Ray head answers there within seconds."""
    from ray.exceptions import RayError

    # ray.init alone tries for more than three minutes, and prints each attempt.
    try:
        address = head_address(cluster)
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        require_head(address)
    except (OSError, RuntimeError, ValueError, RayError) as problem:
        raise _unreachable(cluster, problem) from None
    return address


def _unreachable(cluster: str, problem: BaseException) -> UserError:
    reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")
    return UserError(
        f"cannot join a Ray cluster at {cluster} ({reason}): the address must be HOST:PORT of a cluster that has this "
        "machine as a node; from another machine, submit the script as a job to http://HEAD:8265."
    )
