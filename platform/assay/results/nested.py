"""Nested experiments, such as teachers: records like those of cells, as JSON in the column `inside`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# The names in a nested record. Results of older versions have fewer of them, and finished experiments only.
NESTED_COLUMNS = (
    "key", "status", "error", "method", "arch", "encoder", "net", "crop", "seed", "miou", "params", "macs",
    "encoder_params", "encoder_macs", "latency_ms", "latency_at", "seconds", "device_seconds", "device", "world_size",
    "threads", "started", "finished", "git_commit", "git_clean", "versions",
)  # fmt: skip


def nested_records(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a cell's nested experiments; None for absent values."""
    stored = json.loads(record["inside"] or "[]")
    return [{**dict.fromkeys(NESTED_COLUMNS), "status": "done", **nested} for nested in stored]
