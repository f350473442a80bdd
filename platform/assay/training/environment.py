"""What a training ran on. Recorded with the result; equal numbers are promised where `promised` is equal."""

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


def pick_device(asked: str) -> torch.device:
    """The device that the user asked for, or the best there is; every rank of a machine has a GPU of its own."""
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "cpu" or (asked == "auto" and not available):
        return torch.device("cpu")
    if not available:
        raise UserError(
            f"the device {asked!r} was asked for, and torch sees no GPU here; use --runtime device=cpu or auto."
        )
    local = int(os.environ.get("LOCAL_RANK", "0"))
    _, _, index = asked.partition(":")
    if index and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise UserError(f"the device {asked!r} is one GPU for several ranks; use --runtime device=cuda.")
    chosen = int(index) if index else local
    if chosen >= available:
        raise UserError(
            f"rank {local} of this machine asks for GPU {chosen}, and torch sees {available}; start fewer ranks, or"
            " use --runtime device=cpu."
        )
    return torch.device("cuda", chosen)


def describe(runtime: Runtime, device: torch.device) -> dict[str, Any]:
    """Versions, machine and settings, as plain data."""
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


# The same bits are promised where all of these are equal.
PROMISED = (
    "assay",
    "python",  # 3.12 adds up floats in another way
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
    """In words, what differs between two environments and may move the last bits."""
    return [f"{name}: {before.get(name)} → {now.get(name)}" for name in PROMISED if before.get(name) != now.get(name)]


def notes(sessions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on what changed from one session to the next."""
    found = []
    for before, after in itertools.pairwise(sessions):
        if before["ranks"] != after["ranks"]:
            found.append(records.workers_changed_note(before["ranks"], after["ranks"]))
        others = [each for each in after["changed"] if not each.startswith("ranks:")]
        if others:
            found.append(f"continued under other conditions: {'; '.join(others)}")
    return found


def _processor() -> str:
    # Not every kernel reports a name; convolution kernels are chosen by these features.
    return torch.backends.cpu.get_cpu_capability()


@functools.cache
def _commit() -> dict[str, Any]:
    """The commit that this code stands at, and whether it has been changed since; nothing where it is no checkout."""
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
