"""CutMix boxes: drawn one image at a time, painted for a whole batch. N boxes, B images, H x W pixels."""

from __future__ import annotations

import math

import numpy as np
import torch

from assay.data.views import Boxes


def draw_boxes(rng: np.random.Generator, height: int, width: int, boxes: Boxes) -> np.ndarray:
    """N x 4 (top, left, bottom, right), fully inside, in the order of pasting; always 4 N numbers from `rng`.

    French's generator: the area share p, a height share of exp(U ln p) and so a width share of p / height, both
    times sqrt(1/N).
    """
    at_area, at_aspect, at_top, at_left = rng.random((4, boxes.num_boxes))
    low, high = boxes.area
    area = low + at_area * (high - low)
    tall = np.exp(at_aspect * np.log(area))
    shrink = math.sqrt(1 / boxes.num_boxes)
    heights = np.clip(np.round(tall * shrink * height), 1, height).astype(np.int64)
    widths = np.clip(np.round(area / tall * shrink * width), 1, width).astype(np.int64)
    tops = (at_top * (height - heights + 1)).astype(np.int64)
    lefts = (at_left * (width - widths + 1)).astype(np.int64)
    return np.stack([tops, lefts, tops + heights, lefts + widths], axis=1)


def paint(boxes: torch.Tensor, height: int, width: int, rule: str) -> tuple[torch.Tensor, torch.Tensor]:
    """From boxes (B x N x 4): where the partner shows (B x H x W, bool), and which box shows last (int16, -1: none).

    One box after the other over the whole batch: memory for B x H x W, never for N times as much.
    """
    rows = torch.arange(height, device=boxes.device).view(1, height, 1)
    columns = torch.arange(width, device=boxes.device).view(1, 1, width)
    owner = torch.full((len(boxes), height, width), -1, dtype=torch.int16, device=boxes.device)
    toggled = torch.zeros_like(owner, dtype=torch.bool)
    for index in range(boxes.shape[1]):
        top, left, bottom, right = (edge.view(-1, 1, 1) for edge in boxes[:, index].unbind(1))
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        owner.masked_fill_(inside, index)
        toggled ^= inside
    return (toggled if rule == "toggle" else owner >= 0), owner
