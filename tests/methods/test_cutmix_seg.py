"""CutMix-Seg on a small real network: one pass of the teacher over both streams."""

from __future__ import annotations

import torch
from helpers import QUIET, small

from assay.method import Step
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training


def test_the_teacher_takes_both_streams_in_one_pass_with_the_loss_of_two_passes() -> None:
    experiment = small("cutmix_seg", method__confidence_by="pixel", method__threshold=0.0, recipe__precision="float64")
    of = Training(resolve(experiment, Places()), places=Places(), runtime=QUIET)
    raw = of.plan.micro_batch(0, 0)
    given = on_device(raw, of.plan.views, of.recipe.augment, device=of.device, dtype=of.dtype)
    passes = {"student": 0, "teacher": 0}
    for name in passes:
        of.nets[name].register_forward_hook(lambda *_, name=name: passes.update({name: passes[name] + 1}))
    of.nets.train()
    loss = of.method.loss(of.nets, given, Step(index=0, total=4)).terms["consistency"].value
    assert passes == {"student": 2, "teacher": 1}

    first, second = given.unlabeled
    with torch.no_grad():
        target = given.boxes.mix(of.nets["teacher"](first.weak), of.nets["teacher"](second.weak)).softmax(dim=1)
        output = of.nets["student"](given.boxes.mix(first.weak, second.weak)).softmax(dim=1)
    valid = given.boxes.mix(first.valid, second.valid)
    expected = (output - target).square().sum(dim=1)[valid].mean()
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-9, atol=0)
