"""Distances between predictions."""

from __future__ import annotations

from typing import Literal

import torch

from assay.collectives import global_mean


def probability_distance(
    logits: torch.Tensor,
    target_probabilities: torch.Tensor,
    valid: torch.Tensor,
    *,
    over_classes: Literal["sum", "mean"],
) -> torch.Tensor:
    """Return the squared distance of softmax(logits) from probabilities (B x C x H x W), over the pixels in `valid`.

    It is the mean over pixels, and over classes the sum ("sum": French et al.) or the mean ("mean": Mean Teacher of
    the CPS authors).
    """
    distance = (logits.softmax(dim=1) - target_probabilities).square()
    per_pixel = distance.sum(dim=1) if over_classes == "sum" else distance.mean(dim=1)
    return global_mean((per_pixel * valid).sum(), valid.sum())
