"""Experiments that others have inside, such as teachers: lines as those of cells are, in JSON within these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# What a line tells of each; results of older versions have less, and only what was done.
INSIDE = (
    "key", "status", "error", "method", "arch", "encoder", "net", "crop", "seed", "miou", "params", "macs",
    "encoder_params", "encoder_macs", "latency_ms", "latency_at", "seconds", "device_seconds", "device", "world_size",
    "threads", "started", "finished", "git_commit", "git_clean", "versions",
)  # fmt: skip


def inside(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What stands inside a line's experiment; None for what is not known of it."""
    return [{**dict.fromkeys(INSIDE), "status": "done", **each} for each in json.loads(line["inside"] or "[]")]
