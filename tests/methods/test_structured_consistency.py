"""Structured Consistency on a small real network: its terms from the definitions, and each reading by its effect."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from helpers import QUIET, small
from torch import nn

from assay.data.batch import Batch
from assay.errors import FieldError, UserError
from assay.method import Losses, Step
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.recipe import OHEM
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training
from assay.training.model import autocast
from methods.forward import forward
from methods.losses import pixel_ce, relaxed_ce, structured_consistency
from methods.structured_consistency import StructuredConsistency

STEP = Step(index=1, total=4, seed=11)


def training(**fields: object) -> Training:
    """Return a training whose average differs from the student, with padding in its batches.

    fields: of the method; with __ inside, of another part of the experiment
    """
    changes = {name if "__" in name else f"method__{name}": value for name, value in ({"pairs": 8} | fields).items()}
    exact = {"recipe__precision": "float64", "recipe__augment__scales": (0.5, 0.9)}
    experiment = small("structured_consistency", **(exact | changes))
    trainer = Training(resolve(experiment, Places()), places=Places(), runtime=QUIET)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.nets.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype), alpha=0.05)
    return trainer


def batch_of(trainer: Training) -> Batch:
    plan = trainer.plan
    return on_device(
        plan.micro_batch(0, 0), plan.views, trainer.recipe.augment, device=trainer.device, dtype=trainer.dtype
    )


def losses_of(trainer: Training, step: Step = STEP) -> tuple[Losses, Batch, nn.ModuleDict]:
    """Return the losses, their batch, and the networks as they were before."""
    batch, before = batch_of(trainer), copy.deepcopy(trainer.nets).train()
    trainer.nets.train()
    return trainer.method.loss(trainer.nets, batch, step), batch, before


def predictions(trainer: Training, batch: Batch, nets: nn.ModuleDict) -> tuple[torch.Tensor, torch.Tensor]:
    """Return student's and teacher's logits on the mixed image, stream by stream."""
    method, boxes, (first, second) = trainer.method, batch.boxes, batch.unlabeled
    mixed, labeled = boxes.mix(first.weak, second.weak), batch.labeled.weak
    teacher = copy.deepcopy(nets[method.teacher]).eval()
    images = torch.cat([labeled, mixed]) if method.one_pass else mixed
    student = nets["student"](images)[-len(mixed) :].detach()
    return student, boxes.mix(*(teacher(stream.weak) for stream in (first, second))).detach()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"one_pass": False},
        {"similarity_of": "logits"},
        {"on_padding": True},
        {"net__head__align_corners": True},
    ],
)
def test_the_terms_are_eq_4_and_eq_10_of_the_mixed_image(fields: dict[str, object]) -> None:
    trainer = training(**fields)
    losses, batch, nets = losses_of(trainer)
    student, teacher = predictions(trainer, batch, nets)
    valid = batch.boxes.mix(*(stream.valid for stream in batch.unlabeled))
    assert not valid.all()
    if trainer.method.on_padding:
        valid = torch.ones_like(valid)
    squares = (student.softmax(1) - teacher.softmax(1)).square().sum(dim=1)
    torch.testing.assert_close(losses.terms["consistency"].value.detach(), squares[valid].mean())  # Eq. 4
    if trainer.method.similarity_of == "probabilities":
        student, teacher = student.softmax(1), teacher.softmax(1)
    owner = torch.where(valid, batch.boxes.owner, -1)
    generator = torch.Generator().manual_seed(STEP.seed)
    structured = structured_consistency(
        student, teacher, owner, boxes=16, pairs=8, generator=generator, num_boxes=32
    )  # Eq. 10
    torch.testing.assert_close(losses.terms["structured"].value.detach(), structured)
    assert {name: term.weight for name, term in losses.terms.items()} == {
        "supervised": 1.0,
        "consistency": 20.0,
        "structured": 3.0,
    }


@pytest.mark.parametrize("one_pass", [True, False])
def test_the_supervised_term_is_eq_2_of_the_labelled_images(one_pass: bool) -> None:
    losses, batch, nets = losses_of(training(one_pass=one_pass))
    labeled, (first, second) = batch.labeled, batch.unlabeled
    images = torch.cat([labeled.weak, batch.boxes.mix(first.weak, second.weak)]) if one_pass else labeled.weak
    logits = nets["student"](images)[: len(labeled.weak)]
    expected = relaxed_ce(logits, labeled.label, window=3)
    torch.testing.assert_close(losses.terms["supervised"].value, expected)
    assert not torch.isclose(expected, pixel_ce(logits, labeled.label))


def test_at_the_networks_resolution_the_teacher_mixes_there_by_the_middles_of_cells() -> None:
    trainer = training(resolution="features", pairs=100, on_padding=True)
    losses, batch, nets = losses_of(trainer)
    labeled, (first, second) = batch.labeled.weak, batch.unlabeled
    images = torch.cat([labeled, batch.boxes.mix(first.weak, second.weak)])
    student = forward(nets["student"], images).logits[len(labeled) :].softmax(1)
    cells = 16 // student.shape[2]
    assert cells > 1
    mask, owner = (each[:, cells // 2 :: cells, cells // 2 :: cells] for each in (batch.boxes.mask, batch.boxes.owner))
    own, partner = (forward(nets["ema"].eval(), stream.weak).logits for stream in (first, second))
    teacher = torch.where(mask.unsqueeze(1), partner, own).softmax(1)
    torch.testing.assert_close(
        losses.terms["consistency"].value, (student - teacher).square().sum(dim=1).mean(), rtol=1e-9, atol=0
    )
    generator = torch.Generator().manual_seed(STEP.seed)
    structured = structured_consistency(student, teacher, owner, boxes=16, pairs=100, generator=generator, num_boxes=32)
    torch.testing.assert_close(losses.terms["structured"].value, structured, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("teacher", "validated", "networks"),
    [
        ("student", "student", ["student"]),
        ("student", "ema", ["ema", "student"]),
        ("ema", "student", ["student", "ema"]),
        ("ema", "ema", ["ema", "student"]),
    ],
)
def test_the_average_is_the_teacher_is_validated_both_or_neither(
    teacher: str, validated: str, networks: list[str]
) -> None:
    trainer = training(teacher=teacher, validated=validated)
    losses, batch, nets = losses_of(trainer)
    student, target = predictions(trainer, batch, nets)
    valid = batch.boxes.mix(*(stream.valid for stream in batch.unlabeled))
    squares = (student.softmax(1) - target.softmax(1)).square().sum(dim=1)
    torch.testing.assert_close(losses.terms["consistency"].value.detach(), squares[valid].mean())
    assert list(trainer.predictors()) == networks and set(trainer.nets) == set(networks)
    assert trainer.nets["student"].training


def test_the_average_follows_each_step_with_the_running_statistics() -> None:
    trainer = training(momentum=0.75)
    nets = trainer.nets
    before = {name: value.clone() for name, value in nets["ema"].state_dict().items()}
    losses_of(trainer)  # changes the student's running statistics
    trainer.method.after_step(nets, STEP)
    for name, value in nets["ema"].state_dict().items():
        of_student = nets["student"].state_dict()[name]
        expected = 0.75 * before[name] + 0.25 * of_student if value.is_floating_point() else of_student
        torch.testing.assert_close(value, expected)


def test_the_students_own_targets_leave_its_running_statistics_alone() -> None:
    of_average, of_student = (training(teacher=teacher) for teacher in ("ema", "student"))
    for trainer in (of_average, of_student):
        losses_of(trainer)
    for one, other in zip(of_average.nets["student"].buffers(), of_student.nets["student"].buffers(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("teacher", ["ema", "student"])
def test_in_half_precision_the_losses_are_single_and_every_weight_gets_its_gradient(teacher: str) -> None:
    trainer = training(teacher=teacher, recipe__precision="bf16")
    with autocast("bf16", trainer.device):
        losses, _, _ = losses_of(trainer)
    assert {term.value.dtype for term in losses.terms.values()} == {torch.float32}
    torch.stack([term.value for term in losses.terms.values()]).sum().backward()
    assert all(parameter.grad is not None for parameter in trainer.nets["student"].parameters())


def test_the_draw_depends_on_the_steps_seed_alone() -> None:
    trainer = training()
    first, again = (losses_of(trainer)[0].terms["structured"].value for _ in range(2))
    other = losses_of(trainer, dataclasses.replace(STEP, seed=12))[0].terms
    assert torch.equal(first, again) and not torch.equal(first, other["structured"].value)


def test_the_loop_gives_each_step_and_micro_batch_another_seed() -> None:
    steps: list[Step] = []
    trainer = Training(resolve(small(recipe__steps=2, recipe__accumulate=2), Places()), places=Places(), runtime=QUIET)
    inner = trainer.module
    inner.register_forward_pre_hook(lambda module, inputs: steps.append(inputs[1]))

    class Silent:
        def write_line(self, line): ...

        def save_checkpoint(self, payload, step): ...

        def report_step(self, step, loss): ...

    trainer.run(Silent())
    assert [step.index for step in steps] == [0, 0, 1, 1] and len({step.seed for step in steps}) == 4


def test_without_both_weights_it_is_supervised_reads_no_unlabelled_images_and_has_the_average() -> None:
    trainer = training(weight_consistency=0, weight_structured=0)
    losses, batch, nets = losses_of(trainer)
    assert list(losses.terms) == ["supervised"] and not batch.unlabeled and "ema" in trainer.nets
    logits = nets["student"](batch.labeled.weak)
    torch.testing.assert_close(losses.terms["supervised"].value, relaxed_ce(logits, batch.labeled.label, window=3))


def test_hard_examples_and_relaxed_labels_exclude_each_other() -> None:
    step = dataclasses.replace(STEP, ohem=OHEM())
    with pytest.raises(UserError, match=r"recipe\.ohem cannot be combined with method\.relaxation"):
        losses_of(training(), step)
    assert losses_of(training(relaxation=None), step)[0].terms["supervised"].value > 0


def test_more_last_boxes_than_boxes_are_refused_where_they_matter() -> None:
    with pytest.raises(FieldError, match=r"last_boxes must be at most boxes\.num_boxes=32, got 33"):
        StructuredConsistency(last_boxes=33)
    assert StructuredConsistency(last_boxes=33, weight_structured=0).last_boxes == 33


def test_fields_are_reached_by_their_paths() -> None:
    changes = {
        "method.boxes.num_boxes": 64,
        "method.boxes.area": (0.5, 0.5),
        "method.relaxation.window": 5,
        "method.relaxation.tighten_at": 0.5,
    }
    method = apply(small("structured_consistency"), overrides_of(changes, "test")).method
    assert (method.boxes.num_boxes, method.boxes.area) == (64, (0.5, 0.5))
    assert (method.relaxation.window, method.relaxation.tighten_at) == (5, 0.5)
