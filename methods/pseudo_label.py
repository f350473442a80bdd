"""Self-training in two stages with fixed pseudo-labels (after Lee 2013)."""

from __future__ import annotations

import torch
from torch import nn

from assay.data.batch import Batch
from assay.data.views import Views
from assay.errors import UserError
from assay.experiment import Experiment
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.values import param
from methods.losses import pixel_ce, pseudo_label_accuracy, supervised_ce


class PseudoLabel(Method):
    """L = CE(f(x_l), y) + w · CE(f(x_u), ŷ_u) with ŷ_u = argmax g(u), g the network of an earlier experiment.

    g predicts every unlabelled image u once, whole and at its original size; the mask is then cropped with its image.
    x_u is the weak view of u or, with `strong`, its strong view, to whose geometry the mask is carried. Lee takes ŷ
    from f itself and raises w during the training; here ŷ and w are constant.
    """

    name = "pseudo_label"
    version = 1
    carries_labels = True

    pseudo: Experiment | None = param(default=None, help="experiment g whose official network predicts the masks")
    weight: float = param(default=1.0, low=0, help="weight w of the pseudo-labels")
    strong: bool = param(default=False, help="train on strong views of the unlabelled images")

    def views(self) -> Views:
        if not self.weight:
            return Views()
        return Views(unlabeled=1, strong=int(self.strong), stored=("pseudo",))

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        if self.pseudo is None:
            raise UserError(
                "method.pseudo must be an experiment that predicts the masks; it can be given only in a script: a row"
                " of a study with method.pseudo."
            )
        return nn.ModuleDict({"student": make()})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        logits = nets["student"](batch.labeled.weak)
        terms = {"supervised": Term(supervised_ce(logits, batch.labeled.label, step.ohem))}
        if not self.weight:
            return Losses(terms=terms)
        (unlabeled,) = batch.unlabeled
        target = unlabeled.stored["pseudo"]
        right, counted = pseudo_label_accuracy(target, unlabeled.truth)
        images: torch.Tensor = unlabeled.weak
        if self.strong:
            images, target = unlabeled.strong[0], unlabeled.carry(target, 0)
        terms["pseudo"] = Term(pixel_ce(nets["student"](images), target), self.weight)
        return Losses(terms=terms, shares={"pseudo_accuracy": Share(right, counted)})

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"]}
