"""A very small encoder for images of about 32 x 32, which trains within minutes on one CPU core."""

from __future__ import annotations

import torch
from torch import nn


def conv_norm_act(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, batch norm, ReLU. It is dense, because depthwise convolutions are slow on CPUs."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class TinyEncoder(nn.Module):
    """An encoder with features at stride 2 (low level) and stride 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = (width, 2 * width)
        self.low = nn.Sequential(conv_norm_act(3, width, stride=2), conv_norm_act(width, width))
        self.high = nn.Sequential(
            conv_norm_act(width, 2 * width, stride=2),
            conv_norm_act(2 * width, 2 * width),
            conv_norm_act(2 * width, 2 * width, dilation=2),
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        low = self.low(images)
        return [low, self.high(low)]
