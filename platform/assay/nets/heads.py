"""The papers' heads: (low-level features, last features) → features → logits.

Every head gives its features (the input of its classifier) and the logits apart, since methods compare, shift
or cut either. Dropout belongs to the classifier, so features are the same for all who look at them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from assay.nets.spec import DeepLabV2, DeepLabV3Plus, PSPNet


class Head(nn.Module):
    """Base of the heads. `classifier.weight` is classes x feature_channels x 1 x 1."""

    def __init__(self, feature_channels: int, classifier: nn.Module, dropout: float) -> None:
        super().__init__()
        self.feature_channels = feature_channels
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = classifier

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """B x feature_channels x h x w: what the classifier sees."""
        raise NotImplementedError

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """B x classes x h x w: the logits at the features' resolution."""
        logits: torch.Tensor = self.classifier(self.dropout(features))
        return logits


def build_head(
    spec: DeepLabV2 | DeepLabV3Plus | PSPNet, low_channels: int, high_channels: int, num_classes: int
) -> Head:
    """The head with random weights, for an encoder with these numbers of channels."""
    if isinstance(spec, DeepLabV2):
        return DeepLabV2Head(spec, high_channels, num_classes)
    if isinstance(spec, PSPNet):
        return PSPHead(spec, high_channels, num_classes)
    return DeepLabV3PlusHead(spec, low_channels, high_channels, num_classes)


class DeepLabV2Head(Head):
    """The sum of atrous classifiers on the encoder's last features, which are the head's features too."""

    def __init__(self, spec: DeepLabV2, high_channels: int, num_classes: int) -> None:
        rates = spec.atrous_rates[: spec.branches]
        super().__init__(high_channels, AtrousClassifier(high_channels, num_classes, rates), spec.dropout)

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """The last features as they are."""
        return high


class AtrousClassifier(nn.Module):
    """The sum of 3x3 convolutions with different dilations."""

    def __init__(self, channels: int, num_classes: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, num_classes, 3, padding=rate, dilation=rate) for rate in rates
        )
        for branch in self.branches:
            _initialise_classifier(branch)

    @property
    def weight(self) -> torch.Tensor:
        """classes x channels x 1 x 1: what a change of the features that is the same everywhere is weighed with."""
        taps = torch.stack([branch.weight for branch in self.branches])  # type: ignore[arg-type]
        return taps.sum(dim=(0, 3, 4))[:, :, None, None]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The logits."""
        first, *others = [branch(features) for branch in self.branches]
        return sum(others, first)  # type: ignore[no-any-return]


class DeepLabV3PlusHead(Head):
    """Atrous pyramid on the last features, joined with the reduced low-level ones by two 3x3 convolutions."""

    def __init__(self, spec: DeepLabV3Plus, low_channels: int, high_channels: int, num_classes: int) -> None:
        super().__init__(spec.channels, _classifier(spec.channels, num_classes), spec.dropout)
        self.pyramid = AtrousPyramid(spec, high_channels)
        self.reduce = _conv_norm_relu(low_channels, spec.low_level_channels, 1)
        joined = spec.channels + spec.low_level_channels
        self.decoder = nn.Sequential(
            _spatial(joined, spec.channels, separable=spec.separable),
            _spatial(spec.channels, spec.channels, separable=spec.separable),
        )

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """The decoder's output, at the low-level features' resolution."""
        context = _resize(self.pyramid(high), low)
        return self.decoder(torch.cat([context, self.reduce(low)], dim=1))  # type: ignore[no-any-return]


class AtrousPyramid(nn.Module):
    """A 1x1 convolution, one 3x3 convolution for each rate, and image pooling, side by side; then a projection."""

    def __init__(self, spec: DeepLabV3Plus, inputs: int) -> None:
        super().__init__()
        width = spec.channels
        atrous = [
            _spatial(inputs, width, dilation=rate, separable=spec.separable) for rate in spec.atrous_rates
        ]
        self.branches = nn.ModuleList([_conv_norm_relu(inputs, width, 1), *atrous])
        self.image_pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), _conv_norm_relu(inputs, width, 1))
        self.project = _conv_norm_relu((len(self.branches) + 1) * width, width, 1)

    def forward(self, high: torch.Tensor) -> torch.Tensor:
        """Features of the same size."""
        pooled = self.image_pooling(high).expand(-1, -1, *high.shape[-2:])
        return self.project(torch.cat([*(branch(high) for branch in self.branches), pooled], dim=1))  # type: ignore[no-any-return]


class PSPHead(Head):
    """The last features beside their averages over grids of several sizes, joined by one 3x3 convolution."""

    def __init__(self, spec: PSPNet, high_channels: int, num_classes: int) -> None:
        super().__init__(spec.channels, _classifier(spec.channels, num_classes), spec.dropout)
        width = max(1, high_channels // len(spec.bins))
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), _conv_norm_relu(high_channels, width, 1))
            for side in spec.bins
        )
        self.join = _spatial(high_channels + width * len(spec.bins), spec.channels)

    def features(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """The joined pyramid, at the last features' resolution."""
        pooled = [_resize(pool(high), high) for pool in self.pools]
        return self.join(torch.cat([high, *pooled], dim=1))  # type: ignore[no-any-return]


def _resize(features: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _classifier(channels: int, num_classes: int) -> nn.Conv2d:
    classifier = nn.Conv2d(channels, num_classes, 1)
    _initialise_classifier(classifier)
    return classifier


def _initialise_classifier(classifier: nn.Module) -> None:
    assert isinstance(classifier, nn.Conv2d) and classifier.bias is not None
    nn.init.normal_(classifier.weight, std=0.01)  # all classes start about equally likely
    nn.init.zeros_(classifier.bias)


def _spatial(inputs: int, outputs: int, *, dilation: int = 1, separable: bool = False) -> nn.Sequential:
    """A 3x3 convolution, or a depthwise 3x3 and a 1x1 in its place, each with batch norm and ReLU."""
    if not separable:
        return _conv_norm_relu(inputs, outputs, 3, dilation=dilation)
    depthwise = _conv_norm_relu(inputs, inputs, 3, dilation=dilation, groups=inputs)
    return nn.Sequential(*depthwise, *_conv_norm_relu(inputs, outputs, 1))


def _conv_norm_relu(
    inputs: int, outputs: int, size: int, *, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(
        inputs, outputs, size, padding=dilation * (size // 2), dilation=dilation, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
