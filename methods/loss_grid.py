"""The grid of pixels on which losses of several networks are taken."""

from __future__ import annotations

import dataclasses
from typing import Literal, cast

import torch

from assay.data.batch import Batch, BoxMaps
from assay.data.source import IGNORE
from assay.method import Share
from methods.forward import NetworkOutput
from methods.losses import pseudo_label_accuracy, resize_bilinear, resize_nearest
from methods.losses.grids import Size

Resolution = Literal["image", "features", "half"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchOutputs:
    """What one network says of the labelled images, where it saw them, and of the unlabelled ones."""

    labeled: NetworkOutput | None
    unlabeled: NetworkOutput


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossGrid:
    """The pixels that a loss on unlabelled images is taken over: those of the labelled images too, in front, if asked.

    Networks of different resolutions meet on `common`, where logits are mixed; losses are taken on `grid`.
    """

    images: torch.Tensor  # the unlabelled images as the students see them
    boxes: BoxMaps | None  # each image shows its successor in the global batch inside its boxes
    with_labeled: bool
    common: Size
    grid: Size
    valid: torch.Tensor  # N x h x w on `grid`: False on padding
    truth: torch.Tensor  # N x h x w on `grid`, for diagnostics; IGNORE on labelled images

    @classmethod
    def of(
        cls, batch: Batch, images: torch.Tensor, *, with_labeled: bool, resolution: Resolution, features: Size
    ) -> LossGrid:
        """The scene of a batch with one stream of unlabelled images, seen as `images`.

        features: the first network's resolution
        """
        labeled, (unlabeled,) = batch.labeled, batch.unlabeled
        common = cast(Size, tuple(labeled.label.shape[-2:])) if resolution == "image" else features
        grid = (max(1, common[0] // 2), max(1, common[1] // 2)) if resolution == "half" else common
        valid, truth = (resize_nearest(mixed(batch.boxes, each), grid) for each in (unlabeled.valid, unlabeled.truth))
        if with_labeled:
            of_labeled = resize_nearest(labeled.valid, grid)
            valid = torch.cat([of_labeled, valid])
            truth = torch.cat([torch.full_like(of_labeled, IGNORE, dtype=truth.dtype), truth])
        return cls(
            images=images,
            boxes=batch.boxes,
            with_labeled=with_labeled,
            common=common,
            grid=grid,
            valid=valid,
            truth=truth,
        )

    def mixed(self, seen: NetworkOutput, *, features: bool) -> NetworkOutput:
        """What was said of the unmixed images, mixed as the images are; the features where they are asked for."""
        return NetworkOutput(
            mixed(self.boxes, seen.features) if features else seen.features,
            mixed(self.boxes, resize_bilinear(seen.logits, self.common)),
        )

    def logits(self, said: BranchOutputs) -> torch.Tensor:
        """N x C x h x w on `grid`."""
        parts = [said.unlabeled]
        if self.with_labeled:
            assert said.labeled is not None
            parts = [said.labeled, said.unlabeled]
        return torch.cat([resize_bilinear(resize_bilinear(part.logits, self.common), self.grid) for part in parts])

    def without_padding(self, pseudo_label: torch.Tensor) -> torch.Tensor:
        """A pseudo-label (N x h x w) with IGNORE on padding."""
        return torch.where(self.valid, pseudo_label, IGNORE)

    def quality(self, of: str, target: torch.Tensor, *, selected: bool) -> dict[str, Share]:
        """How many of a target's pixels (N x h x w) are right, and where they were selected, how many are kept."""
        right, judged = pseudo_label_accuracy(target, self.truth)
        kept = {f"{of}_kept": Share((target != IGNORE).sum(), self.valid.sum())} if selected else {}
        return {f"{of}_accuracy": Share(right, judged), **kept}


def student_views(batch: Batch, *, strong: bool) -> torch.Tensor:
    """The unlabelled images as the students see them: strong or weak views, mixed by the batch's boxes."""
    (unlabeled,) = batch.unlabeled
    return mixed(batch.boxes, unlabeled.strong[0] if strong else unlabeled.weak)


def mixed(boxes: BoxMaps | None, maps: torch.Tensor) -> torch.Tensor:
    """Each image's successor in the global batch inside its boxes; for B x C x h x w and B x h x w of any size.

    Without gradient, and the maps as they are where there are no boxes.
    """
    if boxes is None:
        return maps
    mask = resize_nearest(boxes.mask, cast(Size, tuple(maps.shape[-2:])))
    return torch.where(mask if maps.dim() == 3 else mask.unsqueeze(1), Batch.next_in_batch(maps), maps.detach())
