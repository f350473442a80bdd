"""Sizes small enough for tests, in a module that does not import torch: scripts that only plan use it."""

from __future__ import annotations

SMALL = {
    "recipe.steps": 12,
    "recipe.labeled_batch": 4,
    "recipe.unlabeled_batch": 4,
    "recipe.evaluation.every": 6,
    "recipe.augment.crop": (16, 16),
    "data.source.size": 16,
    "data.source.num_train": 48,
    "data.source.num_val": 8,
    "net.encoder.width": 4,
}
