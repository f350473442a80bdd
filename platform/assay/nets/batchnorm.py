"""Batch norm over the global batch, on any device, or frozen; with the names torch gives parameters and buffers.

torch's SyncBatchNorm refuses CPUs, and timm has a class of its own that joins batch norm with an activation. The
two classes here take the place of torch's and timm's.
"""

from __future__ import annotations

import timm.layers
import torch
import torch.nn.functional as F
from torch import nn

from assay import ranks
from assay.errors import UserError
from assay.nets.spec import BatchNorm


class BatchNorm2d(nn.BatchNorm2d):
    """Normalises with the statistics of the global batch in training, with the running ones otherwise."""

    layer: str  # where in the network: for messages
    frozen: bool  # never in training mode
    momentum: float
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def train(self, mode: bool = True) -> BatchNorm2d:
        """As everywhere, except that a frozen layer stays in evaluation mode."""
        super().train(mode and not self.frozen)
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The normalised features."""
        if not self.training:
            return self._plain(images)
        self.num_batches_tracked.add_(1)
        if ranks.world_size() > 1:
            return self._over_all_ranks(images)
        if images.numel() == images.shape[1]:
            raise UserError(
                f"Batch norm needs more than one value per channel in training, got an input of shape"
                f" {tuple(images.shape)} at the layer {self.layer}: raise recipe.labeled_batch and"
                " recipe.unlabeled_batch (or lower recipe.accumulate), or set net.batch_norm.frozen=true."
            )
        return self._plain(images)

    def _plain(self, images: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(
            images,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )

    def _over_all_ranks(self, images: torch.Tensor) -> torch.Tensor:
        wide = images if images.dtype == torch.float64 else images.float()  # sums of halves lose too much
        local = wide.new_full((1,), images.numel() / images.shape[1])
        total = ranks.differentiable_sum(torch.cat([wide.sum(dim=(0, 2, 3)), local]))
        count = total[-1].detach()
        mean = total[:-1] / count
        # Squares of centred values, at the price of a second exchange: E[x²] - E[x]² cancels for large means.
        centred = wide - mean[:, None, None]
        variance = ranks.differentiable_sum(centred.square().sum(dim=(0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(images.dtype)

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, unbiased_variance: torch.Tensor) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), self.momentum)


class BatchNormAct2d(BatchNorm2d):
    """The same, followed by the dropout and the activation that timm's class of this name holds."""

    drop: nn.Module
    act: nn.Module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The activated features."""
        activated: torch.Tensor = self.act(self.drop(super().forward(images)))
        return activated


def convert(network: nn.Module, spec: BatchNorm) -> None:
    """Make every batch norm inside a network (torch's or timm's) one of these, in place."""
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            _adopt(module, name, spec)


def _adopt(module: nn.BatchNorm2d, name: str, spec: BatchNorm) -> None:
    # The class is exchanged rather than the object, so that timm's hooks and references to it stay valid.
    joined = isinstance(module, timm.layers.BatchNormAct2d)
    module.__class__ = BatchNormAct2d if joined else BatchNorm2d
    module.layer = name  # type: ignore[assignment]
    module.frozen = spec.frozen  # type: ignore[assignment]
    module.momentum = spec.momentum
    module.eps = module.eps if spec.eps is None else spec.eps
    if spec.frozen:
        module.requires_grad_(False)
        module.train(False)
