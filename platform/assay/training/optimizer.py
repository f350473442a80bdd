"""Optimisers and their learning rates, as the recipe describes them."""

from __future__ import annotations

import torch
from torch import nn

from assay.recipe import SGD, Adam, Schedule


def make_optimizer(nets: nn.Module, spec: SGD | Adam, *, device: torch.device) -> torch.optim.Optimizer:
    """Return one optimiser over all trained parameters, in the groups of `parameter_groups`."""
    groups = parameter_groups(nets, spec)
    fused = device.type == "cuda"
    if isinstance(spec, Adam):
        return torch.optim.Adam(groups, lr=spec.lr, betas=spec.betas, fused=fused)
    return torch.optim.SGD(
        groups, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov, fused=fused, foreach=not fused
    )


def parameter_groups(nets: nn.Module, spec: SGD | Adam) -> list[dict[str, object]]:
    """Return the trained parameters in groups by (part of an encoder, weight decay applies)."""
    members: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in nets.named_parameters():
        if parameter.requires_grad:
            in_encoder = "encoder" in name.split(".")
            decays = spec.decay_norm_and_bias or parameter.ndim > 1
            members.setdefault((in_encoder, decays), []).append(parameter)
    head_lr = spec.head_lr if spec.head_lr is not None else spec.lr
    return [
        {
            "params": parameters,
            "base_lr": spec.lr if in_encoder else head_lr,
            "lr": spec.lr if in_encoder else head_lr,
            "weight_decay": spec.weight_decay if decays else 0.0,
        }
        for (in_encoder, decays), parameters in sorted(members.items())
    ]


def rate_factor(schedule: Schedule, step: int, total: int) -> float:
    """Return (1 - t/T)^power, times the linear rise of the warm-up; after a restart, the restart's polynomial."""
    warmup = min(1.0, (step + 1) / (schedule.warmup_steps + 1))
    restart = schedule.restart
    if restart is None or step < round(restart.at * total):
        return float(warmup * (1 - step / total) ** schedule.power)
    start = round(restart.at * total)
    return float(warmup * (1 - (step - start) / (total - start)) ** restart.power)


def set_rate(optimizer: torch.optim.Optimizer, schedule: Schedule, step: int, total: int) -> None:
    """Set every group's learning rate for this step."""
    factor = rate_factor(schedule, step, total)
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
