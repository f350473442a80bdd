"""What a training costs, from what finished experiments of the same shape took, whichever study trained them."""

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

Shape = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one experiment; None where nothing is known."""

    seconds_per_step: float | None = None
    bytes_kept: int | None = None


def shape(experiment: Experiment) -> Shape:
    """What decides how long a step takes and how much is kept; seeds and weights do not."""
    recipe = experiment.recipe
    sizes = (recipe.augment.crop, recipe.labeled_batch, recipe.unlabeled_batch, recipe.precision)
    return experiment.method.name, _text(experiment.net), _sizes_text(sizes)


@functools.lru_cache(maxsize=1024)
def _text(value: Value) -> str:
    return canonical(to_json(value))


_sizes_text = functools.lru_cache(maxsize=1024)(canonical)


def costs_in(store: Store, wanted: Set[Shape]) -> dict[Shape, Cost]:
    """By shape, the cost of a finished experiment of the store; shapes that nothing finished has are left out."""
    missing = set(wanted)
    found: dict[Shape, Cost] = {}
    for key in store.keys() if missing else ():
        try:
            kind = _shape_of_stored(store, key)
            cost = _cost(store, key) if kind in missing else None
        except (StoreError, KeyError, TypeError):  # damaged, or another version's: it tells nothing
            continue
        if kind is not None and cost is not None:
            found[kind] = cost
            missing.discard(kind)
            if not missing:
                break
    return found


def _shape_of_stored(store: Store, key: str) -> Shape | None:
    """The shape as `shape` gives it, without making a value of each of thousands of experiments."""
    document = records.read_json(store, key, records.EXPERIMENT)
    if document is None:
        return None
    experiment: Mapping[str, Any] = document["experiment"]
    recipe = experiment["recipe"]
    sizes = (recipe["augment"]["crop"], *(recipe[name] for name in ("labeled_batch", "unlabeled_batch", "precision")))
    return experiment["method"]["name"], canonical(experiment["net"]), canonical(sizes)


def _cost(store: Store, key: str) -> Cost | None:
    result = records.read_json(store, key, records.RESULT)
    if result is None:
        return None
    kept = sum(len(store.read(key, name) or b"") for name in store.names(key))
    return Cost(seconds_per_step=result["seconds"] / max(result["steps"], 1), bytes_kept=kept)
