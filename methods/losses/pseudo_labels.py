"""Hard pseudo-labels, and how good they are."""

from __future__ import annotations

import torch

from assay.data.source import IGNORE


def pseudo_label(logits: torch.Tensor, *, threshold: float = 0.0) -> torch.Tensor:
    """The most probable class of each pixel (B x H x W); IGNORE where its probability is below `threshold`."""
    logits = logits.detach()
    if threshold <= 0:
        return logits.max(dim=1).indices  # what argmax gives; over a dimension that is not the last that is slower
    probability, label = logits.softmax(dim=1).max(dim=1)
    return torch.where(probability < threshold, IGNORE, label)


def confidence_mask(logits: torch.Tensor, *, threshold: float) -> torch.Tensor:
    """Where the highest probability reaches `threshold` (B x H x W, bool)."""
    return logits.detach().softmax(dim=1).amax(dim=1) >= threshold


def pseudo_label_accuracy(pseudo: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many pixels of a pseudo-label are right, and how many can be judged."""
    judged = (pseudo != IGNORE) & (truth != IGNORE)
    return ((pseudo == truth) & judged).sum(), judged.sum()
