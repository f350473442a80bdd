"""Pseudo-labels follow the geometry of strong views."""

from __future__ import annotations

import torch
from helpers import QUIET, fresh_weights, small

from assay.data.source import IGNORE
from assay.method import Step
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training


def test_a_stored_mask_is_carried_to_a_strong_view_that_moves_pixels() -> None:
    experiment = small(
        "pseudo_label",
        method__pseudo=small("supervised", seed=5),
        method__strong=True,
        recipe__augment__strong="randaugment",
        recipe__augment__strong__operators=("rotate", "shear_x", "translate_y"),
        recipe__augment__strong__chance=1.0,
        recipe__augment__strong__cutout_size=4,
    )
    resolved = resolve(experiment, Places())
    training = Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))
    assert training.fetch_masks()
    raw = training.plan.micro_batch(0, 0)
    batch = on_device(raw, training.plan.views, training.recipe.augment, device=torch.device("cpu"))
    (unlabeled,) = batch.unlabeled
    step = Step(index=0, total=1)
    loss = training.method.loss(training.nets.train(), batch, step).terms["pseudo"].value

    probabilities = training.nets["student"](unlabeled.strong[0]).softmax(dim=1)
    (index_map,) = unlabeled.index_maps
    terms = []
    for image in range(4):
        mask = unlabeled.stored["pseudo"][image].flatten().tolist()
        for row in range(16):
            for column in range(16):
                source = int(index_map[image, row, column])
                label = IGNORE if source < 0 else mask[source]
                if label != IGNORE:
                    terms.append(-probabilities[image, label, row, column].log())
    assert 0 < len(terms) < int(unlabeled.valid.sum())
    torch.testing.assert_close(loss, torch.stack(terms).mean())
