"""Sizes of networks, by the rule behind the papers' columns.

MGD's Params and FLOPs are of the encoder without its classifier; its FLOPs are multiply-adds of convolutions plus
two operations for every element that a batch norm puts out.
"""

from __future__ import annotations

import copy
import functools

import torch
from torch import nn


def parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(each.numel() for each in module.parameters())


@torch.no_grad()
def multiply_adds(module: nn.Module, height: int, width: int) -> int:
    """The operations for one image, of a network or an encoder; nothing is computed and nothing changed."""
    shadow = _shadow(module)
    counts: list[int] = []
    for each in shadow.modules():
        if isinstance(each, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
            each.register_forward_hook(functools.partial(_count, counts))
    shadow(torch.empty(1, 3, height, width, device="meta"))
    return sum(counts)


def _shadow(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose tensors have shapes and no content."""
    tensors: dict[int, object] = {id(each): _without_content(each) for each in module.parameters()}
    tensors |= {id(each): each.to("meta") for each in module.buffers()}
    return copy.deepcopy(module, tensors).eval()


def _without_content(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.detach().to("meta"), requires_grad=False)


def _count(
    counts: list[int], module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
) -> None:
    if isinstance(module, nn.Conv2d):
        counts.append(output.numel() * module.weight[0].numel())
    elif isinstance(module, nn.Linear):
        counts.append(output.numel() * module.in_features)
    else:
        counts.append(2 * output.numel())
