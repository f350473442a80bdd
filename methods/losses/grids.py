"""Resizing of logits, labels and masks, for losses that are not taken at the images' resolution."""

from __future__ import annotations

import torch
from torch.nn import functional

Size = tuple[int, int]  # height and width


def resize_bilinear(maps: torch.Tensor, size: Size) -> torch.Tensor:
    """Return maps (B x C x H x W) at another size, or the maps themselves if they have that size."""
    if maps.shape[-2:] == size:
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def resize_nearest(maps: torch.Tensor, size: Size) -> torch.Tensor:
    """Return labels or masks (B x H x W, of any type) at another size: the pixel at the middle of each cell."""
    if maps.shape[-2:] == size:
        return maps
    rows, columns = (
        (2 * torch.arange(new, device=maps.device) + 1) * old // (2 * new)
        for new, old in zip(size, maps.shape[-2:], strict=True)
    )
    return maps[:, rows][:, :, columns]
