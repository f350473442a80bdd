"""Exponential moving averages of networks."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def make_teacher(student: M) -> M:
    """Return a copy of the student without gradient: the teacher starts with its student's weights."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, momentum: float, *, buffers: bool = False) -> None:
    """Set teacher ← momentum · teacher + (1 - momentum) · student, as one fused operation over all parameters.

    buffers: also average floating-point buffers (batch norm's running statistics) and copy the others; without it the
    teacher's buffers do not change.
    """
    _blend(list(teacher.parameters()), list(student.parameters()), momentum)
    if not buffers:
        return
    pairs = list(zip(teacher.buffers(), student.buffers(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    _blend([target for target, _ in floating], [source for _, source in floating], momentum)
    for target, source in pairs:
        if not target.is_floating_point():
            target.copy_(source)


@torch.no_grad()
def copy_buffers(teacher: nn.Module, student: nn.Module) -> None:
    """Copy the student's buffers (batch norm's running statistics) to the teacher."""
    for target, source in zip(teacher.buffers(), student.buffers(), strict=True):
        target.copy_(source)


def momentum_at(momentum: float, update: int, warmup: Literal["none", "min", "scaled"]) -> float:
    """Return the momentum of update t, counted from 1.

    none: momentum; min: min(1 - 1/t, momentum); scaled: (1 - 1/t) · momentum. With either warm-up the first update
    makes the teacher equal to the student.
    """
    if warmup == "none":
        return momentum
    rise = 1 - 1 / update
    return min(rise, momentum) if warmup == "min" else rise * momentum


def _blend(teacher: list[torch.Tensor], student: list[torch.Tensor], momentum: float) -> None:
    if len(teacher) != len(student):
        raise ValueError(f"teacher and student must have equally many tensors, got {len(teacher)} and {len(student)}")
    if teacher:
        torch._foreach_lerp_(teacher, student, 1.0 - momentum)
