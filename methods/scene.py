"""What several networks say of one batch, brought onto one grid of pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from assay.data.batch import Batch, BoxMaps
from assay.data.source import IGNORE
from assay.method import Share
from assay.nets.network import Network
from methods.losses import agreement, bilinear, nearest
from methods.losses.grids import Size

Resolution = Literal["image", "features", "half"]


@dataclasses.dataclass(frozen=True)
class Seen:
    """Features and logits, both at the network's own resolution."""

    features: torch.Tensor
    logits: torch.Tensor

    @property
    def size(self) -> Size:
        """Height and width of the logits."""
        return self.logits.shape[2], self.logits.shape[3]


def see(net: nn.Module, images: torch.Tensor) -> Seen:
    """What a network makes of images."""
    network = cast(Network, net)
    features = network.features(images)
    return Seen(features, network.classify(features))


def see_each(nets: Sequence[nn.Module], kinds: Sequence[torch.Tensor]) -> list[list[Seen]]:
    """By network: what it makes of each kind of images (labelled and unlabelled ones, say), all of one size.

    A kind is normalised by statistics of its own, as in the authors' code: mixed strong views scatter differently.
    Where the batch makes no difference, all kinds go through a network in one pass: the same numbers, sooner.
    """
    seen = [_see_all(net, kinds) if image_by_image(net) else [] for net in nets]
    for images in kinds:
        for net, found in zip(nets, seen, strict=True):
            if len(found) < len(kinds):
                found.append(see(net, images))
    return seen


def image_by_image(net: nn.Module) -> bool:
    """Whether what a network makes of an image hangs on that image alone, not on its batch and not on chance."""
    return not any(
        module.training and (isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0))
        for module in net.modules()
    )


def _see_all(net: nn.Module, kinds: Sequence[torch.Tensor]) -> list[Seen]:
    """All kinds of images in one pass."""
    sizes = [len(images) for images in kinds]
    whole = see(net, torch.cat(list(kinds)))
    return [Seen(*parts) for parts in zip(whole.features.split(sizes), whole.logits.split(sizes), strict=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Said:
    """What one network says of the labelled images, where it saw them, and of the unlabelled ones."""

    labeled: Seen | None
    unlabeled: Seen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
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
    ) -> Scene:
        """The scene of a batch with one stream of unlabelled images, seen as `images`.

        features: the first network's resolution
        """
        labeled, (unlabeled,) = batch.labeled, batch.unlabeled
        common = cast(Size, tuple(labeled.label.shape[-2:])) if resolution == "image" else features
        grid = (max(1, common[0] // 2), max(1, common[1] // 2)) if resolution == "half" else common
        valid, truth = (nearest(mixed(batch.boxes, each), grid) for each in (unlabeled.valid, unlabeled.truth))
        if with_labeled:
            of_labeled = nearest(labeled.valid, grid)
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

    def mixed(self, seen: Seen, *, features: bool) -> Seen:
        """What was said of the unmixed images, mixed as the images are; the features where they are asked for."""
        return Seen(
            mixed(self.boxes, seen.features) if features else seen.features,
            mixed(self.boxes, bilinear(seen.logits, self.common)),
        )

    def logits(self, said: Said) -> torch.Tensor:
        """N x C x h x w on `grid`."""
        parts = [said.unlabeled]
        if self.with_labeled:
            assert said.labeled is not None
            parts = [said.labeled, said.unlabeled]
        return torch.cat([bilinear(bilinear(part.logits, self.common), self.grid) for part in parts])

    def without_padding(self, pseudo_label: torch.Tensor) -> torch.Tensor:
        """A pseudo-label (N x h x w) with IGNORE on padding."""
        return torch.where(self.valid, pseudo_label, IGNORE)

    def quality(self, of: str, target: torch.Tensor, *, selected: bool) -> dict[str, Share]:
        """How many of a target's pixels (N x h x w) are right, and where they were selected, how many are kept."""
        right, judged = agreement(target, self.truth)
        kept = {f"{of}_kept": Share((target != IGNORE).sum(), self.valid.sum())} if selected else {}
        return {f"{of}_accuracy": Share(right, judged), **kept}


def students_images(batch: Batch, *, strong: bool) -> torch.Tensor:
    """The unlabelled images as the students see them: strong or weak views, mixed by the batch's boxes."""
    (unlabeled,) = batch.unlabeled
    return mixed(batch.boxes, unlabeled.strong[0] if strong else unlabeled.weak)


def mixed(boxes: BoxMaps | None, maps: torch.Tensor) -> torch.Tensor:
    """Each image's successor in the global batch inside its boxes; for B x C x h x w and B x h x w of any size.

    Without gradient, and the maps as they are where there are no boxes.
    """
    if boxes is None:
        return maps
    mask = nearest(boxes.mask, cast(Size, tuple(maps.shape[-2:])))
    return torch.where(mask if maps.dim() == 3 else mask.unsqueeze(1), Batch.next_in_batch(maps), maps.detach())
