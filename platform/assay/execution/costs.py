"""The cost of trainings: what finished ones of the same kind took, and what one has taken so far."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Set
from typing import Any

from assay.experiment import Experiment
from assay.identity import canonical
from assay.store import records
from assay.store.store import Store, StoreError
from assay.values import Value, to_json

CostKind = tuple[str, ...]  # equal for experiments whose steps take equally long


@dataclasses.dataclass(frozen=True)
class TrainingCost:
    """The cost of one training; None where it is not known."""

    seconds_per_step: float | None = None
    bytes_kept: int | None = None


def cost_kind(experiment: Experiment) -> CostKind:
    """Return the properties on which the time of a step and the kept bytes depend; not seeds and loss weights."""
    recipe = experiment.recipe
    sizes = (recipe.augment.crop, recipe.labeled_batch, recipe.unlabeled_batch, recipe.precision)
    return experiment.method.name, _text(experiment.net), _sizes_text(sizes)


@functools.lru_cache(maxsize=1024)
def _text(value: Value) -> str:
    return canonical(to_json(value))


_sizes_text = functools.lru_cache(maxsize=1024)(canonical)


def costs_in(store: Store, kinds: Set[CostKind]) -> dict[CostKind, TrainingCost]:
    """Return the cost of a finished experiment of each kind; a kind without a finished experiment is left out."""
    missing = set(kinds)
    costs: dict[CostKind, TrainingCost] = {}
    for key in store.keys() if missing else ():
        try:
            kind = _stored_kind(store, key)
            cost = _stored_cost(store, key) if kind in missing else None
        except (StoreError, KeyError, TypeError):  # damaged, or another version's
            continue
        if kind is not None and cost is not None:
            costs[kind] = cost
            missing.discard(kind)
            if not missing:
                break
    return costs


def _stored_kind(store: Store, key: str) -> CostKind | None:
    """Return the kind as `cost_kind` gives it, without making a value of each of thousands of experiments."""
    document = records.read_json(store, key, records.EXPERIMENT)
    if document is None:
        return None
    experiment: Mapping[str, Any] = document["experiment"]
    recipe = experiment["recipe"]
    sizes = (recipe["augment"]["crop"], *(recipe[name] for name in ("labeled_batch", "unlabeled_batch", "precision")))
    return experiment["method"]["name"], canonical(experiment["net"]), canonical(sizes)


def _stored_cost(store: Store, key: str) -> TrainingCost | None:
    result = records.read_json(store, key, records.RESULT)
    if result is None:
        return None
    kept = sum(len(store.read(key, name) or b"") for name in store.names(key))
    return TrainingCost(seconds_per_step=result["seconds"] / max(result["steps"], 1), bytes_kept=kept)


def device_seconds(store: Store, key: str) -> float:
    """Return the seconds of all devices of a training; of an unfinished one those that one device has logged."""
    result = records.read_json(store, key, records.RESULT)
    if result is not None:
        return float(result["device_seconds"])
    lines = records.read_metrics(store, key)
    return float(lines[-1]["time/seconds"]) if lines else 0.0
