"""Pairs of pixels inside CutMix boxes, drawn without replacement (Eq. 9 of Kim et al. 2020)."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import torch

from methods.losses.subsets import draw_subsets

Drop = Literal["pairs", "pixels"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxPixels:
    """The visible pixels of the last N boxes in each of B images: T_n, a box without what later boxes cover."""

    pixels: torch.Tensor  # B x P, int64: all pixels of an image, those of each box one after another
    start: torch.Tensor  # B x N, int64: place of a box's first pixel in `pixels`
    visible: torch.Tensor  # B x N, int64: |T_n|; 0 for a box that does not exist

    @classmethod
    def of(cls, owner: torch.Tensor, last: int, total: torch.Tensor | int) -> BoxPixels:
        """Return the pixels of the last boxes of `total`, by each pixel's owner (B x H x W, -1 without a box)."""
        # Two places in memory instead of eight for a key: sorting is the larger part of the draw.
        sorted_owner, pixels = owner.flatten(1).to(torch.int16).sort(dim=1, stable=True)
        labels = total - last + torch.arange(last, device=owner.device)
        wanted = labels.clamp(min=0).to(torch.int16).expand(len(owner), last).contiguous()
        start = torch.searchsorted(sorted_owner, wanted)
        end = torch.searchsorted(sorted_owner, wanted, right=True)
        return cls(pixels=pixels, start=start, visible=torch.where(labels >= 0, end - start, 0))

    def at(self, places: torch.Tensor) -> torch.Tensor:
        """Return the pixels, as indices into the flattened image, at places (B x N x K) in their boxes' T_n."""
        index = (self.start.unsqueeze(-1) + places).clamp(max=self.pixels.shape[1] - 1)
        return self.pixels.gather(1, index.flatten(1)).view_as(places)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelPairs:
    """The kept pairs of N boxes in each of B images."""

    first: torch.Tensor  # B x N x K, int64: pixels as indices into the flattened image
    second: torch.Tensor
    counts: torch.Tensor  # B x N x K, bool: False where a box keeps fewer than K pairs


def draw_pairs(
    boxes: BoxPixels, pairs: int, generator: torch.Generator, *, drop: Drop = "pairs", self_pairs: bool = True
) -> PixelPairs:
    """Return Eq. 9: at most `pairs` ordered pairs of each box, as `structured_consistency` describes them."""
    draw = _drop_pairs if drop == "pairs" else _drop_pixels
    first, second, counts = draw(boxes.visible, pairs, generator, self_pairs=self_pairs)
    return PixelPairs(first=boxes.at(first), second=boxes.at(second), counts=counts)


def _drop_pairs(
    visible: torch.Tensor, pairs: int, generator: torch.Generator, *, self_pairs: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return both members of at most `pairs` pairs, and which pairs count; a member is a place in T_n."""
    partners = visible if self_pairs else (visible - 1).clamp(min=0)
    pair, counts = draw_subsets(visible * partners, pairs, generator)
    partners = partners.clamp(min=1).unsqueeze(-1)
    first, second = pair // partners, pair % partners
    if not self_pairs:
        second = torch.where(counts & (second >= first), second + 1, second)
    return first, second, counts


def _drop_pixels(
    visible: torch.Tensor, pairs: int, generator: torch.Generator, *, self_pairs: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the same for all pairs of the largest number of pixels that has at most `pairs` pairs."""
    number = math.isqrt(pairs) if self_pairs else (1 + math.isqrt(1 + 4 * pairs)) // 2
    member, kept = draw_subsets(visible, number, generator)
    shape = (*visible.shape, number, number)
    counts = kept.unsqueeze(-1) & kept.unsqueeze(-2)
    if not self_pairs:
        counts = counts & ~torch.eye(number, dtype=torch.bool, device=counts.device)
    first, second = member.unsqueeze(-1).expand(shape), member.unsqueeze(-2).expand(shape)
    return first.flatten(-2), second.flatten(-2), counts.flatten(-2)
