"""Distillation losses on whole images and on regions (MGD, Qin et al., ECCV 2022)."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch.nn import functional

from assay.collectives import global_mean, world_size
from methods.losses.grids import Size, resize_nearest


def image_semantic(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return MGD's Eq. 4: the L1 distance of logits (B x C x H x W) that are averaged over each image (Eq. 3).

    The result is the mean over classes and images of the global batch, or with "sum" the sum over both.

    valid: B x H x W; averages are over these pixels, and an image without any does not count
    The teacher gets no gradient.
    """
    with torch.autocast(student_logits.device.type, enabled=False):
        student, counts = _pool(student_logits, (1, 1), valid)  # Eq. 3
        teacher, _ = _pool(teacher_logits.detach(), (1, 1), valid)  # Eq. 3
        distance = ((student - teacher).abs() * counts).sum()
    if reduction == "sum":
        return distance * world_size()  # training averages over ranks
    return global_mean(distance / student.shape[1], counts.sum())  # Eq. 4


def region_content(
    student_features: torch.Tensor,
    teacher_features: torch.Tensor,
    *,
    size: Size,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return MGD's Eq. 6: the mean squared difference between the self-similarities of two feature maps (Eq. 5).

    Features (B x D x h x w; D, h and w may differ between the two) are averaged over regions. The mean is over pairs
    of regions of the global batch.

    size: number of regions by height and width
    valid: B x H x W of any size; averages are over the cells in it, and a region without any does not count
    The teacher gets no gradient.
    """
    with torch.autocast(student_features.device.type, enabled=False):
        student, student_pairs = _self_similarity(student_features, size, valid)
        teacher, teacher_pairs = _self_similarity(teacher_features.detach(), size, valid)
        pairs = student_pairs & teacher_pairs
        total = ((student - teacher).square() * pairs).sum()
    return global_mean(total, pairs.sum())  # Eq. 6


def _self_similarity(
    features: torch.Tensor, size: Size, valid: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cosines between R regions (B x R x R; 0 with a region of zeros), and the pairs that count."""
    pooled, counts = _pool(features, size, valid)
    vectors = functional.normalize(pooled.flatten(2), dim=1)
    counts = counts.flatten(1)
    return vectors.mT @ vectors, counts.unsqueeze(1) & counts.unsqueeze(2)  # Eq. 5


def _pool(maps: torch.Tensor, size: Size, valid: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of each region over its cells in `valid` (B x D x size), and the regions with any (B x 1 x size).

    Means have at least single precision, also for maps in half precision.
    """
    maps = maps.to(torch.promote_types(torch.float32, maps.dtype))
    if valid is None:
        return functional.adaptive_avg_pool2d(maps, size), maps.new_ones(len(maps), 1, *size, dtype=torch.bool)
    inside = resize_nearest(valid, cast(Size, tuple(maps.shape[-2:]))).unsqueeze(1)
    share = functional.adaptive_avg_pool2d(inside.to(maps.dtype), size)
    counts = share > 0
    return functional.adaptive_avg_pool2d(maps * inside, size) / torch.where(counts, share, 1.0), counts
