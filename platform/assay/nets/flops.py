"""Parameters and multiply-adds, counted as the papers do (facts 2.3): one for each multiplication of a convolution
or linear layer, and two for each value that batch norm puts out."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def parameters(module: nn.Module) -> int:
    """How many numbers the module learns or holds fixed."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module: nn.Module, height: int, width: int) -> int:
    """For one RGB image; counted on a copy without data, so the module is not touched."""
    shadow = copy.deepcopy(module).to("meta").eval()
    total = 0

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            kernel = layer.kernel_size[0] * layer.kernel_size[1]
            total += output.numel() * kernel * layer.in_channels // layer.groups
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, nn.BatchNorm2d):
            total += 2 * output.numel()

    for layer in shadow.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        shadow(torch.empty(1, 3, height, width, device="meta", dtype=_dtype(module)))
    return total


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
