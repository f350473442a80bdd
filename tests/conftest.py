"""What tests share: one thread, small experiments, places that hold nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from assay.experiment import Experiment, Runtime
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.store.local import LocalStore

SMALL = {
    "recipe.steps": 12,
    "recipe.labeled_batch": 4,
    "recipe.unlabeled_batch": 4,
    "recipe.evaluation.every": 6,
    "recipe.evaluation.batch": 4,
    "recipe.augment.crop": (16, 16),
    "data.source.size": 16,
    "data.source.num_train": 48,
    "data.source.num_val": 8,
    "net.encoder.width": 4,
}
QUIET = Runtime(progress="none", checkpoint_every=4, log_every=2, device="cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def small(method: str = "supervised", **changes: object) -> Experiment:
    """A training of a dozen steps of tiny images; changes by path, with __ for the dot."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return apply(starting_point(method, "shapes"), overrides_of(SMALL | paths, "test"))


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(data=tmp_path / "data", splits=tmp_path / "splits", weights=tmp_path / "weights")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")
