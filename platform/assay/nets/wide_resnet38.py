"""WideResNet-38 (Wu et al., "Wider or Deeper", model A2), as the sdcnet branch of NVIDIA/semantic-segmentation has it.

The modules are named as there, so that the published ImageNet weights fit: `mod1` is the first convolution, `mod2` to
`mod7` are the stages. Zhu et al. and Structured Consistency put DeepLabv3+ on the output of `mod7`, before the batch
norm `bn_out` of the classifier, which this encoder therefore lacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")

STEM_CHANNELS = 64
CLASSIFIER = ("bn_out.", "classifier.")  # tensors of the published file that no encoder has
_PREFIX = "module."  # of names in a file that torch's DataParallel wrote


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage: its blocks, the channels of each block's convolutions, and the dropout before the last of these."""

    blocks: int
    channels: tuple[int, ...]  # two: both 3x3; three: 1x1, 3x3, 1x1
    dropout: float = 0.0


STAGES = (
    Stage(3, (128, 128)),
    Stage(3, (256, 256)),
    Stage(6, (512, 512)),
    Stage(3, (512, 1024)),
    Stage(1, (512, 1024, 2048), dropout=0.3),
    Stage(1, (1024, 2048, 4096), dropout=0.5),
)


def norm_relu(channels: int) -> nn.Sequential:
    """Return batch norm and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class PreActivationBlock(nn.Module):
    """A residual block whose convolutions follow batch norm and ReLU, with a projection where the shapes differ."""

    def __init__(self, inputs: int, stage: Stage, *, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = stage.channels[-1]
        self.bn1 = norm_relu(inputs)
        self.convs = _convolutions(inputs, stage, stride=stride, dilation=dilation)
        self.proj_conv: nn.Conv2d | None = None
        if stride > 1 or inputs != outputs:
            self.proj_conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        activated = self.bn1(features)
        shortcut = features if self.proj_conv is None else self.proj_conv(activated)
        added: torch.Tensor = self.convs(activated) + shortcut
        return added


def _convolutions(inputs: int, stage: Stage, *, stride: int, dilation: int) -> nn.Sequential:
    """Return a block's convolutions by their published names, with batch norm and ReLU between them."""
    layers = nn.Sequential()
    kernels = (3, 3) if len(stage.channels) == 2 else (1, 3, 1)
    for number, (kernel, outputs) in enumerate(zip(kernels, stage.channels, strict=True), start=1):
        if number > 1:
            layers.add_module(f"bn{number}", norm_relu(inputs))
        if number == len(kernels) and stage.dropout:
            layers.add_module("dropout", nn.Dropout2d(stage.dropout))  # whole channels, as in sdcnet
        rate = dilation if kernel == 3 else 1
        convolution = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride if number == 1 else 1,
            padding=rate * (kernel // 2),
            dilation=rate,
            bias=False,
        )
        layers.add_module(f"conv{number}", convolution)
        inputs = outputs
    return layers


class WideResNet38(nn.Module):
    """The encoder: features of the first stage (stride 2, low level) and of the last one.

    Model A2 halves the features by pooling before the first two stages, and by strides in the third to the fifth. After
    the output stride is reached, these double the dilation instead, from their first block on.
    """

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        self.channels = (STAGES[0].channels[-1], STAGES[-1].channels[-1])
        self.mod1 = nn.Sequential()
        self.mod1.add_module("conv1", nn.Conv2d(3, STEM_CHANNELS, 3, padding=1, bias=False))
        self.pool2, self.pool3 = (nn.MaxPool2d(3, stride=2, padding=1) for _ in range(2))
        self.mod2, self.mod3, self.mod4, self.mod5, self.mod6, self.mod7 = _stages(output_stride)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        low = self.mod2(self.pool2(self.mod1(images)))
        high = self.mod3(self.pool3(low))
        for stage in (self.mod4, self.mod5, self.mod6, self.mod7):
            high = stage(high)
        return [low, high]


def _stages(output_stride: int) -> Iterator[nn.Sequential]:
    """Yield the stages, which follow a reduction by 4 where the third begins."""
    inputs, reduction, dilation = STEM_CHANNELS, 4, 1
    for number, stage in enumerate(STAGES):
        stride = 1
        if 2 <= number <= 4:
            stride = 2 if reduction < output_stride else 1
            reduction, dilation = reduction * stride, dilation * 2 // stride
        yield _stage(inputs, stage, stride=stride, dilation=dilation)
        inputs = stage.channels[-1]


def _stage(inputs: int, stage: Stage, *, stride: int, dilation: int) -> nn.Sequential:
    blocks = nn.Sequential()
    for number in range(1, stage.blocks + 1):
        block = PreActivationBlock(inputs, stage, stride=stride if number == 1 else 1, dilation=dilation)
        blocks.add_module(f"block{number}", block)
        inputs = stage.channels[-1]
    return blocks


def without_classifier(state: Mapping[str, T]) -> dict[str, T]:
    """Return the tensors of a published file by this encoder's names, without those of the classifier."""
    names = {name: name.removeprefix(_PREFIX) for name in state}
    return {names[name]: value for name, value in state.items() if not names[name].startswith(CLASSIFIER)}
