"""What ranks share. Alone, every function here is the plain thing; all ranks must call in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.nn import functional as differentiable


def world_size() -> int:
    """How many processes train this experiment together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def broadcast_from_rank0(read: Callable[[], Any]) -> Any:
    """What rank 0 reads, on all ranks: two ranks that look at a shared folder may see different moments."""
    found = [read() if rank() == 0 else None]
    if world_size() > 1:
        dist.broadcast_object_list(found, src=0)
    return found[0]


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks, without gradient; the argument is left as it is."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def differentiable_sum(tensor: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks; gradients flow back to every rank's share."""
    if world_size() == 1:
        return tensor
    return differentiable.all_reduce(tensor)


def global_mean(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The mean over the global batch, of which `total` and `count` are this rank's share; 0 where nothing counts.

    Distributed training averages gradients (and logged values) over ranks, so this rank's share is multiplied by
    the number of ranks: the average over ranks is then exactly sum of totals / sum of counts.
    """
    everywhere = sum_over_ranks(count.to(total.dtype))
    return total * (world_size() / everywhere.clamp(min=1))


def gather(tensor: torch.Tensor) -> torch.Tensor:
    """The tensors of all ranks (equal shapes), one behind the other along the first dimension; no gradient."""
    if world_size() == 1:
        return tensor
    pieces = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(pieces, tensor.detach().contiguous())
    return torch.cat(pieces)


def roll_global(tensor: torch.Tensor) -> torch.Tensor:
    """Each entry's successor in the global batch (the last one's is the first); no gradient."""
    heads = gather(tensor.detach()[:1])
    successor = heads[(rank() + 1) % world_size()].unsqueeze(0)
    return torch.cat([tensor.detach()[1:], successor])
