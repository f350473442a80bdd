"""Forward passes that return features and logits, of one network or of several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from assay.nets.network import Network
from methods.losses import resize_bilinear
from methods.losses.grids import Size


@dataclasses.dataclass(frozen=True)
class NetworkOutput:
    """A network's features and logits for a batch of images."""

    features: torch.Tensor
    logits: torch.Tensor

    @property
    def size(self) -> Size:
        """Height and width of the logits."""
        return self.logits.shape[2], self.logits.shape[3]


def forward(net: nn.Module, images: torch.Tensor) -> NetworkOutput:
    """Return a network's features and logits, both at the network's resolution."""
    network = cast(Network, net)
    features = network.features(images)
    return NetworkOutput(features, network.classify(features))


def forward_at_image_size(net: nn.Module, images: torch.Tensor) -> NetworkOutput:
    """Return features at the network's resolution and logits at the images'."""
    output = forward(net, images)
    return NetworkOutput(output.features, resize_bilinear(output.logits, (images.shape[2], images.shape[3])))


def forward_each(nets: Sequence[nn.Module], kinds: Sequence[torch.Tensor]) -> list[list[NetworkOutput]]:
    """Return, for each network, its output on each kind of images (labelled and unlabelled, say), all of one size.

    Each kind passes alone, so that batch norm uses statistics of that kind, as in the authors' code: mixed strong views
    have other statistics than weak ones. Networks that treat images independently take all kinds in one pass: the
    numbers are the same, and it is faster.
    """
    outputs = [_forward_together(net, kinds) if is_batch_independent(net) else [] for net in nets]
    for images in kinds:
        for net, of_net in zip(nets, outputs, strict=True):
            if len(of_net) < len(kinds):
                of_net.append(forward(net, images))
    return outputs


def is_batch_independent(net: nn.Module) -> bool:
    """Return whether a network's output on an image depends on neither the rest of the batch nor random numbers."""
    return not any(
        module.training and (isinstance(module, _BatchNorm) or (isinstance(module, _DropoutNd) and module.p > 0))
        for module in net.modules()
    )


def _forward_together(net: nn.Module, kinds: Sequence[torch.Tensor]) -> list[NetworkOutput]:
    """Return the output on each kind of images from one pass over all of them."""
    sizes = [len(images) for images in kinds]
    whole = forward(net, torch.cat(list(kinds)))
    return [NetworkOutput(*parts) for parts in zip(whole.features.split(sizes), whole.logits.split(sizes), strict=True)]
