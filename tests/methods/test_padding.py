"""Padding in the losses of all methods that can train on it."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from helpers import QUIET, fresh_weights, small

from assay.catalogue import method_class
from assay.data.batch import Batch
from assay.data.source import IGNORE
from assay.method import Losses, Step
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training
from assay.values import fields
from methods import METHODS

TEACHERS = {"method__teachers": (small("supervised", seed=5), small("supervised", seed=6))}
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "cps": ("cps", {}),
    "cps + cutmix": ("cps", {"method__cutmix": "boxes", "method__on_labeled": False}),
    "mean_teacher": ("mean_teacher", {}),
    "mkd": ("mkd", {"method__threshold_teachers": 0.0}),
    "mkd, everything on": (
        "mkd",
        {
            "method__fda": "fda",
            "method__fda_teachers": True,
            "method__on_labeled": True,
            "method__threshold_teachers": 0.18,
        },
    ),
    "kd": ("kd", TEACHERS),
    "cwd": ("cwd", TEACHERS),
    "mgd": ("mgd", TEACHERS),
    "structured_consistency": ("structured_consistency", {}),
}
WITHOUT_PSEUDO_LABELS = {"supervised"}
NEVER_ON_PADDING = {"cutmix_seg", "pseudo_label"}  # their authors' losses leave padding out; stored masks end before it


def training(variant: str, *, on_padding: bool) -> Training:
    name, changes = VARIANTS[variant]
    experiment = small(
        name, recipe__augment__scales=(0.5, 0.75), recipe__precision="float64", method__on_padding=on_padding, **changes
    )
    resolved = resolve(experiment, Places())
    trainer = Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a mean teacher starts as its student, and their distance would be 0
        for parameter in trainer.nets.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise), alpha=0.01)
    return trainer


def padded_batch(trainer: Training) -> Batch:
    plan = trainer.plan
    return on_device(
        plan.micro_batch(0, 0), plan.views, trainer.recipe.augment, device=trainer.device, dtype=trainer.dtype
    )


def losses_of(trainer: Training, batch: Batch) -> Losses:
    nets = copy.deepcopy(trainer.nets).train()
    return trainer.method.loss(nets, batch, Step(index=2, total=4))


def all_valid(batch: Batch) -> Batch:
    """Return the batch as if it had no padding, but for its labels."""
    return dataclasses.replace(
        batch,
        labeled=dataclasses.replace(batch.labeled, valid=torch.ones_like(batch.labeled.valid)),
        unlabeled=tuple(dataclasses.replace(each, valid=torch.ones_like(each.valid)) for each in batch.unlabeled),
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_on_padding_trains_on_padding_as_on_images(variant: str) -> None:
    off, on = (training(variant, on_padding=on_padding) for on_padding in (False, True))
    batch = padded_batch(on)
    assert (batch.labeled.label[~batch.labeled.valid] == IGNORE).all() and not batch.labeled.valid.all()
    losses, without = losses_of(on, batch), losses_of(off, batch)
    expected = losses_of(off, all_valid(batch))
    assert losses.terms.keys() == without.terms.keys() == expected.terms.keys()
    for name, term in losses.terms.items():
        torch.testing.assert_close(term.value, expected.terms[name].value)
        assert torch.equal(term.value, without.terms[name].value) == name.startswith("supervised"), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_diagnostics_never_count_padding(variant: str) -> None:
    on = training(variant, on_padding=True)
    batch = padded_batch(on)
    pixels = sum(int(each.valid.sum()) for each in (batch.labeled, *batch.unlabeled))
    shares = losses_of(on, batch).shares
    assert shares
    for share in shares.values():
        assert int(share.part) <= int(share.whole) <= pixels
    without = losses_of(training(variant, on_padding=False), batch).shares
    assert {name: int(share.whole) for name, share in shares.items()} == {
        name: int(share.whole) for name, share in without.items()
    }


def test_every_method_with_pseudo_labels_is_here_or_never_trains_on_padding() -> None:
    tested = {name for name, _ in VARIANTS.values()}
    assert tested == {name for name in METHODS if "on_padding" in {field.name for field in fields(method_class(name))}}
    assert tested | WITHOUT_PSEUDO_LABELS | NEVER_ON_PADDING == set(METHODS)
