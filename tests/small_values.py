"""Sizes small enough for tests, in a module that does not import torch: scripts that only plan use it."""

from __future__ import annotations

SMALL = {
    "recipe.steps": 12,
    "recipe.labeled_batch": 4,
    "recipe.unlabeled_batch": 4,
    "recipe.evaluation.every": 6,
    "recipe.schedule.warmup_steps": 0,  # a dozen steps would end within the preset's warm-up
    "recipe.augment.crop": (16, 16),
    "recipe.augment.scales": (0.75, 1.25),  # small crops have padding, which the preset's have not
    "data.source.size": 16,
    "data.source.num_train": 48,
    "data.source.num_val": 8,
    "net.encoder.width": 4,
}
