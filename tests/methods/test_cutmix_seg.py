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
    trainer = Training(resolve(experiment, Places()), places=Places(), runtime=QUIET)
    raw = trainer.plan.micro_batch(0, 0)
    inputs = on_device(raw, trainer.plan.views, trainer.recipe.augment, device=trainer.device, dtype=trainer.dtype)
    passes = {"student": 0, "teacher": 0}
    for name in passes:
        trainer.nets[name].register_forward_hook(lambda *_, name=name: passes.update({name: passes[name] + 1}))
    trainer.nets.train()
    loss = trainer.method.loss(trainer.nets, inputs, Step(index=0, total=4)).terms["consistency"].value
    assert passes == {"student": 2, "teacher": 1}

    first, second = inputs.unlabeled
    with torch.no_grad():
        target = inputs.boxes.mix(trainer.nets["teacher"](first.weak), trainer.nets["teacher"](second.weak)).softmax(
            dim=1
        )
        output = trainer.nets["student"](inputs.boxes.mix(first.weak, second.weak)).softmax(dim=1)
    valid = inputs.boxes.mix(first.valid, second.valid)
    expected = (output - target).square().sum(dim=1)[valid].mean()
    torch.testing.assert_close(loss.detach(), expected, rtol=1e-9, atol=0)
