"""Mean Teacher for segmentation (Tarvainen and Valpola, NeurIPS 2017), as the CPS authors run it as a baseline."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.batch import Batch
from assay.data.views import Views
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.values import param
from methods.ema import ema_update, make_teacher
from methods.losses import consistency, pseudo_label, pseudo_label_accuracy, supervised_ce


class MeanTeacher(Method):
    """L = CE(f(x_l), y) + w · mean |softmax f(x) - softmax f'(x)|², where f' is the moving average of f.

    As in the CPS authors' code:
    - the mean is over pixels and classes;
    - student and teacher get the same weak view;
    - labelled images take part (`on_labeled`);
    - padding takes part there, here only with `on_padding`;
    - the teacher stays in train mode, and its batch norm keeps its own running statistics;
    - the moving average covers the parameters alone, once a step after the optimiser;
    - the *student's* result is reported.
    """

    name = "mean_teacher"
    version = 2

    weight: float = param(default=100.0, low=0, help="weight w of the consistency term")
    momentum: float = param(default=0.99, low=0, below=1, help="share that the teacher keeps at each step")
    on_labeled: bool = param(default=True, help="consistency on the labelled images as well")
    on_padding: bool = param(default=False, neutral=False, help="consistency on padding as well")

    def unused(self) -> frozenset[str]:
        return frozenset() if self.weight else frozenset({"on_labeled", "on_padding"})

    def views(self) -> Views:
        return Views(unlabeled=1)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        student = make()
        return nn.ModuleDict({"student": student, "teacher": make_teacher(student)})

    def after_step(self, nets: nn.ModuleDict, step: Step) -> None:
        ema_update(nets["teacher"], nets["student"], self.momentum)

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        labeled, unlabeled = batch.labeled, batch.unlabeled[0]
        logits = nets["student"](labeled.weak)
        terms = {"supervised": Term(supervised_ce(logits, labeled.label, step.ohem))}
        if not self.weight:
            return Losses(terms=terms)
        target, counted = self._teacher_logits(nets, unlabeled.weak), unlabeled.counted(on_padding=self.on_padding)
        accuracy = pseudo_label_accuracy(unlabeled.without_padding(pseudo_label(target)), unlabeled.truth)
        student = nets["student"](unlabeled.weak)
        if self.on_labeled:
            student = torch.cat([logits, student])
            target = torch.cat([self._teacher_logits(nets, labeled.weak), target])
            counted = torch.cat([labeled.counted(on_padding=self.on_padding), counted])
        distance = consistency(student.softmax(dim=1), target.softmax(dim=1), counted, over_classes="mean")
        return Losses(
            terms=terms | {"consistency": Term(distance, self.weight)},
            shares={"pseudo_accuracy": Share(*accuracy)},
        )

    def _teacher_logits(self, nets: nn.ModuleDict, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = nets["teacher"](images)
        return logits

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"], "teacher": nets["teacher"]}
