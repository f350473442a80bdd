"""A segmentation network from images to logits of the images' size."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from assay.data.normalize import Normalization, renormalize
from assay.nets.batchnorm import replace_batch_norm
from assay.nets.encoders import build_encoder, load_weights, normalization_of
from assay.nets.heads import build_head, resize_like
from assay.nets.spec import Net


class Network(nn.Module):
    """An encoder and a head. `features` and `classify` are separate, for methods that work on the features."""

    def __init__(self, spec: Net, num_classes: int, *, weights: Path | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.encoder = build_encoder(spec.encoder)
        self.random_parameters = load_weights(self.encoder, weights) if weights else ()
        self.head = build_head(spec.head, self.encoder.channels, num_classes)  # type: ignore[arg-type]
        replace_batch_norm(self, spec.batch_norm)
        self.normalization = normalization_of(spec.encoder)  # of the images that this network is called with
        self.is_input = False  # True for the network of another experiment, which this one only reads

    def accept(self, normalization: Normalization) -> None:
        """Take images of this normalisation from now on, and convert them to the encoder's own.

        The networks of an experiment share a batch, which is normalised for `experiment.net`. Converted padding has the
        padding's colour instead of 0.
        """
        self.normalization = normalization

    @property
    def classifier(self) -> nn.Module:
        """The last layer, which `classify` applies to features."""
        return self.head.classifier

    @property
    def feature_channels(self) -> int:
        """The number of channels D of `features`."""
        return self.head.feature_channels

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the classifier's input, B x D x h x w."""
        own = normalization_of(self.spec.encoder)
        if self.normalization != own:
            images = renormalize(images, self.normalization, own)
        low, high = self.encoder(images)
        return self.head.features(low, high)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits at the features' resolution, B x C x h x w."""
        return self.head.classify(features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits at the images' resolution, B x C x H x W."""
        return self.upsample(self.classify(self.features(images)), images)

    def upsample(self, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return logits of `classify` at the images' resolution."""
        return resize_like(logits, images, align_corners=self.head.align_corners)


def build_network(spec: Net, num_classes: int, *, weights: Path | None = None, seed: int = 0) -> Network:
    """Return a network whose random weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(spec, num_classes, weights=weights)
