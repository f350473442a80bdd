"""Mean Teacher for segmentation (Tarvainen and Valpola, NeurIPS 2017), as the CPS authors run it as a baseline."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.batch import Batch
from assay.method import Losses, MakeNetwork, Method, Predictors, Step, Term, Views
from assay.values import param
from methods.ema import ema_update, teacher_of
from methods.losses import probability_distance, supervised_ce


class MeanTeacher(Method):
    """L = CE(f(x_l), y) + w · mean |softmax f(x) - softmax f'(x)|², where f' is the moving average of f.

    As in the CPS authors' code: the mean is over pixels and classes, student and teacher see the same weak view,
    labelled images take part too, the teacher's batch norm keeps statistics of its own in train mode, its
    parameters alone are averaged (once a step, after the optimiser), and the *student* is what is reported.
    """

    name = "mean_teacher"
    version = 1

    weight: float = param(default=100.0, low=0, help="weight w of the consistency term")
    momentum: float = param(default=0.99, low=0, below=1, help="share that the teacher keeps; min(1 - 1/(t+1), this)")
    on_labeled: bool = param(default=True, help="consistency on the labelled images too")

    def views(self) -> Views:
        return Views(unlabeled=1)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        student = make()
        return nn.ModuleDict({"student": student, "teacher": teacher_of(student)})

    def after_step(self, nets: nn.ModuleDict, step: Step) -> None:
        momentum = min(1 - 1 / (step.index + 1), self.momentum)
        ema_update(nets["teacher"], nets["student"], momentum)

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        labeled, unlabeled = batch.labeled, batch.unlabeled[0]
        labeled_logits = nets["student"](labeled.weak)
        terms = {"supervised": Term(supervised_ce(labeled_logits, labeled.label, step.ohem))}
        if self.weight:
            consistency = self._consistency(nets, unlabeled.weak, nets["student"](unlabeled.weak), unlabeled.valid)
            if self.on_labeled:
                everywhere = torch.ones_like(labeled.label, dtype=torch.bool)
                on_labeled = self._consistency(nets, labeled.weak, labeled_logits, everywhere)
                consistency = (consistency + on_labeled) / 2
            terms["consistency"] = Term(consistency, self.weight)
        return Losses(terms=terms)

    def _consistency(
        self, nets: nn.ModuleDict, images: torch.Tensor, logits: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        with torch.no_grad():
            target = nets["teacher"](images).softmax(dim=1)
        return probability_distance(logits, target, valid, over_classes="mean")

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"], "teacher": nets["teacher"]}
