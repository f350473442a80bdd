"""Batch normalisation over the global batch, on any device, optionally frozen."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn
from torch.nn import functional

from assay.collectives import differentiable_sum, world_size
from assay.errors import UserError
from assay.nets.spec import BatchNorm


class BatchNorm2d(nn.BatchNorm2d):
    """torch's batch norm with the statistics of all ranks together in training.

    torch's own SyncBatchNorm does not run on CPUs. The state dict is that of torch's batch norm.
    """

    def __init__(self, old: nn.BatchNorm2d, spec: BatchNorm, *, layer: str = "") -> None:
        eps = old.eps if spec.eps is None else spec.eps
        super().__init__(old.num_features, eps=eps, momentum=spec.momentum)
        self.load_state_dict(old.state_dict())
        self.layer = layer
        self.frozen = spec.frozen
        if spec.frozen:
            self.requires_grad_(False)
            self.training = False

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self._finish(
                functional.batch_norm(
                    input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
                )
            )
        count = input.numel() // input.shape[1] * world_size()
        if count <= 1:
            raise UserError(
                f"batch norm {self.layer!r} gets one value per channel, which has no variance; use a batch of at least"
                " 2 (recipe.labeled_batch over ranks and accumulate), or net.batch_norm.frozen=true."
            )
        if world_size() > 1:
            return self._finish(self._over_ranks(input, count))
        self._count_batch()
        return self._finish(
            functional.batch_norm(
                input,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                True,
                self.momentum or 0.0,
                self.eps,
            )
        )

    def _finish(self, normalized: torch.Tensor) -> torch.Tensor:
        return normalized

    def _count_batch(self) -> None:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)

    def _over_ranks(self, input: torch.Tensor, count: int) -> torch.Tensor:
        """Normalise with the statistics of all ranks: first the mean, then the squares around the mean.

        The one-pass formula E[x²] - E[x]² would lose digits.
        """
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        values = input if input.dtype == torch.float64 else input.float()
        shape = (1, -1, 1, 1)
        mean = differentiable_sum(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean.view(shape)
        variance = differentiable_sum(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self._count_batch()
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * (count / (count - 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)


class BatchNormAct2d(BatchNorm2d):
    """Batch norm followed by the dropout and the activation that some of timm's batch norms contain."""

    def __init__(self, old: nn.BatchNorm2d, spec: BatchNorm, *, layer: str) -> None:
        super().__init__(old, spec, layer=layer)
        self.drop = old.drop
        self.act = old.act

    def _finish(self, normalized: torch.Tensor) -> torch.Tensor:
        finished: torch.Tensor = self.act(self.drop(normalized))  # type: ignore[operator]
        return finished


def replace_batch_norm(module: nn.Module, spec: BatchNorm, prefix: str = "") -> None:
    """Replace every batch norm inside `module`, with its weights and statistics."""
    for name, child in module.named_children():
        layer = f"{prefix}{name}"
        if isinstance(child, nn.BatchNorm2d):
            has_act = hasattr(child, "act") and hasattr(child, "drop")
            layer_class = BatchNormAct2d if has_act else BatchNorm2d
            setattr(module, name, layer_class(child, spec, layer=layer))
        else:
            replace_batch_norm(child, spec, f"{layer}.")
