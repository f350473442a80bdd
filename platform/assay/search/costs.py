"""What a training has cost so far, finished or not."""

from __future__ import annotations

from assay.store import records
from assay.store.store import Store


def device_seconds(store: Store, key: str) -> float:
    """Seconds of all its devices together; of an unfinished one those of a single device, as far as it is logged."""
    result = records.read_json(store, key, records.RESULT)
    if result is not None:
        return float(result["device_seconds"])
    lines = records.read_metrics(store, key)
    return float(lines[-1]["time/seconds"]) if lines else 0.0
