"""CutMix rectangles: drawn for one image, painted for a batch."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch

from assay.data.views import Boxes


def draw_boxes(rng: np.random.Generator, height: int, width: int, boxes: Boxes) -> np.ndarray:
    """Draw N boxes in the order of pasting, as N x 4 whole numbers (top, left, bottom, right; the last two exclusive).

    The rule is that of French et al.'s code: a box with share p of the image has height p^u and width p^(1-u), with u
    uniform in [0, 1]. The sides of N boxes are multiplied by sqrt(1/N). Always takes 4 N numbers from `rng`.
    """
    u_share, u_aspect, u_top, u_left = rng.random((4, boxes.num_boxes))
    low, high = boxes.area
    share = low + (high - low) * u_share
    top, bottom = _place(share**u_aspect, u_top, height)
    left, right = _place(share ** (1 - u_aspect), u_left, width)
    return np.stack((top, left, bottom, right), axis=1)


def _place(shares: np.ndarray, u_start: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts and ends of boxes along one side. Every position inside the image is equally likely."""
    lengths = np.clip(np.rint(shares * size / np.sqrt(len(shares))), 1, size).astype(np.int64)
    starts = (u_start * (size - lengths + 1)).astype(np.int64)
    return starts, starts + lengths


def largest_box(height: int, width: int, boxes: Boxes) -> int:
    """Return a number of pixels that no box of `draw_boxes` exceeds, close to the largest one possible."""
    side = math.sqrt(boxes.num_boxes)
    area = boxes.area[1] * height * width / boxes.num_boxes
    # A side of r pixels was at least r - 0.5 before it was rounded; a side of one pixel may have been any smaller one.
    widths = [width / side] + [min(width / side, area / (rows - 0.5)) for rows in range(2, round(height / side) + 1)]
    return max(rows * max(1, round(widest)) for rows, widest in enumerate(widths, start=1))


def paint(
    boxes: torch.Tensor, height: int, width: int, rule: Literal["union", "toggle"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mask (B x H x W, bool) and the owners (B x H x W, int16) of B x N x 4 boxes, on the boxes' device.

    A pixel's owner is the last box over it, or -1. The mask is True under any box (union), or under an odd number
    of boxes (toggle). Boxes are read one by one: for boxes on an accelerator, the host waits for the accelerator.
    """
    shape = (len(boxes), height, width)
    owner = torch.full(shape, -1, dtype=torch.int16, device=boxes.device)
    odd = torch.zeros(shape, dtype=torch.bool, device=boxes.device)
    # A loop over boxes writes the pixels of each box only; a tensor of B x N x H x W would take gigabytes.
    for image, corners in enumerate(boxes.tolist()):
        for index, (top, left, bottom, right) in enumerate(corners):
            owner[image, top:bottom, left:right] = index
            if rule == "toggle":
                odd[image, top:bottom, left:right].logical_not_()
    return (odd if rule == "toggle" else owner >= 0), owner
