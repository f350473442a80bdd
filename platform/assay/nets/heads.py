"""The papers' heads. Each has `features` (the input of the last classifier), `classify`, and that `classifier`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from assay.nets.spec import DeepLabV2, DeepLabV3Plus, PSPNet


def conv_norm_relu(inputs: int, outputs: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, batch norm, ReLU."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def separable_conv(inputs: int, outputs: int, *, dilation: int = 1) -> nn.Sequential:
    """Return a depthwise 3x3 and a pointwise convolution, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        *conv_norm_relu(inputs, outputs, 1),
    )


def conv3x3(inputs: int, outputs: int, *, dilation: int = 1, separable: bool) -> nn.Sequential:
    """Return a 3x3 block, separable or dense."""
    if separable:
        return separable_conv(inputs, outputs, dilation=dilation)
    return conv_norm_relu(inputs, outputs, 3, dilation=dilation)


def projection(inputs: int, outputs: int, kernel: int, *, plain: bool) -> nn.Module:
    """Return a convolution that reduces channels, with batch norm and ReLU unless it is plain."""
    if plain:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return conv_norm_relu(inputs, outputs, kernel)


def classifier(inputs: int, num_classes: int, *, std: float | None, bias: bool) -> nn.Conv2d:
    """Return a 1x1 convolution with torch's initial values or, with `std`, normal weights and a bias of 0."""
    convolution = nn.Conv2d(inputs, num_classes, 1, bias=bias)
    if std is not None:
        nn.init.normal_(convolution.weight, std=std)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return convolution


def resize_like(features: torch.Tensor, other: torch.Tensor, *, align_corners: bool = False) -> torch.Tensor:
    """Resize features bilinearly to the height and width of `other`."""
    return functional.interpolate(features, size=other.shape[-2:], mode="bilinear", align_corners=align_corners)


class Head(nn.Module):
    """Base class of the heads."""

    classifier: nn.Module
    feature_channels: int
    align_corners = False  # of the resizing of features and logits

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        # Dropout comes after the features, so that repeated calls of `features` give equal results.
        self.dropout = nn.Dropout2d(dropout)

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Return the classifier's input, from the encoder's low-level and last features."""
        raise NotImplementedError

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits at the features' resolution."""
        logits: torch.Tensor = self.classifier(self.dropout(features))
        return logits


class ImagePooling(nn.Module):
    """The ASPP branch of the mean over the image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = conv_norm_relu(inputs, outputs, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pooled = self.project(functional.adaptive_avg_pool2d(features, 1))
        return pooled.expand(-1, -1, *features.shape[-2:])


class DeepLabV3PlusHead(Head):
    """ASPP over the last features, then two 3x3 blocks over its result and the reduced low-level features."""

    def __init__(self, spec: DeepLabV3Plus, channels: tuple[int, int], num_classes: int) -> None:
        super().__init__(spec.dropout)
        self.align_corners = spec.align_corners
        low, high = channels
        width = spec.channels
        self.branches = nn.ModuleList(
            [
                conv_norm_relu(high, width, 1),
                *(conv3x3(high, width, dilation=rate, separable=spec.separable) for rate in spec.atrous_rates),
                ImagePooling(high, width),
            ]
        )
        self.project = projection(width * len(self.branches), width, spec.projection, plain=spec.plain_projections)
        self.reduce = projection(low, spec.low_level_channels, 1, plain=spec.plain_projections)
        self.fuse = nn.Sequential(
            conv3x3(width + spec.low_level_channels, width, separable=spec.separable),
            conv3x3(width, width, separable=spec.separable),
        )
        self.classifier = classifier(width, num_classes, std=spec.classifier_std, bias=spec.classifier_bias)
        self.feature_channels = width

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        context = self.project(torch.cat([branch(high) for branch in self.branches], dim=1))
        resized = resize_like(context, low, align_corners=self.align_corners)
        fused: torch.Tensor = self.fuse(torch.cat([resized, self.reduce(low)], dim=1))
        return fused


class PSPHead(Head):
    """The last features, concatenated with their means over cells of several sizes."""

    def __init__(self, spec: PSPNet, channels: tuple[int, int], num_classes: int) -> None:
        super().__init__(spec.dropout)
        high = channels[1]
        width = max(1, high // len(spec.bins))
        self.bins = spec.bins
        self.pooled = nn.ModuleList([conv_norm_relu(high, width, 1) for _ in spec.bins])
        self.fuse = conv_norm_relu(high + width * len(spec.bins), spec.channels, 3)
        self.classifier = nn.Conv2d(spec.channels, num_classes, 1)
        self.feature_channels = spec.channels

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        cells = [
            resize_like(project(functional.adaptive_avg_pool2d(high, size)), high)
            for size, project in zip(self.bins, self.pooled, strict=True)
        ]
        fused: torch.Tensor = self.fuse(torch.cat([high, *cells], dim=1))
        return fused


class SumOfConvolutions(nn.Module):
    """Atrous classifiers whose logits are summed."""

    def __init__(self, inputs: int, num_classes: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [nn.Conv2d(inputs, num_classes, 3, padding=rate, dilation=rate) for rate in rates]
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.stack([branch(features) for branch in self.branches]).sum(0)


class DeepLabV2Head(Head):
    """Classifiers on the encoder's last features."""

    def __init__(self, spec: DeepLabV2, channels: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.classifier = SumOfConvolutions(channels[1], num_classes, spec.atrous_rates[: spec.branches])
        self.feature_channels = channels[1]

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return high


def build_head(spec: DeepLabV2 | DeepLabV3Plus | PSPNet, channels: tuple[int, int], num_classes: int) -> Head:
    """Return the head that a value describes."""
    if isinstance(spec, DeepLabV3Plus):
        return DeepLabV3PlusHead(spec, channels, num_classes)
    if isinstance(spec, PSPNet):
        return PSPHead(spec, channels, num_classes)
    return DeepLabV2Head(spec, channels, num_classes)
