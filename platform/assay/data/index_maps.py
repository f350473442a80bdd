"""Index maps: for each pixel of a view, the pixel of the weak view that it shows.

An index map (B x H x W, int64) holds positions row · W + column, or -1 where a view shows nothing of its image.
"""

from __future__ import annotations

import torch

from assay.data.source import IGNORE


def unmoved(number: int, height: int, width: int, device: torch.device) -> torch.Tensor:
    """Return the index map of views whose pixels stay where they are."""
    return torch.arange(height * width, device=device).view(1, height, width).expand(number, -1, -1)


def pixels_at(maps: torch.Tensor, index_map: torch.Tensor) -> torch.Tensor:
    """Return maps (B x H x W or B x C x H x W) whose pixels lie where an index map places them; any value for -1."""
    channels = maps.shape[1:-2]
    index = index_map.clamp(min=0).view(len(maps), *(1 for _ in channels), -1).expand(-1, *channels, -1)
    return maps.flatten(-2).gather(-1, index).view(maps.shape)


def carry(maps: torch.Tensor, index_map: torch.Tensor | None) -> torch.Tensor:
    """Return maps of the weak view in the geometry of another view; without an index map they are returned as they are.

    Labels (integers) become IGNORE where the view shows nothing of the image, masks (bool) False, probabilities and
    other floating-point maps 0.
    """
    if index_map is None:
        return maps
    if maps.shape[-2:] != index_map.shape[-2:]:
        raise ValueError(
            f"maps are carried at the size of their images, {tuple(index_map.shape[-2:])}, got"
            f" {tuple(maps.shape[-2:])}: resize them first"
        )
    has_no_ignore = maps.dtype == torch.bool or maps.is_floating_point()
    empty = (index_map < 0).view(len(maps), *(1 for _ in maps.shape[1:-2]), *maps.shape[-2:])
    return pixels_at(maps, index_map).masked_fill_(empty, 0 if has_no_ignore else IGNORE)
