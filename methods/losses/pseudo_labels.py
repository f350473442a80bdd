"""Hard pseudo-labels, their confidence and their accuracy."""

from __future__ import annotations

import torch

from assay.data.source import IGNORE


def pseudo_label(logits: torch.Tensor) -> torch.Tensor:
    """Return the most probable class of each pixel (B x H x W)."""
    return logits.detach().max(dim=1).indices  # equals argmax, which is slower over a dimension other than the last


def confidence_mask(logits: torch.Tensor, *, threshold: float) -> torch.Tensor:
    """Return a mask of the pixels whose highest probability reaches `threshold` (B x H x W, bool)."""
    return logits.detach().softmax(dim=1).amax(dim=1) >= threshold


def pseudo_label_accuracy(pseudo: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the number of correct pixels in a pseudo-label, and the number of pixels whose class is known in both."""
    counted = (pseudo != IGNORE) & (truth != IGNORE)
    return ((pseudo == truth) & counted).sum(), counted.sum()
