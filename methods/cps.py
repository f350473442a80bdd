"""Cross Pseudo Supervision (Chen et al., CVPR 2021), with and without CutMix."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from assay.data.batch import Batch, BoxMaps, Unlabeled
from assay.data.source import IGNORE
from assay.data.views import Boxes, Views
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.values import param
from methods.losses import pixel_ce, pseudo_label, pseudo_label_accuracy, supervised_ce


class ThreeBoxes(Boxes):
    """CutMix as the authors' code does it: three boxes, together 0.25 to 0.5 of the image, that toggle."""

    name = "boxes"

    num_boxes: int = param(default=3, low=1, high=1024, help="boxes per image")
    area: tuple[float, float] = param(default=(0.25, 0.5), help="range of the area share of all boxes together")
    rule: Literal["union", "toggle"] = param(default="toggle", help="where boxes overlap: inside, or back outside")


class CPS(Method):
    """Two networks of one kind and different initial weights teach each other.

    L = CE(f1(x_l), y) + CE(f2(x_l), y) + w · [CE(f1(x), argmax f2(x)) + CE(f2(x), argmax f1(x))]

    Without CutMix x are the labelled and the unlabelled images (w = 1.5 in the authors' code on VOC). With `cutmix`
    x are two unlabelled images mixed by boxes, and the pseudo-labels are the mixed predictions on the unmixed ones
    and no labelled images. The authors' code then has w = 1 and `on_labeled` = False, and three boxes that together
    cover 0.25 to 0.5 of the image and toggle where they overlap: the defaults of `cutmix` = "boxes".
    """

    name = "cps"
    version = 2

    weight: float = param(default=1.5, low=0, help="weight w of the cross pseudo supervision")
    cutmix: ThreeBoxes | None = param(default=None, help="mix unlabelled images by boxes; none: use them as they are")
    on_labeled: bool = param(default=True, help="cross pseudo supervision on the labelled images too")

    def views(self) -> Views:
        return Views(unlabeled=2 if self.cutmix else 1, boxes=self.cutmix)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        return nn.ModuleDict({"student1": make(), "student2": make()})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        labeled = batch.labeled
        logits = (nets["student1"](labeled.weak), nets["student2"](labeled.weak))
        terms = {
            f"supervised{number}": Term(supervised_ce(each, labeled.label, step.ohem))
            for number, each in enumerate(logits, start=1)
        }
        if not self.weight:
            return Losses(terms=terms)
        predictions, targets, truth = self._unlabeled(nets, batch)
        if self.on_labeled:
            predictions = [torch.cat(pair) for pair in zip(logits, predictions, strict=True)]
            targets = [
                torch.cat([labeled.without_padding(pseudo_label(own)), target])
                for own, target in zip(logits, targets, strict=True)
            ]
            truth = torch.cat([torch.full_like(labeled.label, IGNORE), truth])
        cross = pixel_ce(predictions[0], targets[1]) + pixel_ce(predictions[1], targets[0])
        right, judged = pseudo_label_accuracy(targets[0], truth)
        return Losses(
            terms=terms | {"cross": Term(cross, self.weight)},
            shares={"pseudo_accuracy": Share(right, judged)},
        )

    def _unlabeled(
        self, nets: nn.ModuleDict, batch: Batch
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Each network's logits and pseudo-labels on the unlabelled images, and the truth for diagnostics."""
        if batch.boxes is not None:
            first, second = batch.unlabeled
            return self._mixed(nets, first, second, batch.boxes)
        images = batch.unlabeled[0]
        predictions = [nets[name](images.weak) for name in ("student1", "student2")]
        return predictions, [images.without_padding(pseudo_label(each)) for each in predictions], images.truth

    def _mixed(
        self, nets: nn.ModuleDict, first: Unlabeled, second: Unlabeled, boxes: BoxMaps
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        mixed = boxes.mix(first.weak, second.weak)
        valid = boxes.mix(first.valid, second.valid)
        predictions, targets = [], []
        for name in ("student1", "student2"):
            with torch.no_grad():
                target = boxes.mix(nets[name](first.weak), nets[name](second.weak))
            targets.append(torch.where(valid, pseudo_label(target), IGNORE))
            predictions.append(nets[name](mixed))
        return predictions, targets, boxes.mix(first.truth, second.truth)

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student1": nets["student1"], "student2": nets["student2"]}
