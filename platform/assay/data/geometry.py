"""Scale, crop and flip: drawn once for an image, then applied to its pixels and to its labels.

Resizing a whole image to keep only a crop of it wastes most of the work. So a `Geometry` holds a rectangle of the
*source* image and the size to which it is resized; only this rectangle is resized. Its sides are whole source pixels:
over the crop, the applied factor differs from the drawn one by less than half a source pixel. Image and labels are
cut from the same rectangle and resized to the same size, so they stay aligned. They are plain tensors, not tv_tensors:
both share one `Geometry`, and each gets its interpolation explicitly, so torchvision need not choose by tensor type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from assay.data.source import IGNORE
from assay.data.views import Augment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
    """A rectangle of the source image, its size after resizing, and a flip. It fills the crop from the top left."""

    top: int
    left: int
    height: int
    width: int
    resized_height: int  # at most the crop's height; the rest of the crop is padding
    resized_width: int
    flip: bool


def draw_geometry(
    rng: np.random.Generator, height: int, width: int, augment: Augment, point: tuple[int, int] | None = None
) -> Geometry:
    """Draw a scale, a position and a flip for an image of this size. Always takes four numbers from `rng`.

    point: row and column of a pixel that the rectangle must contain; every position that contains it is equally likely
    """
    u_scale, u_top, u_left, u_flip = rng.random(4).tolist()
    scale = _scale(u_scale, augment) * _fit_factor(height, width, augment)
    source_height, resized_height = _extent(height, augment.crop[0], scale)
    source_width, resized_width = _extent(width, augment.crop[1], scale)
    row, column = (None, None) if point is None else point
    return Geometry(
        top=_start(u_top, height, source_height, row),
        left=_start(u_left, width, source_width, column),
        height=source_height,
        width=source_width,
        resized_height=resized_height,
        resized_width=resized_width,
        flip=u_flip < augment.flip,
    )


def _start(u: float, size: int, length: int, contained: int | None) -> int:
    """Return the start of the rectangle along one side."""
    first, last = 0, size - length
    if contained is not None:
        first, last = max(first, contained - length + 1), min(last, contained)
    return first + int(u * (last - first + 1))


def _scale(u: float, augment: Augment) -> float:
    if augment.scale_draw == "list":
        return augment.scales[int(u * len(augment.scales))]
    low, high = augment.scales
    return low + u * (high - low)


def _fit_factor(height: int, width: int, augment: Augment) -> float:
    # Fitting multiplies the scale, so that no image is resized twice.
    return 1.0 if augment.fit is None else augment.fit / max(height, width)


def _extent(size: int, crop: int, scale: float) -> tuple[int, int]:
    """Return the length of the source rectangle along one side, and its length in the crop."""
    scaled = max(1, round(size * scale))
    if scaled <= crop:
        return size, scaled
    return min(size, max(1, round(crop / scale))), crop


def apply_geometry(
    image: np.ndarray,
    mask: np.ndarray,
    geometry: Geometry,
    crop: tuple[int, int],
    padding: tuple[int, int, int],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Crop an image (H x W x 3, uint8) and its mask (H x W, uint8).

    Returns the image (3 x h x w, uint8), the labels (h x w, uint8) and a map that is False on padding (h x w, bool).
    Padding lies at the right and at the bottom, also of flipped images. It has the colour `padding` and the label
    IGNORE.
    """
    patch = _cut_and_resize(image, geometry, InterpolationMode.BILINEAR)
    valid = torch.ones(patch.shape[-2:], dtype=torch.bool)
    return _pad(patch, crop, padding), apply_to_mask(mask, geometry, crop), _pad(valid, crop, (False,))


def apply_to_mask(mask: np.ndarray, geometry: Geometry, crop: tuple[int, int]) -> torch.Tensor:
    """Crop a mask (H x W, uint8) alone, to h x w, uint8, with IGNORE on padding."""
    # Plain "nearest", torchvision's default for masks, takes each cell's corner: half a pixel off the image.
    labels = _cut_and_resize(mask[..., None], geometry, InterpolationMode.NEAREST_EXACT)
    return _pad(labels[0], crop, (IGNORE,))


def _cut_and_resize(pixels: np.ndarray, geometry: Geometry, interpolation: InterpolationMode) -> torch.Tensor:
    rows = slice(geometry.top, geometry.top + geometry.height)
    columns = slice(geometry.left, geometry.left + geometry.width)
    # A copy, because torch refuses read-only arrays and negative strides.
    patch = torch.from_numpy(np.array(pixels[rows, columns], order="C")).permute(2, 0, 1)
    size = (geometry.resized_height, geometry.resized_width)
    if patch.shape[-2:] != size:  # resizing to the same size takes long as well
        patch = tv.resize(patch, list(size), interpolation=interpolation, antialias=True)
    return patch.flip(-1) if geometry.flip else patch


def _pad(content: torch.Tensor, crop: tuple[int, int], values: Sequence[int]) -> torch.Tensor:
    """Return the content (... x h x w) in the top left corner of a crop that has these values, one for each channel."""
    if content.shape[-2:] == crop:
        return content
    canvas = (
        torch.tensor(values, dtype=content.dtype).view(*content.shape[:-2], 1, 1).expand(*content.shape[:-2], *crop)
    )
    padded = canvas.clone(memory_format=torch.contiguous_format)
    padded[..., : content.shape[-2], : content.shape[-1]] = content
    return padded
