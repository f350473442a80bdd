"""A segmentation network: an encoder, a head, and one kind of batch norm in both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from assay.nets.batchnorm import convert
from assay.nets.encoders import build_encoder
from assay.nets.heads import build_head
from assay.nets.loading import load_weights
from assay.nets.spec import Net


class Network(nn.Module):
    """Images B x 3 x H x W → logits B x classes x H x W.

    spec: what it was built from. random_parameters: the names of the encoder's parameters that no weights file
    filled; a head always starts at random, and is not listed.
    """

    def __init__(self, spec: Net, num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.encoder = build_encoder(spec.encoder)
        self.head = build_head(spec.head, self.encoder.low_channels, self.encoder.high_channels, num_classes)
        self.random_parameters = _names(self.encoder)
        convert(self, spec.batch_norm)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """B x head.feature_channels x h x w: the input of the classifier."""
        low, high = self.encoder(images)
        return self.head.features(low, high)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """B x classes x h x w: the logits at the features' resolution."""
        return self.head.classify(features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits at the images' resolution, in the type that they were computed in."""
        logits = self.classify(self.features(images))
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def build_network(spec: Net, num_classes: int, *, weights: Path | None, seed: int) -> Network:
    """A network whose initial weights are a function of the description, the weights file and the seed alone."""
    with _isolated(seed):
        network = Network(spec, num_classes)
        if weights is not None:
            left = load_weights(network.encoder, weights)
            network.random_parameters = tuple(f"encoder.{name}" for name in left)
    return network


def _names(encoder: nn.Module) -> tuple[str, ...]:
    return tuple(sorted(f"encoder.{name}" for name, _ in encoder.named_parameters()))


@contextlib.contextmanager
def _isolated(seed: int) -> Iterator[None]:
    """Random numbers from this seed, float32, on the CPU, whatever the process is set to; all put back after."""
    dtype = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the accelerators too
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
