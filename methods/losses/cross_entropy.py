"""Cross entropy over pixels."""

from __future__ import annotations

import torch
from torch.nn import functional

from assay.collectives import gather, global_mean, world_size
from assay.data.source import IGNORE
from assay.recipe import OHEM


def pixel_ce(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean cross entropy of logits (B x C x H x W) over the pixels of target (B x H x W) without IGNORE.

    Where no pixel is left, it is a differentiable 0.
    """
    total = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return global_mean(total, (target != IGNORE).sum())


def pixel_ce_ohem(logits: torch.Tensor, target: torch.Tensor, *, threshold: float, min_kept: int) -> torch.Tensor:
    """Return `pixel_ce` over the hard pixels alone.

    A pixel is hard if the probability of its true class is at most `threshold`; at least the `min_kept` hardest pixels
    of the global batch count.
    """
    valid = target != IGNORE
    with torch.no_grad():
        losses = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
        truth_probability = torch.where(valid, (-losses).exp(), torch.inf)
        limit = _kth_smallest(truth_probability.flatten(), min_kept).clamp(min=threshold)
        hard = valid & (truth_probability <= limit)
    return pixel_ce(logits, torch.where(hard, target, IGNORE))


def _kth_smallest(values: torch.Tensor, k: int) -> torch.Tensor:
    """Return the k-th smallest value over all ranks, or the largest finite one where there are fewer."""
    smallest = values.topk(min(k, values.numel()), largest=False).values
    if world_size() > 1:
        smallest = gather(smallest).sort().values
    finite = smallest[:k][smallest[:k].isfinite()]
    return finite.max() if finite.numel() else smallest.new_tensor(0.0)


def supervised_ce(logits: torch.Tensor, label: torch.Tensor, ohem: OHEM | None) -> torch.Tensor:
    """Return the supervised loss of the recipe: plain cross entropy, or OHEM."""
    if ohem is None:
        return pixel_ce(logits, label)
    return pixel_ce_ohem(logits, label, threshold=ohem.threshold, min_kept=ohem.min_kept)
