"""Distillation losses between the logits of a student and of a trained teacher."""

from __future__ import annotations

import torch
from torch.nn import functional

from assay.collectives import global_mean


def kd(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    *,
    temperature: float,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return T² · KL(softmax(teacher / T) || softmax(student / T)), the mean over the pixels in `valid` (B x H x W).

    T² keeps the gradient's size independent of the temperature. Without `valid` every pixel counts. The teacher gets
    no gradient.
    """
    student = functional.log_softmax(student_logits / temperature, dim=1)
    teacher = functional.log_softmax(teacher_logits.detach() / temperature, dim=1)
    per_pixel = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)
    if valid is None:
        valid = torch.ones_like(per_pixel, dtype=torch.bool)
    return temperature**2 * global_mean((per_pixel * valid).sum(), valid.sum())


def cwd(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    *,
    temperature: float,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return T²/(B·C) · Σ KL(softmax(teacher / T) || softmax(student / T)), each softmax over a channel's positions.

    Positions outside `valid` (B x H x W) take no part in the softmax. The teacher gets no gradient.
    """
    student = _over_positions(student_logits / temperature, valid)
    teacher = _over_positions(teacher_logits.detach() / temperature, valid)
    images, channels = student_logits.shape[:2]
    total = functional.kl_div(student, teacher, reduction="sum", log_target=True) / channels
    return temperature**2 * global_mean(total, total.new_full((), images))


def _over_positions(logits: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Return the log-softmax over the P positions (B x C x P), and 0 at positions outside `valid`.

    Student and teacher are both 0 there, so that such a position adds nothing to their divergence.
    """
    logits = logits.flatten(2).to(torch.promote_types(torch.float32, logits.dtype))
    if valid is None:
        return functional.log_softmax(logits, dim=2)
    outside = ~valid.flatten(1).unsqueeze(1)
    # The lowest number rather than -inf: so an image without any valid position has finite gradients.
    lowered = logits.masked_fill(outside, torch.finfo(logits.dtype).min)
    return functional.log_softmax(lowered, dim=2).masked_fill(outside, 0.0)
