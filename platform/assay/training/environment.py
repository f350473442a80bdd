"""What a training ran on. Recorded with the result; equal numbers are promised where `promised` is equal."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
from collections.abc import Mapping
from typing import Any

import numpy as np
import timm
import torch

from assay import __version__
from assay.errors import UserError
from assay.experiment import Runtime
from assay.ranks import world_size


def pick_device(asked: str) -> torch.device:
    """The device that the user asked for, or the best there is."""
    if asked == "auto":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(asked)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"the device {asked!r} was asked for, and torch sees no GPU here; use --device cpu or auto.")
    return device


def describe(runtime: Runtime, device: torch.device) -> dict[str, Any]:
    """Versions, machine and settings, as plain data."""
    return {
        "assay": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "timm": timm.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "host": socket.gethostname(),
        "ranks": world_size(),
        "threads": runtime.threads,
        "loader_workers": runtime.loader_workers,
        "compile": runtime.compile,
        "channels_last": runtime.channels_last,
    }


# The same bits are promised where all of these are equal.
PROMISED = (
    "assay",
    "torch",
    "torchvision",
    "timm",
    "processor",
    "numpy",
    "machine",
    "device",
    "ranks",
    "threads",
    "compile",
    "channels_last",
)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what differs between two environments and may move the last bits."""
    return [f"{name}: {before.get(name)} → {now.get(name)}" for name in PROMISED if before.get(name) != now.get(name)]


def _processor() -> str:
    # Not every kernel reports a name; convolution kernels are chosen by these features.
    return torch.backends.cpu.get_cpu_capability()
