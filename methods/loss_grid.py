"""The grid of pixels on which a loss compares the outputs of several networks."""

from __future__ import annotations

import dataclasses
from typing import Literal, cast

import torch

from assay.data.batch import Batch, BoxMaps, Padded
from assay.data.source import IGNORE
from assay.method import Share
from methods.forward import NetworkOutput
from methods.losses import pseudo_label_accuracy, resize_bilinear, resize_nearest
from methods.losses.grids import Size

Resolution = Literal["image", "features", "half"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BranchOutputs:
    """One network's outputs on the labelled images (None if it does not need them) and on the unlabelled ones."""

    labeled: NetworkOutput | None
    unlabeled: NetworkOutput


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossGrid(Padded):
    """The pixels of a loss on unlabelled images; with `with_labeled`, those of the labelled images come first.

    Networks may have different resolutions. Their logits are resized to `common`, mixed there, and resized to `grid`,
    where the loss is taken. N counts the images on the grid.
    """

    images: torch.Tensor  # the students' views of the unlabelled images
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
        """Return the grid of a batch with one stream of unlabelled images.

        images: the students' views of them
        features: the first network's resolution
        """
        labeled, (unlabeled,) = batch.labeled, batch.unlabeled
        common = cast(Size, tuple(labeled.label.shape[-2:])) if resolution == "image" else features
        grid = (max(1, common[0] // 2), max(1, common[1] // 2)) if resolution == "half" else common
        valid = resize_nearest(mix_with_next(batch.boxes, unlabeled.valid), grid)
        truth = resize_nearest(mix_with_next(batch.boxes, unlabeled.truth), grid)
        if with_labeled:
            labeled_valid = resize_nearest(labeled.valid, grid)
            valid = torch.cat([labeled_valid, valid])
            truth = torch.cat([torch.full_like(labeled_valid, IGNORE, dtype=truth.dtype), truth])
        return cls(
            images=images,
            boxes=batch.boxes,
            with_labeled=with_labeled,
            common=common,
            grid=grid,
            valid=valid,
            truth=truth,
        )

    def mix(self, output: NetworkOutput, *, with_features: bool) -> NetworkOutput:
        """Return an output on unmixed images, its logits (and features) mixed as the students' images are."""
        return NetworkOutput(
            mix_with_next(self.boxes, output.features) if with_features else output.features,
            mix_with_next(self.boxes, resize_bilinear(output.logits, self.common)),
        )

    def logits(self, outputs: BranchOutputs) -> torch.Tensor:
        """Return one network's logits (N x C x h x w) on `grid`."""
        parts = [outputs.unlabeled]
        if self.with_labeled:
            assert outputs.labeled is not None
            parts = [outputs.labeled, outputs.unlabeled]
        return torch.cat([resize_bilinear(resize_bilinear(part.logits, self.common), self.grid) for part in parts])

    def by_kind(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the parts of maps (N x ...) for labelled images, which may be none, and for unlabelled ones."""
        labeled = len(maps) - len(self.images)
        return maps[:labeled], maps[labeled:]

    def target_quality(self, name: str, target: torch.Tensor, *, selected: bool) -> dict[str, Share]:
        """Return the share of correct pixels in a target (N x h x w) and, after selection, the share that is kept.

        Padding never counts.
        """
        right, counted = pseudo_label_accuracy(target, self.truth)
        kept = {f"{name}_kept": Share(((target != IGNORE) & self.valid).sum(), self.valid.sum())} if selected else {}
        return {f"{name}_accuracy": Share(right, counted), **kept}


def student_views(batch: Batch, *, strong: bool) -> torch.Tensor:
    """Return the students' views of the unlabelled images: strong or weak ones, mixed by the batch's boxes."""
    (unlabeled,) = batch.unlabeled
    return mix_with_next(batch.boxes, unlabeled.strong[0] if strong else unlabeled.weak)


def mix_with_next(boxes: BoxMaps | None, maps: torch.Tensor) -> torch.Tensor:
    """Return maps (B x C x h x w or B x h x w, any size) that show the next image of the global batch inside the boxes.

    The result has no gradient. Without boxes, the maps are returned as they are.
    """
    if boxes is None:
        return maps
    mask = resize_nearest(boxes.mask, cast(Size, tuple(maps.shape[-2:])))
    return torch.where(mask if maps.dim() == 3 else mask.unsqueeze(1), Batch.next_in_batch(maps), maps.detach())
