"""CutMix rectangles: drawn for one image, painted for a batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from assay.data.views import Boxes


def draw_boxes(rng: np.random.Generator, height: int, width: int, boxes: Boxes) -> np.ndarray:
    """N x 4 whole numbers (top, left, bottom, right; the last two outside), in the order of pasting.

    Facts 5.1: of a box's share p of the image its height takes p^u and its width p^(1-u), u evenly from 0 to 1;
    N boxes have sides sqrt(1/N) of that. Always 4 N numbers from `rng`.
    """
    at_share, at_aspect, at_top, at_left = rng.random((4, boxes.num_boxes))
    low, high = boxes.area
    share = low + (high - low) * at_share
    top, bottom = _place(share**at_aspect, at_top, height)
    left, right = _place(share ** (1 - at_aspect), at_left, width)
    return np.stack((top, left, bottom, right), axis=1)


def _place(shares: np.ndarray, at: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one side: where the boxes begin and end, every place inside being equally likely."""
    lengths = np.clip(np.rint(shares * size / np.sqrt(len(shares))), 1, size).astype(np.int64)
    begins = (at * (size - lengths + 1)).astype(np.int64)
    return begins, begins + lengths


def paint(
    boxes: torch.Tensor, height: int, width: int, rule: Literal["union", "toggle"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mask (B x H x W, bool) and the owners (B x H x W, int16) of B x N x 4 boxes, on the device they are on.

    A pixel's owner is the last box over it, or -1. The mask is True under any box (union), or under an odd number
    of boxes (toggle). Boxes are read one by one: those on an accelerator make the host wait for it.
    """
    shape = (len(boxes), height, width)
    owner = torch.full(shape, -1, dtype=torch.int16, device=boxes.device)
    odd = torch.zeros(shape, dtype=torch.bool, device=boxes.device)
    # Rectangle after rectangle touches each box's own pixels only; B x N x H x W would be gigabytes.
    for image, corners in enumerate(boxes.tolist()):
        for index, (top, left, bottom, right) in enumerate(corners):
            owner[image, top:bottom, left:right] = index
            if rule == "toggle":
                odd[image, top:bottom, left:right].logical_not_()
    return (odd if rule == "toggle" else owner >= 0), owner
