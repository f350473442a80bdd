"""The consistency loss: pixel by pixel, the squared distance between two predictions."""

from __future__ import annotations

from typing import Literal

import torch

from assay.collectives import global_mean


def consistency(
    student_prob: torch.Tensor,
    teacher_prob: torch.Tensor,
    valid: torch.Tensor | None = None,
    *,
    over_classes: Literal["sum", "mean"] = "sum",
) -> torch.Tensor:
    """Return the squared distance of two predictions (B x C x H x W), the mean over the pixels in `valid` (B x H x W).

    Over classes it is the sum ("sum": French et al., and Eq. 4 of Kim et al.) or the mean ("mean": Mean Teacher of the
    CPS authors). Without `valid` every pixel counts.
    """
    distance = (student_prob - teacher_prob).square()
    per_pixel = distance.sum(dim=1) if over_classes == "sum" else distance.mean(dim=1)
    if valid is None:
        valid = torch.ones_like(per_pixel, dtype=torch.bool)
    return global_mean((per_pixel * valid).sum(), valid.sum())
