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
    """CutMix of the authors' code: three boxes, together 0.25 to 0.5 of the image; overlaps toggle."""

    name = "boxes"

    num_boxes: int = param(default=3, low=1, high=1024, help="boxes per image")
    area: tuple[float, float] = param(default=(0.25, 0.5), help="range of the area share of all boxes together")
    rule: Literal["union", "toggle"] = param(default="toggle", help="where boxes overlap: inside, or back outside")


class CPS(Method):
    """Two networks of equal architecture and different initial weights, each trained on the other's pseudo-labels.

    L = CE(f1(x_l), y) + CE(f2(x_l), y) + w · [CE(f1(x), argmax f2(x)) + CE(f2(x), argmax f1(x))]

    Without CutMix, x are the labelled and the unlabelled images; the authors' code has w = 1.5 on VOC. With `cutmix`,
    x is a mix of two unlabelled images, and its pseudo-label is the mix of the predictions on the two. The authors'
    code then has w = 1, `on_labeled` = False (no labelled images in x) and the boxes that `cutmix` = "boxes" has by
    default: three, which together cover 0.25 to 0.5 of the image and toggle where they overlap. With either, the
    authors' code also trains on padding (`on_padding`): its pseudo-labels have a class on every pixel.
    """

    name = "cps"
    version = 2

    weight: float = param(default=1.5, low=0, help="weight w of the cross pseudo supervision")
    cutmix: ThreeBoxes | None = param(default=None, help="mix unlabelled images by boxes; none: use them as they are")
    on_labeled: bool = param(default=True, help="cross pseudo supervision on the labelled images as well")
    on_padding: bool = param(default=False, neutral=False, help="cross pseudo supervision on padding as well")

    def unused(self) -> frozenset[str]:
        return frozenset() if self.weight else frozenset({"cutmix", "on_labeled", "on_padding"})

    def views(self) -> Views:
        return Views(unlabeled=2 if self.cutmix else 1, boxes=self.cutmix)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        return nn.ModuleDict({"student1": make(), "student2": make()})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        labeled = batch.labeled
        logits = (nets["student1"](labeled.weak), nets["student2"](labeled.weak))
        terms = {
            f"supervised{number}": Term(supervised_ce(output, labeled.label, step.ohem))
            for number, output in enumerate(logits, start=1)
        }
        if not self.weight:
            return Losses(terms=terms)
        predictions, targets, truth = self._unlabeled(nets, batch)
        if self.on_labeled:
            predictions = [torch.cat(pair) for pair in zip(logits, predictions, strict=True)]
            targets = [
                torch.cat([labeled.target(pseudo_label(output), on_padding=self.on_padding), target])
                for output, target in zip(logits, targets, strict=True)
            ]
            truth = torch.cat([torch.full_like(labeled.label, IGNORE), truth])
        cross = pixel_ce(predictions[0], targets[1]) + pixel_ce(predictions[1], targets[0])
        right, counted = pseudo_label_accuracy(targets[0], truth)
        return Losses(
            terms=terms | {"cross": Term(cross, self.weight)},
            shares={"pseudo_accuracy": Share(right, counted)},
        )

    def _unlabeled(
        self, nets: nn.ModuleDict, batch: Batch
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Return each network's logits and pseudo-labels on the unlabelled images, and the truth for diagnostics."""
        if batch.boxes is not None:
            first, second = batch.unlabeled
            return self._mixed(nets, first, second, batch.boxes)
        images = batch.unlabeled[0]
        predictions = [nets[name](images.weak) for name in ("student1", "student2")]
        targets = [images.target(pseudo_label(logits), on_padding=self.on_padding) for logits in predictions]
        return predictions, targets, images.truth

    def _mixed(
        self, nets: nn.ModuleDict, first: Unlabeled, second: Unlabeled, boxes: BoxMaps
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Return the same with CutMix: logits on the mixed images, pseudo-labels mixed from both unmixed ones."""
        mixed = boxes.mix(first.weak, second.weak)
        counted = boxes.mix(*(images.counted(on_padding=self.on_padding) for images in (first, second)))
        predictions, targets = [], []
        for name in ("student1", "student2"):
            with torch.no_grad():
                mixed_logits = boxes.mix(nets[name](first.weak), nets[name](second.weak))
            targets.append(torch.where(counted, pseudo_label(mixed_logits), IGNORE))
            predictions.append(nets[name](mixed))
        return predictions, targets, boxes.mix(first.truth, second.truth)

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student1": nets["student1"], "student2": nets["student2"]}
