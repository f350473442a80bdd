"""Structured Consistency (Kim et al. 2020): consistency of pixels and of their similarities inside CutMix boxes."""

from __future__ import annotations

import dataclasses
from typing import Literal, cast

import torch
from torch import nn

from assay.data.batch import Batch, BoxMaps
from assay.data.boxes import largest_box
from assay.data.views import Boxes, Views
from assay.errors import FieldError, UserError
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.nets.network import Network
from assay.values import param
from methods.ema import ema_update, make_teacher
from methods.forward import forward
from methods.losses import (
    consistency,
    pseudo_label,
    pseudo_label_accuracy,
    resize_nearest,
    structured_consistency,
    supervised_ce,
)
from methods.relaxation import Relaxation


class ManyBoxes(Boxes):
    """The paper's boxes: 32, pasted in order, which cover about half of the image.

    The areas of all boxes add up to 0.75 of the image: overlaps leave 0.50 of it covered (0.38 with areas of 0.5).
    """

    name = "boxes"

    num_boxes: int = param(default=32, low=1, high=1024, help="boxes N per image")
    area: tuple[float, float] = param(default=(0.75, 0.75), help="range of the area share of all boxes together")


class StructuredConsistency(Method):
    """L = L_x + λ_c L_c + λ_sc L_sc (Eq. 1 and 3), on u_m: u_a with N boxes of u_b pasted over it.

    Eq. 2   L_x = -log Σ P(c), over the classes in a pixel's window (`relaxation`)
    Eq. 4   L_c = 1/(H W) Σ_i |p_i^s - p_i^t|², with the sum over classes inside; p^s = softmax f(u_m), and p^t shows
            softmax f'(u_b) inside the boxes and softmax f'(u_a) outside
    Eq. 7   a_n,ij = p_n,i · p_n,j / (|p_n,i| |p_n,j|), the similarity of two pixels of box n
    Eq. 8   L_sc = 1/N Σ_n 1/|T_n|² Σ_ij (a_n,ij^s - a_n,ij^t)²; in print one a reads d
    Eq. 9   T_n,drop = a random subset of N_pair of the pairs (i, j) in T_n x T_n, or all pairs if there are not more
    Eq. 10  L_sc = 1/N_box Σ_n 1/|T_n,drop| Σ_(i,j) (a_n,ij^s - a_n,ij^t)², for n = N - N_box + 1, …, N

    No code of the authors is public. The equations are read as follows:
    - Boxes are pasted in order. T_n are the pixels over which box n was pasted last: box n without what the later
      boxes cover. Every pixel is in one T_n at most, and the last N_box boxes are the least covered ones.
    - Pairs are ordered. Student and teacher have the same subset, drawn anew at each step, without replacement and
      with equal chances.
    - The sum of Eq. 10 runs to N (its upper limit is lost in print). A box with less than two visible pixels has the
      term 0 and still counts in N_box. L_c and L_sc are means over the images of the batch.
    - The teacher f' is the moving average of f after each step. It gets no gradient. To mix its probabilities or its
      logits is the same, since the mask is binary.
    - No confidence threshold, no ramp-up: the paper mentions neither.

    What the paper leaves open is a field, the reading that fits the text best the default:
    - `similarity_of`: probabilities, since Eq. 4 has the same p, or the logits before the softmax;
    - `drop`: Eq. 9 drops pairs; the text, "drop out the similarity vectors", may also mean pixels, such that all pairs
      of the others are at most N_pair. Both estimate Eq. 8, with pairs several times more precisely; with pixels the
      pairs (i, i) have a larger share, 1/94 at N_pair = 9000;
    - `self_pairs`: Eq. 8 counts the pairs (i, i), which add 0;
    - `resolution`: Eq. 4 is on H x W pixels, the images'; or that of the network's output, stride 4 with DeepLabv3+;
    - `one_pass`: the student takes labelled and mixed images in one batch, "simultaneously", so that batch norm has
      the statistics of both; or one after the other;
    - `on_padding`: padding belongs to no T_n and does not count in L_c, or it does;
    - `boxes.area`: the paper says that the boxes cover about half of the image.
    The teacher predicts in eval mode, so its average includes the student's running statistics. Table 3 has two fields:
    `teacher` gives p^t by the average or by the student of the same step, in eval mode as well; `validated` is the
    network whose result is reported. Unlabelled images, such as Cityscapes' coarse ones, are the data's choice.
    """

    name = "structured_consistency"
    version = 1

    weight_consistency: float = param(default=20.0, low=0, help="weight λ_c of L_c")
    weight_structured: float = param(default=3.0, low=0, help="weight λ_sc of L_sc")
    boxes: ManyBoxes = param(factory=ManyBoxes, help="CutMix boxes")
    last_boxes: int = param(default=16, low=1, high=1024, help="N_box: the last so many boxes count in L_sc")
    pairs: int = param(default=9000, low=1, high=1_000_000, help="N_pair: at most so many pairs of pixels per box")
    drop: Literal["pairs", "pixels"] = param(default="pairs", help="drop pairs, or pixels with all their pairs")
    self_pairs: bool = param(default=True, help="the pairs of a pixel with itself count")
    similarity_of: Literal["probabilities", "logits"] = param(default="probabilities", help="the vectors p of Eq. 7")
    resolution: Literal["image", "features"] = param(
        default="image", help="grid of L_c and L_sc: the images', or the network's"
    )
    on_padding: bool = param(default=False, help="L_c and L_sc on padding as well")
    one_pass: bool = param(default=True, help="labelled and mixed images pass the student in one batch")
    momentum: float = param(default=0.999, low=0, below=1, help="share that the moving average keeps at each step")
    teacher: Literal["ema", "student"] = param(default="ema", help="network that gives the targets")
    validated: Literal["ema", "student"] = param(default="ema", help="network whose result is reported")
    relaxation: Relaxation | None = param(
        factory=Relaxation, help="relaxed labels at boundaries; none: the recipe's cross entropy"
    )

    def check(self) -> None:
        if self.weight_structured and self.last_boxes > self.boxes.num_boxes:
            raise FieldError(
                f"last_boxes must be at most boxes.num_boxes={self.boxes.num_boxes}, got {self.last_boxes}; for all"
                " boxes, give both the same number"
            )

    def unused(self) -> frozenset[str]:
        names: set[str] = set()
        if not self.weight_structured:
            names |= {"last_boxes", "pairs", "drop", "self_pairs", "similarity_of"}
        if not self.uses_unlabeled:
            names |= {"boxes", "resolution", "on_padding", "one_pass", "teacher"}
        if not self.has_average:
            names |= {"momentum"}
        return frozenset(names)

    @property
    def uses_unlabeled(self) -> bool:
        """Presence of a loss on unlabelled images: L_c or L_sc."""
        return self.weight_consistency > 0 or self.weight_structured > 0

    @property
    def has_average(self) -> bool:
        """Presence of the moving average, as a teacher or for validation."""
        return self.validated == "ema" or (self.teacher == "ema" and self.uses_unlabeled)

    def views(self) -> Views:
        return Views(unlabeled=2, boxes=self.boxes) if self.uses_unlabeled else Views()

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        student = make()
        average = {"ema": make_teacher(student)} if self.has_average else {}
        return nn.ModuleDict({"student": student, **average})

    def after_step(self, nets: nn.ModuleDict, step: Step) -> None:
        if self.has_average:
            ema_update(nets["ema"], nets["student"], self.momentum, buffers=True)

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        label = batch.labeled.label
        if not self.uses_unlabeled:
            return Losses(
                terms={"supervised": Term(self._supervised(nets["student"](batch.labeled.weak), label, step))}
            )
        inputs = MixedImages.of(batch)
        target = self._target(nets, inputs)  # before the student's pass, since the student may be the teacher
        labeled_logits, mixed_logits = self._student_logits(nets["student"], batch.labeled.weak, inputs.images)
        terms = {"supervised": Term(self._supervised(labeled_logits, label, step))}  # Eq. 2
        terms |= self._unlabeled_terms(mixed_logits, target, inputs, step)
        truth = resize_nearest(inputs.truth, (target.shape[2], target.shape[3]))
        right, counted = pseudo_label_accuracy(pseudo_label(target), truth)
        return Losses(terms=terms, shares={"pseudo_accuracy": Share(right, counted)})  # Eq. 1

    def _supervised(self, logits: torch.Tensor, label: torch.Tensor, step: Step) -> torch.Tensor:
        """Return L_x, by the recipe's cross entropy where labels are not relaxed."""
        if self.relaxation is None:
            return supervised_ce(logits, label, step.ohem)
        if step.ohem is not None:
            raise UserError(
                "recipe.ohem cannot be combined with method.relaxation, which has another loss for a pixel; set"
                " recipe.ohem=none or method.relaxation=none."
            )
        return self.relaxation.loss(logits, label, step.progress)

    @torch.no_grad()
    def _target(self, nets: nn.ModuleDict, inputs: MixedImages) -> torch.Tensor:
        """Return the teacher's logits on u_a and u_b, mixed as the images are."""
        teacher = nets[self.teacher]
        was_training = teacher.training
        images = torch.cat(inputs.unmixed)  # in eval mode images do not influence each other: one pass for both streams
        logits = self._at_resolution(teacher, forward(teacher.eval(), images).logits, images)
        teacher.train(was_training)
        return inputs.boxes_at(logits).mix(*logits.chunk(2))

    def _student_logits(
        self, student: nn.Module, labeled: torch.Tensor, mixed: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the student's logits on labelled images, at their size, and on mixed images, on the grid of L_c."""
        if self.one_pass:
            both = forward(student, torch.cat([labeled, mixed])).logits
            of_labeled, of_mixed = both.split([len(labeled), len(mixed)])
        else:
            of_labeled, of_mixed = forward(student, labeled).logits, forward(student, mixed).logits
        upsampled = cast(Network, student).upsample(of_labeled, labeled)
        return upsampled, self._at_resolution(student, of_mixed, mixed)

    def _unlabeled_terms(
        self, logits: torch.Tensor, target: torch.Tensor, inputs: MixedImages, step: Step
    ) -> dict[str, Term]:
        """Return the terms of Eq. 3 from the student's logits on u_m and the teacher's mixed ones, on one grid."""
        boxes, size = inputs.boxes_at(logits), (logits.shape[2], logits.shape[3])
        valid = None if self.on_padding else resize_nearest(inputs.valid, size)
        precision = torch.promote_types(torch.float32, logits.dtype)  # bf16 has too few digits for a mean of squares
        logits, target = logits.to(precision), target.to(precision)
        student, teacher = logits.softmax(dim=1), target.softmax(dim=1)
        terms: dict[str, Term] = {}
        if self.weight_consistency:
            terms["consistency"] = Term(consistency(student, teacher, valid), self.weight_consistency)  # Eq. 4
        if self.weight_structured:
            if self.similarity_of == "logits":
                student, teacher = logits, target
            structured = structured_consistency(
                student,
                teacher,
                boxes.owner,
                boxes=self.last_boxes,
                pairs=self.pairs,
                generator=step.generator(logits.device),
                valid=valid,
                num_boxes=self.boxes.num_boxes,
                largest=largest_box(inputs.valid.shape[1], inputs.valid.shape[2], self.boxes),
                drop=self.drop,
                self_pairs=self.self_pairs,
            )  # Eq. 10
            terms["structured"] = Term(structured, self.weight_structured)
        return terms

    def _at_resolution(self, net: nn.Module, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return a network's logits on images, at the resolution of L_c and L_sc."""
        return logits if self.resolution == "features" else cast(Network, net).upsample(logits, images)

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        first = self.validated
        return {name: nets[name] for name in (first, "student" if first == "ema" else "ema") if name in nets}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixedImages:
    """The images u_m, with all that belongs to their pixels."""

    images: torch.Tensor  # u_m, B x 3 x H x W
    unmixed: tuple[torch.Tensor, torch.Tensor]  # u_a and u_b
    boxes: BoxMaps
    valid: torch.Tensor  # B x H x W: False on padding
    truth: torch.Tensor  # B x H x W, for diagnostics

    @classmethod
    def of(cls, batch: Batch) -> MixedImages:
        own, partner = batch.unlabeled
        assert batch.boxes is not None
        return cls(
            images=batch.boxes.mix(own.weak, partner.weak),
            unmixed=(own.weak, partner.weak),
            boxes=batch.boxes,
            valid=batch.boxes.mix(own.valid, partner.valid),
            truth=batch.boxes.mix(own.truth, partner.truth),
        )

    def boxes_at(self, maps: torch.Tensor) -> BoxMaps:
        """Return the boxes at the resolution of maps (B x C x h x w)."""
        size = (maps.shape[2], maps.shape[3])
        return BoxMaps(mask=resize_nearest(self.boxes.mask, size), owner=resize_nearest(self.boxes.owner, size))
