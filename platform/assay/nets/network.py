"""A segmentation network: images in, logits of the images' size out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from assay.nets.batchnorm import replace_batch_norm
from assay.nets.encoders import build_encoder, load_weights
from assay.nets.heads import build_head
from assay.nets.spec import Net


class Network(nn.Module):
    """An encoder under a head. `features` and `classify` are apart, for methods that reach between them."""

    def __init__(self, spec: Net, num_classes: int, *, weights: Path | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.encoder = build_encoder(spec.encoder)
        self.random_parameters = load_weights(self.encoder, weights) if weights else ()
        self.head = build_head(spec.head, self.encoder.channels, num_classes)  # type: ignore[arg-type]
        replace_batch_norm(self, spec.batch_norm)
        self.is_input = False  # trained by another experiment, and only read by this one

    @property
    def classifier(self) -> nn.Module:
        """The last layer; its weights are what `classify` multiplies features with."""
        return self.head.classifier

    @property
    def feature_channels(self) -> int:
        """Channels of what `features` returns."""
        return self.head.feature_channels

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """B x D x h x w, what the classifier sees."""
        low, high = self.encoder(images)
        return self.head.features(low, high)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """B x C x h x w, logits at the features' resolution."""
        return self.head.classify(features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """B x C x H x W, logits at the images' resolution."""
        logits = self.classify(self.features(images))
        return functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)


def build_network(spec: Net, num_classes: int, *, weights: Path | None = None, seed: int = 0) -> Network:
    """A network whose random weights are a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(spec, num_classes, weights=weights)
