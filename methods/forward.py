"""What several networks say of one batch, brought onto one grid of pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from assay.nets.network import Network
from methods.losses.grids import Size

Resolution = Literal["image", "features", "half"]


@dataclasses.dataclass(frozen=True)
class NetworkOutput:
    """Features and logits, both at the network's own resolution."""

    features: torch.Tensor
    logits: torch.Tensor

    @property
    def size(self) -> Size:
        """Height and width of the logits."""
        return self.logits.shape[2], self.logits.shape[3]


def forward(net: nn.Module, images: torch.Tensor) -> NetworkOutput:
    """What a network makes of images."""
    network = cast(Network, net)
    features = network.features(images)
    return NetworkOutput(features, network.classify(features))


def forward_each(nets: Sequence[nn.Module], kinds: Sequence[torch.Tensor]) -> list[list[NetworkOutput]]:
    """By network: what it makes of each kind of images (labelled and unlabelled ones, say), all of one size.

    A kind is normalised by statistics of its own, as in the authors' code: mixed strong views scatter differently.
    Where the batch makes no difference, all kinds go through a network in one pass: the same numbers, sooner.
    """
    seen = [_forward_all(net, kinds) if is_batch_independent(net) else [] for net in nets]
    for images in kinds:
        for net, found in zip(nets, seen, strict=True):
            if len(found) < len(kinds):
                found.append(forward(net, images))
    return seen


def is_batch_independent(net: nn.Module) -> bool:
    """Whether what a network makes of an image hangs on that image alone, not on its batch and not on chance."""
    return not any(
        module.training and (isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0))
        for module in net.modules()
    )


def _forward_all(net: nn.Module, kinds: Sequence[torch.Tensor]) -> list[NetworkOutput]:
    """All kinds of images in one pass."""
    sizes = [len(images) for images in kinds]
    whole = forward(net, torch.cat(list(kinds)))
    return [NetworkOutput(*parts) for parts in zip(whole.features.split(sizes), whole.logits.split(sizes), strict=True)]
