"""What a student learns from a trained teacher's predictions."""

from __future__ import annotations

import torch
from torch.nn import functional

from assay.ranks import global_mean


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
