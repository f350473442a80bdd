"""What a student learns from a teacher beside single pixels: whole images and regions (MGD, Qin et al., ECCV 2022)."""

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
    """MGD's Eq. 4: the L1 distance of logits (B x C x H x W) that are averaged over each image (Eq. 3).

    The mean over classes and images, or with ``"sum"`` the sum over both, of the global batch. valid: B x H x W; the
    average is over the pixels in it, and an image without any does not count. The teacher gets no gradient.
    """
    with torch.autocast(student_logits.device.type, enabled=False):
        student, known = _pooled(student_logits, (1, 1), valid)
        teacher, _ = _pooled(teacher_logits.detach(), (1, 1), valid)
        distance = ((student - teacher).abs() * known).sum()
    if reduction == "sum":
        return distance * world_size()  # training averages over ranks
    return global_mean(distance / student.shape[1], known.sum())


def region_content(
    student_features: torch.Tensor,
    teacher_features: torch.Tensor,
    *,
    size: int | Size,
    valid: torch.Tensor | None = None,
) -> torch.Tensor:
    """MGD's Eq. 6: the mean squared difference of how similar the regions of an image are to each other (Eq. 5).

    Features (B x D x h x w; D, h and w may differ between the two) are averaged over `size` regions, by height and
    width. valid: B x H x W of any size; averages are over the cells in it, and a region without any does not count.
    The mean is over pairs of regions of the global batch. The teacher gets no gradient.
    """
    size = (size, size) if isinstance(size, int) else size
    with torch.autocast(student_features.device.type, enabled=False):
        student, known = _self_similarity(student_features, size, valid)
        teacher, known_to_teacher = _self_similarity(teacher_features.detach(), size, valid)
        pairs = known & known_to_teacher
        total = ((student - teacher).square() * pairs).sum()
    return global_mean(total, pairs.sum())


def _self_similarity(
    features: torch.Tensor, size: Size, valid: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """B x R x R: the cosines between R regions (Eq. 5; 0 with a region of zeros), and which pairs count."""
    pooled, known = _pooled(features, size, valid)
    vectors = functional.normalize(pooled.flatten(2), dim=1)
    known = known.flatten(1)
    return vectors.mT @ vectors, known.unsqueeze(1) & known.unsqueeze(2)


def _pooled(maps: torch.Tensor, size: Size, valid: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """B x D x size: means over the cells of each region that are in `valid`; and where there are any, B x 1 x size.

    Never below single precision, whatever the maps come in.
    """
    maps = maps.to(torch.promote_types(torch.float32, maps.dtype))
    if valid is None:
        return functional.adaptive_avg_pool2d(maps, size), maps.new_ones(len(maps), 1, *size, dtype=torch.bool)
    inside = resize_nearest(valid, cast(Size, tuple(maps.shape[-2:]))).unsqueeze(1)
    share = functional.adaptive_avg_pool2d(inside.to(maps.dtype), size)
    known = share > 0
    return functional.adaptive_avg_pool2d(maps * inside, size) / torch.where(known, share, 1.0), known
