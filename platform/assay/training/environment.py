"""The environment of a training: versions, machine, settings. It is recorded with the result.

On a CPU, equal bits are promised where the fields in `DECIDE_BITS` are equal.
"""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import os
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay import NUMERICS, __version__
from assay.collectives import world_size
from assay.errors import UserError
from assay.experiment import Runtime
from assay.store import records


def pick_device(requested: str) -> torch.device:
    """Return the requested device, or the best one for "auto"; each rank of a machine has its own GPU."""
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if requested == "cpu" or (requested == "auto" and not available):
        return torch.device("cpu")
    if not available:
        raise UserError(
            f"the device {requested!r} needs a GPU, and torch sees no GPU here; use --runtime device=cpu or auto."
        )
    local = int(os.environ.get("LOCAL_RANK", "0"))
    _, _, index = requested.partition(":")
    if index and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise UserError(f"the device {requested!r} is one GPU for several ranks; use --runtime device=cuda.")
    chosen = int(index) if index else local
    if chosen >= available:
        raise UserError(
            f"rank {local} of this machine needs GPU {chosen}, and torch sees {available} here; start fewer ranks, or"
            " use --runtime device=cpu."
        )
    return torch.device("cuda", chosen)


def describe(runtime: Runtime, device: torch.device) -> dict[str, Any]:
    """Return versions, machine and settings as plain data."""
    return {
        "assay": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "timm": importlib.metadata.version("timm"),
        "numpy": np.__version__,
        "pillow": importlib.metadata.version("pillow"),
        "ray": importlib.metadata.version("ray"),
        "pandas": importlib.metadata.version("pandas"),
        "numerics": NUMERICS,
        "machine": platform.machine(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "host": socket.gethostname(),
        **_commit(),
        "ranks": world_size(),
        "threads": runtime.threads,
        "evaluation_batch": runtime.evaluation_batch,
        "log_every": runtime.log_every,
        "loader_workers": runtime.loader_workers,
        "compile": runtime.compile,
        "channels_last": runtime.channels_last,
    }


# The fields that may move the last bits of a result.
DECIDE_BITS = (
    "assay",
    "python",  # 3.12 sums floats in another way
    "torch",
    "torchvision",
    "timm",
    "processor",
    "numpy",
    "pillow",
    "machine",
    "device",
    "ranks",
    "threads",
    "evaluation_batch",
    "log_every",
    "compile",
    "channels_last",
    "stored_masks",
)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return, as texts, the differences of two environments that may move the last bits."""
    return [
        f"{name}: {before.get(name)} → {now.get(name)}" for name in DECIDE_BITS if before.get(name) != now.get(name)
    ]


def notes(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences on what changed from one session to the next."""
    lines = []
    for before, after in itertools.pairwise(sessions):
        if before["ranks"] != after["ranks"]:
            lines.append(records.workers_changed_note(before["ranks"], after["ranks"]))
        others = [change for change in after["changed"] if not change.startswith("ranks:")]
        if others:
            lines.append(f"continued under other conditions: {'; '.join(others)}")
    return lines


def _processor() -> str:
    # Not every operating system reports a name; convolution kernels are chosen by these features.
    return torch.backends.cpu.get_cpu_capability()


@functools.cache
def _commit() -> dict[str, Any]:
    """Return the commit of this code and whether files have changed since; None for both outside a checkout."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        # A wheel may be installed inside a checkout of something else.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return {"git_commit": git("rev-parse", "HEAD"), "git_clean": not changed}
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None, "git_clean": None}
