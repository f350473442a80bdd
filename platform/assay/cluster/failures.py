"""The cause, the node and the cure of a failure of a group of workers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from assay.errors import UserError

USER_ERROR = f"{UserError.__name__}: "  # the start of a cause that is the user's to mend
_NO_ROOM = "worker group startup timed out"  # Ray Train's error where others hold the resources: it tries again
_ON_PURPOSE = "Restart: "  # see assay.cluster.gang.Restart
_PEER_ENDED = re.compile(r"(?:closed|reset) by peer|broken pipe", re.IGNORECASE)  # what the other ranks get then
_RAY_NODE = re.compile(r"\bip(?:=|: )(?P<ip>[0-9a-fA-F.:]+)")
_MODULES = re.compile(r"^(?:\w+\.)+(?=\w+: )")
_NCCL = re.compile(r"nccl", re.IGNORECASE)
_NCCL_NETWORK = re.compile(r"socket|interface|connect|ncclSystemError|unhandled system error|remote", re.IGNORECASE)
_RENDEZVOUS = re.compile(
    r"gloo|rendezvous|connectFullMesh|DistNetworkError|DistStoreError|Unable to find address|Unable to resolve",
    re.IGNORECASE,
)
_WHERE = (
    "to the network interface through which the nodes reach each other, in the environment of `ray start` on each node"
    " (of this script where it starts Ray itself)."
)
NETWORK_CURE = f"Set GLOO_SOCKET_IFNAME, with GPUs NCCL_SOCKET_IFNAME, {_WHERE}"


def first_cause(error: BaseException) -> str:
    """Return the line of an error that names its first cause, as in "ValueError: …"; Ray wraps errors several times."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if "Error: " in line or line.endswith("Error:")]
    return _MODULES.sub("", (causes or lines or [type(error).__name__])[-1])


def is_failure(error: BaseException) -> bool:
    """Return whether a group failed: it neither restarts on purpose nor waits for resources."""
    return not any(_ON_PURPOSE in str(part) or _NO_ROOM in str(part) for part in _parts(error))


def describe(error: BaseException, nodes: Mapping[int, str]) -> tuple[str, str]:
    """Return the first cause of a group's failure and the name of its node, "" where that is unknown.

    nodes: the node of every rank of the group
    """
    failures: Mapping[int, BaseException] = getattr(error, "worker_failures", {})
    if not failures:
        *_, innermost = _parts(error)
        return _plain(first_cause(innermost)), _node(error, nodes)
    rank = min(failures, key=lambda rank: (bool(_PEER_ENDED.search(str(failures[rank]))), rank))
    return _plain(first_cause(failures[rank])), nodes.get(rank, "")


def _plain(cause: str) -> str:
    return cause.removeprefix(USER_ERROR)


def _node(error: BaseException, nodes: Mapping[int, str]) -> str:
    names = set(nodes.values())
    if len(names) == 1:
        return names.pop()
    for part in _parts(error):
        address = _RAY_NODE.search(str(part))
        if address is not None:
            return address["ip"]
    return ""


def _parts(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors inside it."""
    yield error
    yield from getattr(error, "worker_failures", {}).values()
    inner = getattr(error, "controller_failure", None) or error.__cause__
    if inner is not None and inner is not error:
        yield from _parts(inner)


def cure_for(cause: str) -> str:
    """Return the cure for a cause; "" where none is known."""
    if _PEER_ENDED.search(cause):
        return ""
    if _NCCL.search(cause):
        return f"Set NCCL_SOCKET_IFNAME {_WHERE}" if _NCCL_NETWORK.search(cause) else ""
    return f"Set GLOO_SOCKET_IFNAME {_WHERE}" if _RENDEZVOUS.search(cause) else ""
