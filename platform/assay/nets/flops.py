"""Parameters and multiply-adds, counted as in MGD's tables 1 and 3, which call multiply-adds FLOPs.

Each multiplication of a convolution or a linear layer counts one, each output value of a batch norm counts two. MGD
does not state this rule; it reproduces the tables' figures.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def parameters(module: nn.Module) -> int:
    """Return the number of parameters, trainable or not."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module: nn.Module, height: int, width: int) -> int:
    """Return the multiply-adds for one RGB image. They are counted on a copy without data; the module is unchanged."""
    meta_copy = copy.deepcopy(module).to("meta").eval()
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

    for layer in meta_copy.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        meta_copy(torch.empty(1, 3, height, width, device="meta", dtype=_dtype(module)))
    return total


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
