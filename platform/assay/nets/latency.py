"""The time that a network needs for an image on a CPU: a measure of size beside parameters and multiply-adds."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

_WARM_UP = 3  # uncounted runs at the beginning, which choose kernels and fill caches


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """The median time of some runs."""

    milliseconds: float
    runs: int


@torch.no_grad()
def latency(
    predict: Callable[[torch.Tensor], object], images: torch.Tensor, *, runs: int = 20, seconds: float = 1.0
) -> Latency:
    """Measure the median of `runs` runs, or of fewer if they take more than `seconds`, with torch's current threads."""
    end = time.perf_counter() + seconds
    for _ in range(_WARM_UP):
        predict(images)
        if time.perf_counter() > end:
            break
    times: list[float] = []
    while not times or (len(times) < runs and time.perf_counter() < end):
        began = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - began)
    return Latency(milliseconds=round(1000 * statistics.median(times), 4), runs=len(times))


def conditions(height: int, width: int) -> dict[str, Any]:
    """Return the conditions of a measurement on this machine. Only latencies under equal conditions are compared."""
    return {
        "device": "cpu",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "height": height,
        "width": width,
    }
