"""Losses against slow, plain references, in value and gradient."""

from __future__ import annotations

import math

import pytest
import torch
from loss_checks import IGNORE, assert_same, example
from torch import nn

from methods.ema import ema_update, make_teacher
from methods.losses import (
    confidence_mask,
    consistency,
    cwd,
    kd,
    pixel_ce,
    pixel_ce_ohem,
    pseudo_label,
    pseudo_label_accuracy,
)


def plain_losses(logits: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """Return the cross entropy of every pixel that counts, pixel by pixel."""
    losses = []
    for b in range(target.shape[0]):
        for h in range(target.shape[1]):
            for w in range(target.shape[2]):
                label = int(target[b, h, w])
                if label != IGNORE:
                    exponentials = [logits[b, c, h, w].exp() for c in range(logits.shape[1])]
                    losses.append(-(exponentials[label] / sum(exponentials)).log())
    return losses


def test_pixel_ce_is_the_mean_over_the_pixels_that_count() -> None:
    logits, target = example()
    losses = plain_losses(logits, target)
    assert_same(pixel_ce(logits, target), torch.stack(losses).mean(), logits)


def test_pixel_ce_of_no_pixels_is_a_differentiable_zero() -> None:
    logits, target = example()
    loss = pixel_ce(logits, torch.full_like(target, IGNORE))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixel_ce_has_the_dtype_of_the_logits(dtype: torch.dtype) -> None:
    logits, target = example()
    assert pixel_ce(logits.to(dtype), target).dtype == dtype


@pytest.mark.parametrize(("threshold", "min_kept"), [(0.3, 1), (0.3, 20), (0.99, 5), (0.01, 7), (0.5, 1000)])
def test_ohem_keeps_the_hard_pixels_and_at_least_min_kept(threshold: float, min_kept: int) -> None:
    logits, target = example(3)
    losses = sorted(plain_losses(logits, target), key=lambda loss: -loss.item())
    hard = [loss for loss in losses if math.exp(-loss.item()) <= threshold]
    kept = hard if len(hard) >= min_kept else losses[:min_kept]
    assert_same(
        pixel_ce_ohem(logits, target, threshold=threshold, min_kept=min_kept),
        torch.stack(kept).mean(),
        logits,
    )


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.6, 1.0])
def test_pseudo_label_is_the_most_probable_class_and_the_mask_its_confidence(threshold: float) -> None:
    logits, _ = example(1)
    label, confident = pseudo_label(logits), confidence_mask(logits, threshold=threshold)
    probabilities = logits.detach().softmax(1)
    for b, h, w in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5)).tolist():
        pixel = probabilities[b, :, h, w]
        assert int(label[b, h, w]) == int(pixel.argmax())
        assert bool(confident[b, h, w]) == bool(pixel.max() >= threshold)
    assert not label.requires_grad and not confident.requires_grad


def test_pseudo_label_accuracy_counts_correct_pixels_among_those_with_a_true_class() -> None:
    pseudo = torch.tensor([[[0, 1, IGNORE, 2]]])
    truth = torch.tensor([[[0, 2, 1, IGNORE]]])
    right, counted = pseudo_label_accuracy(pseudo, truth)
    assert (int(right), int(counted)) == (1, 2)


@pytest.mark.parametrize("over_classes", ["sum", "mean"])
def test_consistency_is_the_mean_over_the_pixels_that_count(over_classes: str) -> None:
    logits, _ = example(2)
    other = example(5)[0].detach().softmax(1)
    valid = torch.ones(2, 4, 5, dtype=torch.bool)
    valid[1, :, 3:] = False
    squares = (logits.softmax(1) - other) ** 2
    pixels = [
        sum(squares[b, c, h, w] for c in range(3)) / (3 if over_classes == "mean" else 1)
        for b in range(2)
        for h in range(4)
        for w in range(5)
        if valid[b, h, w]
    ]
    assert_same(
        consistency(logits.softmax(1), other, valid, over_classes=over_classes),
        torch.stack(pixels).mean(),
        logits,
    )
    everywhere = consistency(logits.softmax(1), other, torch.ones_like(valid))
    assert torch.equal(consistency(logits.softmax(1), other), everywhere)


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    net(torch.randn(2, 3, 8, 8))
    return net


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_is_the_scaled_kl_divergence_of_softened_predictions_over_the_pixels_that_count(temperature: float) -> None:
    logits, _ = example()
    teacher = example(seed=1)[0]
    valid = torch.ones(2, 4, 5, dtype=torch.bool)
    valid[0, 0] = False
    losses = []
    for b, h, w in valid.nonzero().tolist():
        p, q = ((output[b, :, h, w] / temperature).softmax(0) for output in (teacher.detach(), logits))
        losses.append(temperature**2 * (p * (p.log() - q.log())).sum())
    slow = sum(losses) / len(losses)
    assert_same(kd(logits, teacher, temperature=temperature, valid=valid), slow, logits)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(kd(logits, teacher, temperature=temperature), teacher)
    everywhere = kd(logits, teacher, temperature=temperature)
    assert torch.equal(everywhere, kd(logits, teacher, temperature=temperature, valid=torch.ones_like(valid)))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("padded", [False, True])
def test_cwd_is_the_scaled_kl_divergence_of_softened_channels_over_positions(temperature: float, padded: bool) -> None:
    logits, teacher = example()[0], example(seed=1)[0]
    valid = torch.ones(2, 4, 5, dtype=torch.bool)
    if padded:
        valid[1, :, 3:] = False
    losses = []
    for b in range(2):
        for c in range(3):
            p, q = ((output[b, c][valid[b]] / temperature).softmax(0) for output in (teacher.detach(), logits))
            losses.append(sum(p[at] * (p[at].log() - q[at].log()) for at in range(len(p))))
    slow = temperature**2 / (2 * 3) * sum(losses)
    fast = cwd(logits, teacher, temperature=temperature, valid=valid if padded else None)
    assert_same(fast, slow, logits)


def test_cwd_by_hand() -> None:
    # The softmax over positions is 3/4 and 1/4 for the teacher, and 1/2 and 1/2 for the student.
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[math.log(9), 0.0]]]])
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert cwd(student, teacher, temperature=2.0).item() == pytest.approx(4 * divergence)


def test_cwd_has_no_gradient_to_the_teacher_and_is_a_differentiable_zero_on_padding_alone() -> None:
    logits, teacher = example()[0], example(seed=1)[0]
    with pytest.raises(RuntimeError):
        torch.autograd.grad(cwd(logits, teacher, temperature=4.0), teacher)
    on_padding = cwd(logits, teacher, temperature=4.0, valid=torch.zeros(2, 4, 5, dtype=torch.bool))
    assert on_padding.item() == 0
    assert torch.equal(torch.autograd.grad(on_padding, logits)[0], torch.zeros_like(logits))


def test_cwd_is_never_computed_below_single_precision() -> None:
    logits, teacher = example()[0], example(seed=1)[0]
    assert cwd(logits, teacher, temperature=4.0).dtype == torch.float64
    assert cwd(logits.bfloat16(), teacher.bfloat16(), temperature=4.0).dtype == torch.float32


@pytest.mark.parametrize("buffers", [False, True])
def test_ema_averages_each_parameter_and_buffers_only_on_request(buffers: bool) -> None:
    teacher, student = network(0), network(1)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    ema_update(teacher, student, 0.75, buffers=buffers)
    parameters = dict(teacher.named_parameters())
    for name, value in teacher.state_dict().items():
        of_student = student.state_dict()[name]
        if name in parameters or (buffers and value.is_floating_point()):
            expected = 0.75 * before[name] + 0.25 * of_student
        else:
            expected = of_student if buffers else before[name]
        torch.testing.assert_close(value, expected)


def test_a_teacher_starts_as_its_student_and_gets_no_gradient() -> None:
    student = network(0)
    teacher = make_teacher(student)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), teacher.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())
