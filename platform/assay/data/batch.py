"""What a method is given at each step. B images of H x W pixels on this rank."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from assay.collectives import roll_global
from assay.data.source import IGNORE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labeled:
    """Images with their labels. `weak` and `strong` are normalised, B x 3 x H x W."""

    weak: torch.Tensor
    label: torch.Tensor  # B x H x W, int64, IGNORE outside the image and where nobody knows
    valid: torch.Tensor  # B x H x W, bool: False on padding
    strong: torch.Tensor | None = None
    stored: Mapping[str, torch.Tensor] = dataclasses.field(default_factory=dict)  # as in Unlabeled

    def without_padding(self, pseudo_label: torch.Tensor) -> torch.Tensor:
        """A pseudo-label (B x H x W) with IGNORE on padding."""
        return torch.where(self.valid, pseudo_label, IGNORE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unlabeled:
    """Images without labels. `truth` is for diagnostics only: training on it would be cheating."""

    weak: torch.Tensor  # B x 3 x H x W
    strong: tuple[torch.Tensor, ...]  # as many strong views as the method asked for
    valid: torch.Tensor  # B x H x W, bool: False on padding
    truth: torch.Tensor  # B x H x W, int64, IGNORE where unknown
    # By the name in `Views.stored`: an earlier experiment's masks, B x H x W, int64, IGNORE on padding.
    stored: Mapping[str, torch.Tensor] = dataclasses.field(default_factory=dict)

    def without_padding(self, pseudo_label: torch.Tensor) -> torch.Tensor:
        """A pseudo-label (B x H x W) with IGNORE on padding."""
        return torch.where(self.valid, pseudo_label, IGNORE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxMaps:
    """Where the boxes lie. `mask` is True where the partner shows; `owner` names the box that shows last."""

    mask: torch.Tensor  # B x H x W, bool
    owner: torch.Tensor  # B x H x W, int16: 0-based in the order of pasting, -1 where there is no box

    def mix(self, own: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
        """`partner` inside the mask, `own` outside; for images and logits (B x C x H x W) and labels (B x H x W)."""
        mask = self.mask if own.dim() == self.mask.dim() else self.mask.unsqueeze(1)
        return torch.where(mask, partner, own)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's images on this rank."""

    labeled: Labeled
    unlabeled: tuple[Unlabeled, ...]
    boxes: BoxMaps | None = None

    @staticmethod
    def next_in_batch(tensor: torch.Tensor) -> torch.Tensor:
        """For each image its successor in the *global* batch: a roll by one over all ranks, without gradient."""
        return roll_global(tensor)
