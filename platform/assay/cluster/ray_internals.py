"""What Ray must find in this process before it starts, and must leave as it was: variables and SIGTERM's handler.

Ray is imported inside functions here, as in `connection`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any


def free_ray() -> Any:
    """Ray, to which this process has no connection yet."""
    import ray

    if ray.is_initialized():
        raise RuntimeError("this process has a connection to Ray already")
    return ray


def init(ray: Any, *, quiet: bool, **arguments: Any) -> Any:
    """ray.init, which must not take this program's own handler of SIGTERM away."""
    handler = signal.getsignal(signal.SIGTERM)
    level = logging.ERROR if quiet else logging.INFO
    context = ray.init(log_to_driver=not quiet, logging_level=level, **arguments)
    if handler is not signal.SIG_DFL:  # else Ray's, which exits, ends the connection in good order
        _set_handler(handler)
    return context


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """SIGTERM's handler is afterwards what it was."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        _set_handler(handler)


def _set_handler(handler: Any) -> None:
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def variables(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables, or take them away (None), for a while."""
    before = {name: os.environ.get(name) for name in changes}
    _set_environment(changes)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(changes: Mapping[str, str | None]) -> None:
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # it is compiled

    for name, value in changes.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    # Ray read these when it was imported, and would keep them: the loopback address, the hook for uv, and the token.
    ray_constants.ENABLE_RAY_CLUSTER = ray_constants.env_bool(
        ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, not ray_constants.IS_WINDOWS_OR_OSX
    )
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = ray_constants.env_bool("RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def cpus_here() -> int:
    """How many CPUs a Ray of our own takes by default."""
    from ray._private.utils import get_num_cpus

    # Ray knows the quota of a container, and not which CPUs a batch system left to this process.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else math.inf
    return int(min(get_num_cpus(), allowed))


def gpus_here() -> int:
    """Count the GPUs that a local Ray finds."""
    from ray._private.accelerators import get_accelerator_manager_for_resource

    manager = get_accelerator_manager_for_resource("GPU")
    if manager is None:
        return 0
    found: int = manager.get_current_node_num_accelerators()
    chosen = manager.get_current_process_visible_accelerator_ids()
    return found if chosen is None else min(found, len(chosen))
