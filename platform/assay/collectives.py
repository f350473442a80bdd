"""Means, sums and broadcasts over ranks. All ranks must call them in the same order; a single rank needs no group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.nn import functional as differentiable


def world_size() -> int:
    """Return the number of processes that train this experiment together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's index among the ranks."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def broadcast_from_rank0(read: Callable[[], Any]) -> Any:
    """Return on all ranks what rank 0 reads. Two ranks that read a shared folder may find different contents."""
    contents = [read() if rank() == 0 else None]
    if world_size() > 1:
        dist.broadcast_object_list(contents, src=0)
    return contents[0]


def gather_objects(content: Any) -> list[Any]:
    """Return the contents of all ranks, in the order of the ranks."""
    if world_size() == 1:
        return [content]
    contents: list[Any] = [None] * world_size()
    dist.all_gather_object(contents, content)
    return contents


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum over all ranks, without gradient. The argument is not changed."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def differentiable_sum(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum over all ranks. Gradients flow back to every rank's share."""
    if world_size() == 1:
        return tensor
    return differentiable.all_reduce(tensor)


def global_mean(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Return this rank's part of the mean over the global batch, from its sum and its count; 0 where nothing counts.

    Distributed training averages gradients (and logged values) over ranks. So the part is multiplied by the number
    of ranks: the average over ranks is then exactly sum of totals / sum of counts.
    """
    global_count = sum_over_ranks(count.to(total.dtype))
    return total * (world_size() / global_count.clamp(min=1))


def gather(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensors of all ranks (equal shapes), concatenated along the first dimension, without gradient."""
    if world_size() == 1:
        return tensor
    pieces = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(pieces, tensor.detach().contiguous())
    return torch.cat(pieces)


def roll_global(tensor: torch.Tensor) -> torch.Tensor:
    """Return for each entry its successor in the global batch, for the last entry the first; without gradient."""
    first_entries = gather(tensor.detach()[:1])
    successor = first_entries[(rank() + 1) % world_size()].unsqueeze(0)
    return torch.cat([tensor.detach()[1:], successor])
