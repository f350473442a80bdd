"""The contract between a method and the loop. A method is a frozen value that is its own configuration.

The loop calls, in this order: `views` and `networks` once; then at every step `before_step`, `loss`, (backward,
optimiser), `after_step`; and `predictors` whenever it evaluates. It knows no method by name.

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
    """Where the training is, and what the recipe asks of the supervised loss."""

    index: int  # optimiser steps made before this one
    total: int  # optimiser steps of the whole training
    ohem: OHEM | None = None

    @property
    def progress(self) -> float:
        """The share of the training that is over, 0 at the first step."""
        return self.index / self.total


@dataclasses.dataclass(frozen=True)
class Term:
    """One summand of the loss: `weight` times the raw `value` (a scalar, averaged over the global batch)."""

    value: torch.Tensor
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Share:
    """A diagnostic that is a ratio of counts, so that it can be summed over ranks and steps before dividing."""

    part: torch.Tensor
    whole: torch.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Losses:
    """What a step yields: the loss by terms, and what is worth watching beside it."""

    terms: Mapping[str, Term]
    shares: Mapping[str, Share] = dataclasses.field(default_factory=dict)


class MakeNetwork(Protocol):
    """Makes a method's networks. Each call's initial weights have a random stream of their own; the first one's
    is the same for all methods, so that runs with one seed start from one student."""

    def __call__(self, net: Net | None = None) -> Network:
        """A network after the experiment's description, or after another one."""
        ...

    def trained(self, field: str) -> Network:
        """The official network of the experiment in a field of the method (``teachers.0``), trained and frozen.

        It is read from the store, and no checkpoint of this experiment holds it.
        """
        ...


class Method(MethodValue):
    """Base of all methods. Fields carry the paper's meaning; the docstring its equations."""

    def views(self) -> Views:
        """The streams of images this method needs beside the weakly augmented labelled ones."""
        return Views()

    def reads_unlabeled(self) -> bool:
        return self.views().unlabeled > 0

    def reads_strong(self) -> bool:
        return self.views().strong > 0 or self.views().labeled_strong

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        """All networks by name. What must not be trained has requires_grad False."""
        raise NotImplementedError

    def idle(self, step: Step) -> frozenset[str]:
        """The trainable networks that get no gradient at this step; every other one must get some."""
        return frozenset()

    def before_step(self, nets: nn.ModuleDict, step: Step) -> None:
        """Once per optimiser step, before the loss."""

    def after_step(self, nets: nn.ModuleDict, step: Step) -> None:
        """Once per optimiser step, after the optimiser."""

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        """The loss on one (micro-)batch of this rank."""
        raise NotImplementedError

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        """What is evaluated, by name; the first is the official one."""
        raise NotImplementedError

    def mask_predictors(self, nets: nn.ModuleDict) -> Predictors:
        """What predicts the masks that later stages may ask for, by name. They are made when a stage asks."""
        return {"masks": next(iter(self.predictors(nets).values()))}
