"""Exponential moving averages of networks."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def make_teacher(student: M) -> M:
    """A copy that gets no gradient: the teacher starts where its student starts."""
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, momentum: float, *, buffers: bool = False) -> None:
    """teacher ← momentum · teacher + (1 - momentum) · student, as one fused operation over all parameters.

    buffers: average floating-point buffers (batch norm's running statistics) too, and copy the others; without it
    the teacher's buffers are left to the teacher.
    """
    _blend(list(teacher.parameters()), list(student.parameters()), momentum)
    if not buffers:
        return
    pairs = list(zip(teacher.buffers(), student.buffers(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    _blend([mine for mine, _ in floating], [theirs for _, theirs in floating], momentum)
    for mine, theirs in pairs:
        if not mine.is_floating_point():
            mine.copy_(theirs)


@torch.no_grad()
def copy_buffers(teacher: nn.Module, student: nn.Module) -> None:
    """The student's buffers (batch norm's running statistics) in place of the teacher's."""
    for mine, theirs in zip(teacher.buffers(), student.buffers(), strict=True):
        mine.copy_(theirs)


def momentum_at(momentum: float, update: int, how: Literal["none", "min", "scaled"]) -> float:
    """The momentum of the `update`-th update, counted from 1: constant, min(1 - 1/t, momentum), or (1 - 1/t) times it.

    With either warm-up the first update makes the teacher equal to the student.
    """
    if how == "none":
        return momentum
    rise = 1 - 1 / update
    return min(rise, momentum) if how == "min" else rise * momentum


def _blend(mine: list[torch.Tensor], theirs: list[torch.Tensor], momentum: float) -> None:
    if len(mine) != len(theirs):
        raise ValueError(f"teacher and student must have equally many tensors, got {len(mine)} and {len(theirs)}")
    if mine:
        torch._foreach_lerp_(mine, theirs, 1.0 - momentum)
