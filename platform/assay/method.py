"""The contract between a method and the training loop. A method is a frozen value: it is its own configuration.

The loop calls `views` and `networks` once; then at every step `before_step`, `loss`, (backward, optimiser),
`after_step`; and `predictors` at every evaluation. It knows no method by name.

    class Mine(Method):
        name = "mine"
        version = 1
        weight: float = param(default=1.0, low=0)

        def networks(self, make):           return nn.ModuleDict({"student": make()})
        def loss(self, nets, batch, step):  return Losses(terms={"supervised": Term(...)})

Tensors: B images, C classes, H x W pixels. The suite in tests/methods/test_contract.py runs for every method.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import nn

from assay.data.batch import Batch
from assay.data.views import Views
from assay.experiment import MethodValue
from assay.nets.network import Network
from assay.nets.spec import Net
from assay.recipe import OHEM

Predictor = Callable[[torch.Tensor], torch.Tensor]  # images B x 3 x H x W → logits B x C x H x W
Predictors = dict[str, Predictor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """The position in the training, the recipe's hard example mining, and the seed of what a method draws."""

    index: int  # optimiser steps made before this one
    total: int  # optimiser steps of the whole training
    ohem: OHEM | None = None
    seed: int = 0  # of what a method draws for this micro-batch; the same on all ranks

    def generator(self, device: torch.device) -> torch.Generator:
        """Return a new generator of the step's seed on a device. Two calls return two that draw the same numbers."""
        return torch.Generator(device=device).manual_seed(self.seed)

    @property
    def progress(self) -> float:
        """The finished share of the training, 0 at the first step."""
        return self.index / self.total


@dataclasses.dataclass(frozen=True)
class Term:
    """One summand of the loss: `weight` times the raw `value` (a scalar, averaged over the global batch)."""

    value: torch.Tensor
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Share:
    """A diagnostic as a ratio of two counts, which can be summed over ranks and steps before dividing."""

    part: torch.Tensor
    whole: torch.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Losses:
    """The result of a step: the terms of the loss, and diagnostics."""

    terms: Mapping[str, Term]
    shares: Mapping[str, Share] = dataclasses.field(default_factory=dict)


class MakeNetwork(Protocol):
    """A factory for a method's networks.

    Each call draws initial weights from a random stream of its own. The first call's stream is the same for all
    methods, so that trainings with one seed start from the same student.
    """

    def __call__(self, net: Net | None = None) -> Network:
        """Return a network as the experiment describes it, or as `net` does."""
        ...

    def trained(self, field: str) -> Network:
        """Return the official network of the experiment in a field of the method (``teachers.0``), trained and frozen.

        It is read from the store; no checkpoint of this experiment holds it.
        """
        ...


class Method(MethodValue):
    """Base class of all methods. A subclass's fields are the paper's parameters; its docstring holds the equations."""

    def views(self) -> Views:
        """Return the streams of images that this method needs beside the weakly augmented labelled images."""
        return Views()

    def reads_unlabeled(self) -> bool:
        return self.views().unlabeled > 0

    def reads_strong(self) -> bool:
        return self.views().strong > 0 or self.views().labeled_strong

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        """Return all networks by name. Parameters that must not be trained have requires_grad False."""
        raise NotImplementedError

    def idle(self, step: Step) -> frozenset[str]:
        """Return the names of trainable networks that get no gradient at this step. All others must get one."""
        return frozenset()

    def before_step(self, nets: nn.ModuleDict, step: Step) -> None:
        """Run once per optimiser step, before the loss."""

    def after_step(self, nets: nn.ModuleDict, step: Step) -> None:
        """Run once per optimiser step, after the optimiser."""

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        """Return the loss on one (micro-)batch of this rank."""
        raise NotImplementedError

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        """Return the predictors to evaluate, by name; the first is the official one."""
        raise NotImplementedError

    def mask_predictors(self, nets: nn.ModuleDict) -> Predictors:
        """Return the predictors of the masks that later stages may use, by name. Masks are predicted when needed."""
        return {"masks": next(iter(self.predictors(nets).values()))}
