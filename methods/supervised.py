"""Supervised training on the labelled images alone: the first row of every table."""

from __future__ import annotations

from torch import nn

from assay.data.batch import Batch
from assay.method import Losses, MakeNetwork, Method, Predictors, Step, Term
from methods.losses import supervised_ce


class Supervised(Method):
    """L = CE(f(x_l), y)."""

    name = "supervised"
    version = 1

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        return nn.ModuleDict({"student": make()})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        logits = nets["student"](batch.labeled.weak)
        return Losses(terms={"supervised": Term(supervised_ce(logits, batch.labeled.label, step.ohem))})

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"]}
