"""CutMix-Seg (French et al., BMVC 2020): consistency under CutMix with a mean teacher."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from assay.collectives import sum_over_ranks
from assay.data.batch import Batch
from assay.data.views import Boxes, Views
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.values import param
from methods.ema import ema_update, make_teacher
from methods.losses import confidence_mask, consistency, pseudo_label, pseudo_label_accuracy, supervised_ce


class CutMixSeg(Method):
    """L = CE(f(x_l), y) + w · mean |softmax f(mix(a, b)) - mix(softmax f'(a), softmax f'(b))|².

    As in the authors' code:
    - the square is summed over the classes and averaged over the pixels;
    - the share of confident pixels in the batch scales the term (`confidence_by` = "batch"); "pixel" instead takes the
      mean over the confident pixels alone;
    - the teacher averages all floating-point state, buffers included, and the teacher's result is reported.
    Padding counts in no loss, since the authors' code multiplies the term by a mask of the images without padding.
    The authors freeze batch norm. Here the teacher predicts in eval mode with its averaged statistics, which is the
    same where batch norm is frozen.
    """

    name = "cutmix_seg"
    version = 2

    weight: float = param(default=1.0, low=0, help="weight w of the consistency term")
    momentum: float = param(default=0.99, low=0, below=1, help="share that the teacher keeps at each step")
    threshold: float = param(default=0.97, low=0, below=1, help="lowest probability of a confident pixel")
    confidence_by: Literal["batch", "pixel"] = param(
        default="batch", help="the share of confident pixels scales the term, or only confident pixels count"
    )
    boxes: Boxes = param(factory=Boxes, help="CutMix boxes")

    def views(self) -> Views:
        return Views(unlabeled=2, boxes=self.boxes)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        student = make()
        return nn.ModuleDict({"student": student, "teacher": make_teacher(student)})

    def after_step(self, nets: nn.ModuleDict, step: Step) -> None:
        ema_update(nets["teacher"], nets["student"], self.momentum, buffers=True)

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        student_logits = nets["student"](batch.labeled.weak)
        terms = {"supervised": Term(supervised_ce(student_logits, batch.labeled.label, step.ohem))}
        if not self.weight:
            return Losses(terms=terms)
        first, second = batch.unlabeled
        assert batch.boxes is not None
        mixed = batch.boxes.mix(first.weak, second.weak)
        valid = batch.boxes.mix(first.valid, second.valid)
        # In eval mode images do not influence each other: one pass for both streams.
        target_logits = batch.boxes.mix(*self._teacher_logits(nets, torch.cat([first.weak, second.weak])).chunk(2))
        confident = confidence_mask(target_logits, threshold=self.threshold) & valid
        distance, kept = self._distance(nets["student"](mixed), target_logits, valid, confident)
        terms["consistency"] = Term(distance, self.weight)
        truth = batch.boxes.mix(first.truth, second.truth)
        right, counted = pseudo_label_accuracy(pseudo_label(target_logits), truth)
        return Losses(terms=terms, shares={"kept": kept, "pseudo_accuracy": Share(right, counted)})

    def _teacher_logits(self, nets: nn.ModuleDict, images: torch.Tensor) -> torch.Tensor:
        teacher = nets["teacher"].eval()
        with torch.no_grad():
            logits: torch.Tensor = teacher(images)
        return logits

    def _distance(
        self, logits: torch.Tensor, target_logits: torch.Tensor, valid: torch.Tensor, confident: torch.Tensor
    ) -> tuple[torch.Tensor, Share]:
        """Return the consistency term and the share of confident pixels."""
        kept = Share(confident.sum(), valid.sum())
        student, target = logits.softmax(dim=1), target_logits.softmax(dim=1)
        if self.confidence_by == "pixel":
            return consistency(student, target, confident), kept
        share = sum_over_ranks(confident.sum()) / sum_over_ranks(valid.sum()).clamp(min=1)
        return share * consistency(student, target, valid), kept

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"teacher": nets["teacher"], "student": nets["student"]}
