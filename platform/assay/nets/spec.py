"""Networks as values: one of timm's encoders, WideResNet-38 or a very small one, with one of three heads."""

from __future__ import annotations

from typing import Literal

from assay.errors import FieldError
from assay.values import Value, param

WIDE_RESNET38 = "wide_resnet38"  # the one large encoder that timm lacks


class Encoder(Value):
    """The encoder, which turns an image into features."""

    arch: str = param(default="resnet50", help="a timm name, wide_resnet38, or 'tiny' for images of about 32 x 32")
    output_stride: Literal[8, 16, 32] = param(default=16, help="image pixels per feature cell (fixed to 4 in 'tiny')")
    stem: Literal["plain", "deep"] = param(default="plain", help="ResNets: one 7x7 convolution, or three 3x3")
    stem_width: int = param(default=32, low=1, help="channels inside the deep stem; its output has twice as many")
    multi_grid: tuple[int, ...] = param(default=(), help="ResNets: factors of the last stage's dilation, one per block")
    width: int = param(default=16, low=1, help="'tiny': channels of the first stage")
    weights: str = param(default="none", resolved=True, help="none, imagenet, or a file")

    def check(self) -> None:
        if any(factor < 1 for factor in self.multi_grid):
            raise FieldError(f"multi_grid must be positive factors, got {self.multi_grid}")
        if self.arch == "tiny" and self.weights == "imagenet":
            raise FieldError("weights must be none or a file for the encoder 'tiny', which has no ImageNet weights")

    def unused(self) -> frozenset[str]:
        if self.arch == "tiny":
            return frozenset({"output_stride", "stem", "stem_width", "multi_grid"})
        if self.arch == WIDE_RESNET38:
            return frozenset({"stem", "stem_width", "multi_grid", "width"})
        return frozenset({"width"} if self.stem == "deep" else {"width", "stem_width"})


class DeepLabV2(Value):
    """A sum of atrous classifiers.

    Public reimplementations (French et al., ClassMix, Three-Stage) return inside their loop, so they sum only two of
    the four branches; `branches` = 2 describes them.
    """

    name = "deeplabv2"
    atrous_rates: tuple[int, ...] = param(default=(6, 12, 18, 24))
    branches: int = param(default=4, low=1, help="number of rates that are summed, from the first")

    def check(self) -> None:
        if not self.atrous_rates or min(self.atrous_rates) < 1:
            raise FieldError(f"atrous_rates must be positive, got {self.atrous_rates}")
        if self.branches > len(self.atrous_rates):
            raise FieldError(f"branches must be at most {len(self.atrous_rates)}, got {self.branches}")


class DeepLabV3Plus(Value):
    """Atrous spatial pyramid pooling (ASPP), and a decoder that adds low-level features.

    After the ASPP's concatenation comes a 1x1 convolution, as in the paper of DeepLabv3+, or a 3x3 one (`projection`),
    as in MKD's code. The code of Zhu et al. has neither batch norm nor ReLU after this convolution and after that of
    the low-level features (`plain_projections`), no bias in the classifier, and aligned corners.
    """

    name = "deeplabv3plus"
    channels: int = param(default=256, low=1)
    low_level_channels: int = param(default=48, low=1)
    atrous_rates: tuple[int, ...] = param(default=(6, 12, 18))
    separable: bool = param(default=True, help="depthwise-separable 3x3 convolutions")
    projection: Literal[1, 3] = param(default=1, neutral=1, help="kernel of the convolution after the ASPP")
    dropout: float = param(default=0.0, low=0, below=1, help="before the classifier")
    classifier_std: float | None = param(
        default=None,
        neutral=None,
        above=0,
        help="deviation of the classifier's normal initial weights, with a bias of 0 (MKD's code: 0.01); none: torch's",
    )
    classifier_bias: bool = param(default=True, neutral=True)
    plain_projections: bool = param(
        default=False,
        neutral=False,
        help="no batch norm and ReLU after the convolutions that reduce the ASPP's output and the low-level features",
    )
    align_corners: bool = param(
        default=False, neutral=False, help="resize features and logits so that the centres of the corner pixels fit"
    )

    def check(self) -> None:
        if any(rate < 1 for rate in self.atrous_rates):
            raise FieldError(f"atrous_rates must be positive, got {self.atrous_rates}")


class PSPNet(Value):
    """Pyramid pooling."""

    name = "pspnet"
    channels: int = param(default=512, low=1)
    bins: tuple[int, ...] = param(default=(1, 2, 3, 6), help="cells per side of each pooled map")
    dropout: float = param(default=0.1, low=0, below=1, help="before the classifier")

    def check(self) -> None:
        if not self.bins or min(self.bins) < 1:
            raise FieldError(f"bins must be positive, got {self.bins}")


class BatchNorm(Value):
    """The settings of all batch normalisation layers in the network."""

    momentum: float = param(default=0.1, above=0, high=1, help="weight of the new batch in the running statistics")
    eps: float | None = param(default=None, above=0, help="none: each layer's default, 1e-5 or, in xception65, 1e-3")
    frozen: bool = param(default=False, help="use the stored statistics, and train neither them nor scale and shift")


class Net(Value):
    """A network: encoder, head and batch norm."""

    encoder: Encoder = param(factory=Encoder)
    head: DeepLabV2 | DeepLabV3Plus | PSPNet = param(factory=DeepLabV3Plus)
    batch_norm: BatchNorm = param(factory=BatchNorm)
