"""One connection to Ray: to a cluster that is there, or to a Ray of our own on this machine that ends with us.

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
from assay.cluster.processes import await_end, kill, own_folder, own_groups, processes_of
from assay.cluster.ray_internals import cpus_here, free_ray, handlers_kept, init, variables
from assay.cluster.resources import NodeResources, amounts, count, who_holds
from assay.cluster.worker_checks import packages
from assay.errors import UserError

OBJECT_STORE = 200 * 2**20  # bytes; results go through the store on disk, so that little passes through Ray's memory
_IN_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for a job's driver
# Under `uv run` Ray would send the whole working folder along and start every worker through uv.
_NO_UV: dict[str, str | None] = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Connection:
    """A Ray that this process is connected to."""

    is_local: bool  # started by this process, and ended with the connection
    address: str
    folder: str = ""  # of a Ray of our own

    def kill(self) -> None:
        """End a Ray of our own without asking, where this process is about to end in the same way."""
        if self.is_local:
            kill(processes_of(self.folder))

    def describe(self) -> str:
        """Where trainings run, for the first line of a run."""
        nodes = self.resources()
        totals = Counter[str]()
        for node in nodes:
            totals.update(node.total)
        machines = (
            "this machine" if self.is_local else f"the Ray cluster at {self.address}, {count(len(nodes), 'node')}"
        )
        return f"{machines}: {amounts(totals) or 'no CPU'}"

    def resources(self) -> list[NodeResources]:
        """What each living node has and how much of it is free at this moment."""
        import ray
        from ray._private.state import available_resources_per_node  # the public functions give sums over nodes

        free = available_resources_per_node()
        return [
            NodeResources(
                node_id=node["NodeID"],
                name=node["NodeManagerHostname"],
                total=dict(node["Resources"]),
                # Ray leaves out what is used up.
                free={name: free.get(node["NodeID"], {}).get(name, 0.0) for name in node["Resources"]},
            )
            for node in ray.nodes()
            if node["Alive"]
        ]

    def at_most(self) -> dict[str, float] | None:
        """What a cluster that grows may come to have in all, as its autoscaler was told; None where none was."""
        from ray._private.state import state

        found = state.get_max_resources_from_cluster_config()
        return None if found is None else {name: float(amount) for name, amount in found.items()}

    @property
    def is_multi_node(self) -> bool:
        """Whether workers may run on another machine than this one."""
        return len(self.resources()) > 1

    def who_holds(self) -> str:
        """A sentence about the jobs that hold CPUs and GPUs; empty where nobody does or nobody answers."""
        # Nobody else is in a Ray of our own, and where its dashboard would be may be that of another one.
        return "" if self.is_local else who_holds(self.address)


def connect(
    address: str | None, *, cpus: int | None = None, dashboard: bool = False, quiet: bool = True
) -> contextlib.AbstractContextManager[Connection]:
    """Connect to the cluster that `address` or RAY_ADDRESS names or whose job this is, else to a Ray of our own.

    address: HOST:PORT of a cluster that this machine is a node of; "auto" for the one it is a node of; "local" for a
        Ray of our own in any case
    cpus: how many a Ray of our own may use; all by default
    dashboard: whether a Ray of our own has one (11 processes and one or two seconds more). Worker groups of Ray Train
        that end by themselves need none. Where the controller of a group is killed, only with a dashboard does Ray
        give back what the group held; without it that is lost until the connection ends.
    quiet: keep Ray's own messages back, and what workers print

    Connect in the main thread: Ray's processes end with the thread that started them. Of a Ray of our own nothing is
    left when the block ends; after SIGKILL of this process two of its agents go on for a minute, and its folder stays.
    """
    cluster = cluster_address(address, os.environ)
    if cluster is None:
        return _own(cpus=cpus, dashboard=dashboard, quiet=quiet)
    if cpus is not None:
        raise UserError(f"the number of CPUs can be chosen for a Ray of one's own only, not for {cluster}; got {cpus}.")
    return _joined(cluster, quiet=quiet)


def is_in_job(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process was started by Ray as a job."""
    return _IN_JOB in (os.environ if environment is None else environment)


def cluster_address(address: str | None, environment: Mapping[str, str]) -> str | None:
    """The cluster to join, or None for a Ray of our own; a UserError where it cannot be joined from here."""
    asked = address or environment.get("RAY_ADDRESS") or ("auto" if is_in_job(environment) else "local")
    origin = "" if address else " (from RAY_ADDRESS)"
    if asked == "local":
        return None
    if asked.startswith(("http://", "https://")):
        raise UserError(f"{asked}{origin} takes jobs, not connections: submit the script there as a job instead.")
    scheme, separator, rest = asked.partition("://")
    if separator:
        host = rest.rpartition(":")[0] or "HEAD"
        raise UserError(
            f"{asked}{origin} cannot be used, since a run through {scheme}:// ends with the connection: "
            f"submit the script as a job to http://{host}:8265 instead."
        )
    host, _, port = asked.rpartition(":")
    if asked != "auto" and not (host and port.isdecimal()):
        raise UserError(f"the address of a Ray cluster must be HOST:PORT or http://HEAD:8265, got {asked!r}{origin}.")
    return asked


# --- a Ray of our own ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _own(*, cpus: int | None, dashboard: bool, quiet: bool) -> Iterator[Connection]:
    ray = free_ray()
    with (
        own_folder() as folder,
        variables(_own_environment()),
        handlers_kept(),
    ):
        try:
            with own_groups():
                context = init(
                    ray,
                    quiet=quiet,
                    address="local",
                    num_cpus=cpus or cpus_here(),
                    object_store_memory=OBJECT_STORE,
                    include_dashboard=dashboard,
                    _temp_dir=folder,
                )
            yield Connection(is_local=True, address=context.address_info["gcs_address"], folder=folder)
        finally:
            processes = processes_of(folder)
            ray.shutdown(wait_for_processes=True)
            await_end(processes)


def _own_environment() -> dict[str, str | None]:
    """What a Ray of our own and all its processes must find in their environment."""
    roots = [str(folder.parent) for folder in packages().values()]
    inherited = [str(Path(each).absolute()) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return {
        # The one setting with which Ray takes the loopback address for this machine's; it is not about Windows here.
        # With _node_ip_address="127.0.0.1" alone Ray 2.60 listens on all interfaces.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Other users of this machine reach these ports too. Given here, Ray writes no token to the home directory.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray's workers are nice (15) to whatever else runs; beside a busy process they would hardly get on at all.
        "RAY_worker_niceness": "0",
        # How long Ray's agents look for its servers after a kill -9 of this process; some look on for a minute.
        "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
        "RAY_ADDRESS": None,
        "RAY_API_SERVER_ADDRESS": None,
        # Workers must find the packages wherever this process found them, also where only sys.path says so.
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(roots + inherited)),
        **_NO_UV,
    }


# --- a cluster that is there --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _joined(cluster: str, *, quiet: bool) -> Iterator[Connection]:
    ray = free_ray()
    where = _reachable(cluster)
    # Ray lets these variables win over the addresses that it is given.
    addresses = {"RAY_ADDRESS": where, "RAY_API_SERVER_ADDRESS": None}
    with variables(addresses | _NO_UV), _shipped_code() as code, handlers_kept():
        try:
            try:
                init(ray, quiet=quiet, address=where, runtime_env=code)
            except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as problem:
                raise _unreachable(cluster, problem) from problem
            yield Connection(is_local=False, address=where)
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _shipped_code() -> Iterator[dict[str, Any] | None]:
    """The environment that brings a checkout's code to the workers; None where they have it already."""
    root = checkout()
    if root is None:
        yield None
        return
    if is_in_job():
        # The job brought the folders along; its script found the packages in them, and the workers must too.
        told = "platform" in os.environ.get("PYTHONPATH", "")
        yield None if told else {"env_vars": {"PYTHONPATH": CODE_PATH}}
        return
    with code_copy(root) as folder:
        yield {"working_dir": str(folder), "env_vars": {"PYTHONPATH": CODE_PATH}}


def _reachable(cluster: str) -> str:
    """The address under which Ray looks for the cluster; something that speaks as Ray answers there."""
    from ray._private.services import canonicalize_bootstrap_address
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # it is compiled
    from ray.exceptions import RayError

    # ray.init alone tries for more than three minutes, and prints what it tries.
    try:
        where = str(canonicalize_bootstrap_address(cluster) or cluster)
        host, _, port = where.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        GcsClient(address=where)
    except (OSError, RuntimeError, ValueError, RayError) as problem:
        raise _unreachable(cluster, problem) from None
    return where


def _unreachable(cluster: str, problem: BaseException) -> UserError:
    reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")
    return UserError(
        f"cannot join a Ray cluster at {cluster} ({reason}): the address must be HOST:PORT of a cluster that this "
        "machine is a node of; from another machine, submit the script as a job to http://HEAD:8265."
    )
