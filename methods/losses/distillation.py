"""What a student learns from a trained teacher's predictions."""

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
    """T² · KL(softmax(teacher / T) || softmax(student / T)), the mean over pixels (over those in `valid`, B x H x W).

    T² keeps the size of the gradient the same for every temperature. The teacher gets no gradient.
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
    """T²/(B·C) · Σ KL(softmax(teacher / T) || softmax(student / T)), the softmax over the positions of each channel.

    Positions outside `valid` (B x H x W) take no part in the softmax. The teacher gets no gradient.
    """
    student = _over_positions(student_logits / temperature, valid)
    teacher = _over_positions(teacher_logits.detach() / temperature, valid)
    images, channels = student_logits.shape[:2]
    total = functional.kl_div(student, teacher, reduction="sum", log_target=True) / channels
    return temperature**2 * global_mean(total, total.new_full((), images))


def _over_positions(logits: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """B x C x P: the log-softmax over the P positions; 0 where a position takes no part, there and in a teacher."""
    logits = logits.flatten(2).to(torch.promote_types(torch.float32, logits.dtype))
    if valid is None:
        return functional.log_softmax(logits, dim=2)
    outside = ~valid.flatten(1).unsqueeze(1)
    # The lowest number rather than -inf: an image without any valid position has finite gradients too.
    lowered = logits.masked_fill(outside, torch.finfo(logits.dtype).min)
    return functional.log_softmax(lowered, dim=2).masked_fill(outside, 0.0)
