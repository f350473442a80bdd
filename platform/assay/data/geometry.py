"""Scale, crop and flip: drawn once for an image, then applied to its pixels and its labels alike.

Scaling a whole image only to keep a crop of it wastes most of the work. So a `Geometry` names the rectangle of the
*source* that the crop shows and the size which that rectangle takes; only the rectangle is resized. Its sides are
whole source pixels: the factor that is applied differs from the one drawn by less than half a source pixel over the
crop. Image and labels are cut from the same rectangle and resized to the same size, so they cannot come apart.
They are plain tensors and no tv_tensors: with one shared `Geometry`, and an interpolation that each of them is given,
there is nothing for torchvision to choose by a tensor's type.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from assay.data.normalize import MEAN_COLOUR
from assay.data.source import IGNORE
from assay.data.views import Augment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
    """A rectangle of the source image, the size it takes at the crop's top left, and whether it is mirrored."""

    top: int
    left: int
    height: int
    width: int
    shown_height: int  # at most the crop's height; the rest of the crop is padding
    shown_width: int
    flip: bool


def draw_geometry(rng: np.random.Generator, height: int, width: int, augment: Augment) -> Geometry:
    """A scale, a position and a flip for an image of this size; always four numbers from `rng`."""
    at_scale, at_top, at_left, at_flip = rng.random(4).tolist()
    scale = _scale(at_scale, augment) * _fitting(height, width, augment)
    source_height, shown_height = _extent(height, augment.crop[0], scale)
    source_width, shown_width = _extent(width, augment.crop[1], scale)
    return Geometry(
        top=int(at_top * (height - source_height + 1)),
        left=int(at_left * (width - source_width + 1)),
        height=source_height,
        width=source_width,
        shown_height=shown_height,
        shown_width=shown_width,
        flip=at_flip < augment.flip,
    )


def _scale(at: float, augment: Augment) -> float:
    if augment.scale_draw == "list":
        return augment.scales[int(at * len(augment.scales))]
    low, high = augment.scales
    return low + at * (high - low)


def _fitting(height: int, width: int, augment: Augment) -> float:
    # Fitting is one more factor, so that no image is resized twice.
    return 1.0 if augment.fit is None else augment.fit / max(height, width)


def _extent(size: int, crop: int, scale: float) -> tuple[int, int]:
    """Along one side: how many source pixels the crop shows, and on how many of its own pixels."""
    scaled = max(1, round(size * scale))
    if scaled <= crop:
        return size, scaled
    return min(size, max(1, round(crop / scale))), crop


def apply_geometry(
    image: np.ndarray, mask: np.ndarray, geometry: Geometry, crop: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The crop of an image (H x W x 3, uint8) and its mask (H x W, uint8).

    Returns the image (3 x h x w, uint8), the labels (h x w, uint8) and where they are an image's (h x w, bool).
    What the image does not fill, at the right and at the bottom whether mirrored or not, gets the mean colour,
    IGNORE and False.
    """
    shown = _shown(image, geometry, InterpolationMode.BILINEAR)
    valid = torch.ones(shown.shape[-2:], dtype=torch.bool)
    colour = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)
    return (
        _padded(shown, colour.view(3, 1, 1).expand(3, *crop)),
        apply_to_mask(mask, geometry, crop),
        _padded(valid, torch.tensor(False).expand(crop)),
    )


def apply_to_mask(mask: np.ndarray, geometry: Geometry, crop: tuple[int, int]) -> torch.Tensor:
    """The crop of a mask (H x W, uint8) alone, as h x w, uint8, with IGNORE where the image does not fill it."""
    # Plain "nearest", as torchvision resizes masks, picks each cell's corner: half a pixel off the image.
    labels = _shown(mask[..., None], geometry, InterpolationMode.NEAREST_EXACT)
    return _padded(labels[0], torch.tensor(IGNORE, dtype=torch.uint8).expand(crop))


def _shown(pixels: np.ndarray, geometry: Geometry, interpolation: InterpolationMode) -> torch.Tensor:
    rows = slice(geometry.top, geometry.top + geometry.height)
    columns = slice(geometry.left, geometry.left + geometry.width)
    # A copy, since torch refuses arrays that are read-only or mirrored.
    patch = torch.from_numpy(np.array(pixels[rows, columns], order="C")).permute(2, 0, 1)
    size = [geometry.shown_height, geometry.shown_width]
    scaled: torch.Tensor = tv.resize(patch, size, interpolation=interpolation, antialias=True)
    return scaled.flip(-1) if geometry.flip else scaled


def _padded(content: torch.Tensor, canvas: torch.Tensor) -> torch.Tensor:
    padded = canvas.clone(memory_format=torch.contiguous_format)
    padded[..., : content.shape[-2], : content.shape[-1]] = content
    return padded
