"""The structured consistency loss (Kim et al. 2020): the similarities of pixels inside CutMix boxes."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable

from assay.collectives import global_mean
from methods.losses.pixel_pairs import BoxPixels, Drop, draw_pairs


def structured_consistency(
    student_prob: torch.Tensor,
    teacher_prob: torch.Tensor,
    owner: torch.Tensor,
    *,
    boxes: int,
    pairs: int,
    generator: torch.Generator,
    valid: torch.Tensor | None = None,
    num_boxes: int | None = None,
    largest: int | None = None,
    drop: Drop = "pairs",
    self_pairs: bool = True,
) -> torch.Tensor:
    """Return Eq. 10: in each box, the mean squared difference of similarities over pairs of pixels; the mean of boxes.

    The mean is also over the images of the global batch. The teacher gets no gradient.

    student_prob, teacher_prob: predictions on the mixed image, B x C x H x W
    owner: B x H x W, the box pasted last over a pixel, 0-based in the order of pasting; -1 without a box
    boxes: the last so many boxes count (N_box); a box with less than two pixels counts with 0
    pairs: at most so many ordered pairs (i, j) of a box's pixels count (N_pair), drawn without replacement
    generator: of the predictions' device, with the same state on all ranks
    valid: B x H x W; pixels outside (padding) belong to no box
    num_boxes: number of boxes that were pasted; None for owner.max() + 1
    largest: a number of pixels that no box exceeds, the same on all ranks; it saves time where all pairs are few
    drop: drop pairs at random, or pixels, so that all pairs of the other pixels are at most `pairs`
    self_pairs: the pairs (i, i), whose difference is 0, count

    Only the pixels of the pairs are gathered and normalised, one box at a time. No value is read back from a device.
    """
    total: torch.Tensor | int = owner.amax().long() + 1 if num_boxes is None else num_boxes
    inside = owner if valid is None else torch.where(valid, owner, -1)
    visible = BoxPixels.of(inside, boxes, total)
    pairs = min(pairs, (largest or owner[0].numel()) ** 2)
    kept = draw_pairs(visible, pairs, generator, drop=drop, self_pairs=self_pairs)
    counted = total.clamp(1, boxes) if isinstance(total, torch.Tensor) else min(total, boxes)
    precision = torch.promote_types(torch.float32, student_prob.dtype)
    weights = kept.counts / (kept.counts.sum(dim=-1, keepdim=True).clamp(min=1) * counted).to(precision)
    pixels = torch.stack((kept.first, kept.second), dim=1)
    squares = cast(torch.Tensor, _WeightedSquares.apply(student_prob, teacher_prob.detach(), pixels, weights))
    return global_mean(squares, squares.new_full((), len(owner)))  # Eq. 10


class _WeightedSquares(torch.autograd.Function):
    """Σ weight · (a^s - a^t)² over the pairs. Each pass gathers one box's vectors at a time, and keeps none of them.

    pixels: B x 2 x N x K, both members of each pair; weights: B x N x K
    """

    @staticmethod
    def forward(
        ctx: Any, student: torch.Tensor, teacher: torch.Tensor, pixels: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        differences = torch.stack(
            [_Similarity(student, pair).cosine - _Similarity(teacher, pair).cosine for pair in pixels.unbind(2)], dim=1
        )
        ctx.save_for_backward(student, pixels, weights * differences)
        return (weights * differences.square()).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        student, pixels, differences = ctx.saved_tensors
        maps = torch.zeros(student.flatten(2).shape, dtype=differences.dtype, device=student.device)
        for pair, factor in zip(pixels.unbind(2), (2 * gradient * differences).unbind(1), strict=True):
            _Similarity(student, pair).add_gradient(maps, factor.unsqueeze(1))
        return maps.view_as(student).to(student.dtype), None, None, None


class _Similarity:
    """Eq. 7 for K pairs of pixels in each image: the cosine a of both pixels' vectors of C numbers.

    A vector of zeros has the similarity 0 with every vector, and no gradient.
    """

    def __init__(self, predictions: torch.Tensor, pair: torch.Tensor) -> None:
        flat = predictions.flatten(2)
        self.index = [pixels.unsqueeze(1).expand(-1, flat.shape[1], -1) for pixels in pair.unbind(1)]
        vectors = [flat.gather(2, index) for index in self.index]
        vectors = [each.to(torch.promote_types(torch.float32, each.dtype)) for each in vectors]  # B x C x K
        # The square root of a sum is several times faster here than torch's vector_norm.
        lengths = [each.square().sum(dim=1, keepdim=True).sqrt() for each in vectors]
        self.inverses = [torch.where(length > 0, 1 / length, 0.0) for length in lengths]
        self.directions = [each * inverse for each, inverse in zip(vectors, self.inverses, strict=True)]
        self.cosine = (self.directions[0] * self.directions[1]).sum(dim=1)  # Eq. 7, B x K

    def add_gradient(self, maps: torch.Tensor, factor: torch.Tensor) -> None:
        """Add factor (B x 1 x K) times the gradient of a to maps (B x C x P), at both pixels of each pair.

        With directions p and q, and p of a vector of length l, it is (q - a p) / l at the pixel of p.
        """
        cosine = self.cosine.unsqueeze(1)
        for own, other in ((0, 1), (1, 0)):
            slope = (self.directions[other] - cosine * self.directions[own]) * (factor * self.inverses[own])
            maps.scatter_add_(2, self.index[own], slope)
