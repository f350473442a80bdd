"""The base of plain distillation methods: trained teachers, and a distance between student and teacher."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.batch import Batch
from assay.data.views import Views
from assay.errors import UserError
from assay.experiment import Experiment
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.nets.network import Network
from assay.values import param
from methods.losses import pseudo_label, pseudo_label_accuracy, supervised_ce


class Distillation(Method):
    """L = CE(f(x_l), y) + w · Σ_k distance(f(x), f_k(x)) over the teachers f_k; subclasses define the distance.

    Every teacher is a separate experiment, trained once and shared by all experiments that name it; it predicts in
    eval mode. x are the labelled images and, with `on_unlabeled`, the unlabelled images.
    """

    teachers: tuple[Experiment, ...] = param(default=(), help="experiments whose official networks are the teachers")
    weight: float = param(default=1.0, low=0, help="weight w of the distillation")
    temperature: float = param(default=1.0, above=0, help="temperature T of both softmaxes")
    on_unlabeled: bool = param(default=True, help="distil on unlabelled images as well")
    on_padding: bool = param(default=False, neutral=False, help="distil on padding as well")

    def unused(self) -> frozenset[str]:
        return frozenset() if self.weight else frozenset({"temperature", "on_unlabeled", "on_padding"})

    def distance(self, student: torch.Tensor, teacher: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return the distance between two logits (B x C x H x W), over the pixels in `valid` (B x H x W).

        valid: False on padding, unless `on_padding`
        """
        raise NotImplementedError

    def views(self) -> Views:
        return Views(unlabeled=int(self.on_unlabeled and self.weight > 0))

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        teachers = trained_teachers(make, len(self.teachers))
        return nn.ModuleDict({"student": make(), **teachers})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        labeled = batch.labeled
        logits = nets["student"](labeled.weak)
        terms = {"supervised": Term(supervised_ce(logits, labeled.label, step.ohem))}
        if not self.weight:
            return Losses(terms=terms)
        images, valid, shares = labeled.weak, labeled.counted(on_padding=self.on_padding), {}
        if batch.unlabeled:
            unlabeled = batch.unlabeled[0]
            logits = torch.cat([logits, nets["student"](unlabeled.weak)])
            images = torch.cat([images, unlabeled.weak])
            valid = torch.cat([valid, unlabeled.counted(on_padding=self.on_padding)])
        teacher_logits = [_predict(nets[f"teacher{index}"], images) for index in range(len(self.teachers))]
        if batch.unlabeled:
            unlabeled = batch.unlabeled[0]
            pseudo = unlabeled.without_padding(pseudo_label(teacher_logits[0][len(labeled.weak) :]))
            right, counted = pseudo_label_accuracy(pseudo, unlabeled.truth)
            shares = {"teacher_accuracy": Share(right, counted)}
        distance = torch.stack([self.distance(logits, target, valid) for target in teacher_logits]).sum()
        return Losses(terms=terms | {"distillation": Term(distance, self.weight)}, shares=shares)

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"]}


def trained_teachers(make: MakeNetwork, count: int) -> dict[str, Network]:
    """Return the official networks of the experiments in a method's field `teachers`, as teacher0, teacher1, …"""
    if not count:
        raise UserError(
            "method.teachers must name at least one experiment to learn from; teachers can be given only in a script:"
            " a row of a study with method.teachers."
        )
    return {f"teacher{index}": make.trained(f"teachers.{index}") for index in range(count)}


@torch.no_grad()
def _predict(teacher: nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = teacher.eval()(images)
    return logits
