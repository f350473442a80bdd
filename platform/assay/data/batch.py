"""A step's batch, as a method gets it: B images of H x W pixels on this rank."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from assay.collectives import roll_global
from assay.data import index_maps
from assay.data.source import IGNORE


class Padded:
    """Images with padding. It counts in no metric, and in a loss on pseudo-labels only where a method asks for it."""

    valid: torch.Tensor  # B x H x W, bool: False on padding

    def without_padding(self, pseudo_label: torch.Tensor) -> torch.Tensor:
        """Return a pseudo-label (B x H x W) with IGNORE on padding."""
        return torch.where(self.valid, pseudo_label, IGNORE)

    def target(self, pseudo_label: torch.Tensor, *, on_padding: bool) -> torch.Tensor:
        """Return a pseudo-label (B x H x W) as the target of a loss: with `on_padding`, padding counts."""
        return pseudo_label if on_padding else self.without_padding(pseudo_label)

    def counted(self, *, on_padding: bool) -> torch.Tensor:
        """Return the mask (B x H x W, bool) of the pixels that count in a loss without labels."""
        return torch.ones_like(self.valid) if on_padding else self.valid


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labeled(Padded):
    """Images with their labels. `weak` and `strong` are normalised, B x 3 x H x W."""

    weak: torch.Tensor
    label: torch.Tensor  # B x H x W, int64, IGNORE on padding and where the class is unknown
    valid: torch.Tensor  # B x H x W, bool: False on padding
    strong: torch.Tensor | None = None
    index_map: torch.Tensor | None = None  # of `strong`, as in Unlabeled
    stored: Mapping[str, torch.Tensor] = dataclasses.field(default_factory=dict)  # as in Unlabeled

    def carry(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps of the weak view in the geometry of the strong view, as `Unlabeled.carry` does."""
        return index_maps.carry(maps, self.index_map)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unlabeled(Padded):
    """Images without labels. `truth` is for diagnostics only: training on it would invalidate every result."""

    weak: torch.Tensor  # B x 3 x H x W
    strong: tuple[torch.Tensor, ...]  # `Views.strong` strong views, each B x 3 x H x W
    valid: torch.Tensor  # B x H x W, bool: False on padding
    truth: torch.Tensor  # B x H x W, int64, IGNORE where unknown
    # Of each strong view (none at all, or None for a view, if pixels stay in place): B x H x W, see data/index_maps.py.
    index_maps: tuple[torch.Tensor | None, ...] = ()
    # By the name in `Views.stored`: an earlier experiment's masks, B x H x W, int64, IGNORE on padding.
    stored: Mapping[str, torch.Tensor] = dataclasses.field(default_factory=dict)

    def carry(self, maps: torch.Tensor, view: int) -> torch.Tensor:
        """Return maps of the weak view in the geometry of a strong view, at the size of the images.

        Labels (B x H x W, integers) become IGNORE where the view shows nothing of the image, masks (bool) False, and
        probabilities (B x C x H x W) 0: for these, ``carry(valid, view)`` is the mask of the pixels that count. Padding
        stays as it is. Views whose pixels stay in place return the maps themselves.
        """
        return index_maps.carry(maps, self.index_maps[view] if self.index_maps else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxMaps:
    """CutMix boxes as maps of pixels. A pixel takes its value from the image's partner inside the mask."""

    mask: torch.Tensor  # B x H x W, bool: True where the mixed image is the partner's
    owner: torch.Tensor  # B x H x W, int16: the box pasted last, 0-based in the order of pasting; -1 without a box

    def mix(self, images: torch.Tensor, partners: torch.Tensor) -> torch.Tensor:
        """Return `partners` inside the mask and `images` outside.

        Both are images or logits (B x C x H x W) or labels (B x H x W).
        """
        mask = self.mask if images.dim() == self.mask.dim() else self.mask.unsqueeze(1)
        return torch.where(mask, partners, images)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's images on this rank."""

    labeled: Labeled
    unlabeled: tuple[Unlabeled, ...]
    boxes: BoxMaps | None = None

    @staticmethod
    def next_in_batch(tensor: torch.Tensor) -> torch.Tensor:
        """Return for each image its successor in the *global* batch: a roll by one over all ranks, without gradient."""
        return roll_global(tensor)
