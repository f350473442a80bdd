"""Multi-Granularity Distillation (Qin et al., ECCV 2022): a light student of trained, complementary teachers."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import nn

from assay.data.batch import Batch, BoxMaps
from assay.data.source import IGNORE
from assay.data.views import Views
from assay.errors import FieldError
from assay.experiment import Experiment
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.values import param
from methods.cps import ThreeBoxes
from methods.distillation import trained_teachers
from methods.forward import forward
from methods.losses import (
    image_semantic,
    pixel_ce,
    pseudo_label,
    pseudo_label_accuracy,
    region_content,
    resize_bilinear,
    supervised_ce,
)

Kind = Literal["labeled", "unlabeled"]
On = Literal["both", "labeled", "unlabeled"]
Whose = Literal["first", "last", "all"]


class MGD(Method):
    """A student learns from frozen teachers T_k at three granularities.

    Eq. 1  L_Sup = CE(S(x_l), y)
    Eq. 2  L_P = Σ_k CE(S(x), argmax T_k(x)), on labelled and on unlabelled images, each a mean of its own
    Eq. 3  K = the logits' mean over an image
    Eq. 4  L_I = 1/N Σ_i |K_i^S - K_i^T|, over N classes
    Eq. 5  M = the cosines between H_v x W_v regions, of the features that the classifier sees
    Eq. 6  L_R = the mean of (M^S - M^T)²
    Eq. 7  L = L_Sup + L_P^l + L_P^u + λ1 L_I^u + λ2 L_R^u

    Every teacher is an experiment of its own, the paper's a CPS with ResNet-101 (T_D) and one with a network twice as
    wide (T_W: "Wide ResNet-34", by its parameters torchvision's wide_resnet50_2). With `teachers` = (T_D, T_W) the
    defaults take L_I from T_D and L_R from T_W as Eq. 7 does; twins are two seeds. A lone teacher gives all three
    losses, and losses from several are added: Eq. 2 adds, and the paper says no more.

    The defaults are what the paper prints. The authors' code differs:
    - `cutmix` = "boxes": L_P^u on two unlabelled images mixed by three boxes, its pseudo-labels those of the unmixed
      images under the same mask; for L_I and L_R teachers see the mixed image too. Not in the paper.
    - `image_reduction` = "sum": Eq. 4 without 1/N, and added up over the images of one GPU. Here the sum is over the
      whole batch, whatever the ranks, so the code's λ1 is divided by its number of GPUs: 0.002 with 8 images on 4 is
      0.0005 here, and for 21 classes 0.084 before Eq. 4 as printed, 42 times as much as λ1 = 0.002.
    - λ1, λ2: 0.002, 100 (paper, and code with ResNet-18 on VOC); 0.0005, 50 (MobileNetV2); 0.001, 100 (Cityscapes).
    - `on_padding`: unlabelled crops have no ignored pixels there, so that padding teaches too; here a region or an
      image is averaged over what it shows, and a region of padding alone does not count.
    - `teacher_mode` = "train": the code's frozen teachers normalise by the batch, and each kind of image is a batch
      of its own. Their running statistics move there and are never used.
    - it divides by norms alone in Eq. 5, where a region of zeros has no cosine; here its cosines are 0.
    - it also logs the teachers' own supervised losses in the total, which has no gradient.
    L_I and L_R on labelled images (`image_on`, `region_on`) are in neither. L_I is on logits, before a softmax, at the
    images' resolution, and the "projection heads" before Eq. 5 are averages: nothing is learned there.
    """

    name = "mgd"
    version = 1

    teachers: tuple[Experiment, ...] = param(default=(), help="the experiments whose official networks teach")
    teacher_mode: Literal["eval", "train"] = param(default="eval", help="running statistics, or batch statistics")
    weight_pixel: float = param(default=1.0, low=0, help="weight of L_P")
    weight_image: float = param(default=0.002, low=0, help="weight λ1 of L_I")
    weight_region: float = param(default=100.0, low=0, help="weight λ2 of L_R")
    pixel_on: On = param(default="both", help="L_P on labelled images, unlabelled ones, or both")
    image_on: On = param(default="unlabeled", help="L_I on labelled images, unlabelled ones, or both")
    region_on: On = param(default="unlabeled", help="L_R on labelled images, unlabelled ones, or both")
    image_teacher: Whose = param(default="first", help="who gives L_I: the first teacher (T_D), the last, all")
    region_teacher: Whose = param(default="last", help="who gives L_R: the first teacher, the last (T_W), all")
    image_reduction: Literal["mean", "sum"] = param(
        default="mean", help="of Eq. 4 over classes and images: as printed, or the sum as in the code"
    )
    regions: tuple[int, int] = param(default=(7, 7), help="H_v x W_v, regions of an image by height and width")
    cutmix: ThreeBoxes | None = param(default=None, help="mix unlabelled images by boxes; none: use them as they are")
    on_padding: bool = param(default=False, help="L_P, L_I and L_R on padding too")

    def check(self) -> None:
        if min(self.regions) < 1:
            raise FieldError(f"regions must be two positive counts, got {self.regions}")

    def unused(self) -> frozenset[str]:
        names: set[str] = set()
        if not self.weight_pixel:
            names |= {"pixel_on"}
        if not self.weight_image:
            names |= {"image_on", "image_teacher", "image_reduction"}
        if not self.weight_region:
            names |= {"region_on", "region_teacher", "regions"}
        if len(self.teachers) == 1:
            names |= {"image_teacher", "region_teacher"}
        if not self._distils("unlabeled"):
            names |= {"cutmix"}
        if not self._distils("labeled") and not self._distils("unlabeled"):
            names |= {"teacher_mode", "on_padding"}
        return frozenset(names)

    def views(self) -> Views:
        if not self._distils("unlabeled"):
            return Views()
        return Views(unlabeled=2 if self.cutmix else 1, boxes=self.cutmix)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        teachers = trained_teachers(make, len(self.teachers))
        return nn.ModuleDict({"student": make(), **teachers})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        # Labelled and unlabelled images go through the networks apart, so that each kind is normalised by statistics
        # of its own, as in the authors' code.
        student = ImageOutput.of(nets["student"], batch.labeled.weak)
        found = Losses(
            terms={"supervised": Term(supervised_ce(student.logits, batch.labeled.label, step.ohem))}  # Eq. 1
        )
        if self._distils("labeled"):
            found = _joined(found, self._distilled(nets, DistillationInputs.of_labeled(batch), student))
        if self._distils("unlabeled"):
            lesson = DistillationInputs.of_unlabeled(batch)
            student = ImageOutput.of(nets["student"], lesson.images)
            found = _joined(found, self._distilled(nets, lesson, student))
        return found  # Eq. 7

    def _distilled(self, nets: nn.ModuleDict, lesson: DistillationInputs, student: ImageOutput) -> Losses:
        """The losses of one kind of images, each added up over the teachers that give it."""
        values: dict[str, list[torch.Tensor]] = {}
        shares: dict[str, Share] = {}
        for index in range(len(self.teachers)):
            levels = self._given_by(index, lesson.kind)
            taught = self._teach(nets[f"teacher{index}"], lesson, levels) if levels else TeacherOutput()
            for level, value in self._values(lesson, student, taught, levels).items():
                values.setdefault(level, []).append(value)
            if taught.label is not None and lesson.truth is not None:
                shares[f"teacher{index}_accuracy"] = Share(*pseudo_label_accuracy(taught.label, lesson.truth))
        terms = {
            f"{level}_{lesson.kind}": Term(torch.stack(each).sum(), self._levels()[level].weight)
            for level, each in values.items()
        }
        return Losses(terms=terms, shares=shares)

    def _values(
        self, lesson: DistillationInputs, student: ImageOutput, taught: TeacherOutput, levels: frozenset[str]
    ) -> dict[str, torch.Tensor]:
        """One teacher's raw losses."""
        valid = None if self.on_padding else lesson.valid
        values: dict[str, torch.Tensor] = {}
        if taught.label is not None:
            label = taught.label if valid is None else torch.where(valid, taught.label, IGNORE)
            values["pixel"] = pixel_ce(student.logits, label)  # Eq. 2
        if "image" in levels and taught.look is not None:
            values["image"] = image_semantic(
                student.logits, taught.look.logits, reduction=self.image_reduction, valid=valid
            )  # Eq. 4
        if "region" in levels and taught.look is not None:
            values["region"] = region_content(
                student.features, taught.look.features, size=self.regions, valid=valid
            )  # Eq. 6
        return values

    @torch.no_grad()
    def _teach(self, teacher: nn.Module, lesson: DistillationInputs, levels: frozenset[str]) -> TeacherOutput:
        """What a teacher says, each image looked at once; with boxes its pseudo-labels are of the unmixed images."""
        teacher.train(self.teacher_mode == "train")
        labels = "pixel" in levels
        look = ImageOutput.of(teacher, lesson.images) if levels - {"pixel"} or lesson.boxes is None else None
        if not labels:
            return TeacherOutput(look=look)
        if lesson.boxes is None:
            assert look is not None
            return TeacherOutput(look=look, label=pseudo_label(look.logits))
        own, partner = (pseudo_label(ImageOutput.of(teacher, each).logits) for each in lesson.unmixed)
        return TeacherOutput(look=look, label=lesson.boxes.mix(own, partner))

    def _levels(self) -> dict[str, Granularity]:
        return {
            "pixel": Granularity(self.weight_pixel, self.pixel_on, "all"),
            "image": Granularity(self.weight_image, self.image_on, self.image_teacher),
            "region": Granularity(self.weight_region, self.region_on, self.region_teacher),
        }

    def _distils(self, kind: Kind) -> bool:
        return any(each.is_on(kind) for each in self._levels().values())

    def _given_by(self, index: int, kind: Kind) -> frozenset[str]:
        """The losses that a teacher gives on one kind of images."""
        count = len(self.teachers)
        return frozenset(
            level for level, each in self._levels().items() if each.is_on(kind) and each.is_given_by(index, count)
        )

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"]}


@dataclasses.dataclass(frozen=True)
class Granularity:
    """One granularity: its weight, on which images, from which teachers."""

    weight: float
    on: On
    whose: Whose

    def is_on(self, kind: Kind) -> bool:
        return self.weight > 0 and self.on in ("both", kind)

    def is_given_by(self, index: int, count: int) -> bool:
        return self.whose == "all" or index == (0 if self.whose == "first" else count - 1)


@dataclasses.dataclass(frozen=True)
class ImageOutput:
    """What a network makes of images: features at its own resolution, logits at the images'."""

    features: torch.Tensor
    logits: torch.Tensor

    @classmethod
    def of(cls, net: nn.Module, images: torch.Tensor) -> ImageOutput:
        seen = forward(net, images)
        return cls(seen.features, resize_bilinear(seen.logits, (images.shape[2], images.shape[3])))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherOutput:
    """What one teacher says of a lesson, as far as it was asked."""

    look: ImageOutput | None = None
    label: torch.Tensor | None = None  # B x H x W


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationInputs:
    """Images of one kind, as the student sees them."""

    kind: Kind
    images: torch.Tensor
    valid: torch.Tensor  # B x H x W: False on padding
    truth: torch.Tensor | None = None  # for diagnostics
    boxes: BoxMaps | None = None
    unmixed: tuple[torch.Tensor, ...] = ()  # with boxes: own images and partners

    @classmethod
    def of_labeled(cls, batch: Batch) -> DistillationInputs:
        return cls(kind="labeled", images=batch.labeled.weak, valid=batch.labeled.valid)

    @classmethod
    def of_unlabeled(cls, batch: Batch) -> DistillationInputs:
        if batch.boxes is None:
            (only,) = batch.unlabeled
            return cls(kind="unlabeled", images=only.weak, valid=only.valid, truth=only.truth)
        own, partner = batch.unlabeled
        return cls(
            kind="unlabeled",
            images=batch.boxes.mix(own.weak, partner.weak),
            valid=batch.boxes.mix(own.valid, partner.valid),
            truth=batch.boxes.mix(own.truth, partner.truth),
            boxes=batch.boxes,
            unmixed=(own.weak, partner.weak),
        )


def _joined(first: Losses, second: Losses) -> Losses:
    return Losses(terms={**first.terms, **second.terms}, shares={**first.shares, **second.shares})
