"""Multi-Granularity Distillation (Qin et al., ECCV 2022): a light student, and trained complementary teachers."""

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
from methods.forward import NetworkOutput, forward_at_image_size
from methods.losses import (
    image_semantic,
    pixel_ce,
    pseudo_label,
    pseudo_label_accuracy,
    region_content,
    supervised_ce,
)

ImageKind = Literal["labeled", "unlabeled"]
On = Literal["both", "labeled", "unlabeled"]
Whose = Literal["first", "last", "all"]


class MGD(Method):
    """A student that learns from frozen teachers T_k at three granularities: pixels, images and regions.

    Eq. 1  L_Sup = CE(S(x_l), y)
    Eq. 2  L_P = Σ_k CE(S(x), argmax T_k(x)), on labelled and on unlabelled images, each with its own mean
    Eq. 3  K = the mean of the logits over an image
    Eq. 4  L_I = 1/N Σ_i |K_i^S - K_i^T|, over N classes
    Eq. 5  M = the cosines between H_v x W_v regions of the features before the classifier
    Eq. 6  L_R = the mean of (M^S - M^T)²
    Eq. 7  L = L_Sup + L_P^l + L_P^u + λ1 L_I^u + λ2 L_R^u

    Every teacher is a separate experiment. The paper's are a CPS with ResNet-101 (T_D) and a CPS with a network twice
    as wide (T_W: "Wide ResNet-34", by its parameters torchvision's wide_resnet50_2). With `teachers` = (T_D, T_W) the
    defaults take L_I from T_D and L_R from T_W, as Eq. 7 does; twins are two seeds. A lone teacher gives all three
    losses. Losses from several teachers are added, as Eq. 2 does; the paper gives no other rule.

    The defaults are what the paper prints. The authors' code differs:
    - `cutmix` = "boxes": L_P^u is on two unlabelled images mixed by three boxes, its pseudo-labels are those of the
      unmixed images under the same mask; for L_I and L_R the teachers also get the mixed image. Not in the paper.
    - `image_reduction` = "sum": Eq. 4 without 1/N, added up over the images of one GPU. Here the sum is over the whole
      batch, for any number of ranks, so the code's λ1 is divided by its number of GPUs: 0.002 with 8 images on 4 GPUs
      is 0.0005 here; for 21 classes it equals 0.084 in Eq. 4 as printed, 42 times λ1 = 0.002.
    - λ1, λ2: 0.002, 100 (paper, and code with ResNet-18 on VOC); 0.0005, 50 (MobileNetV2); 0.001, 100 (Cityscapes).
    - `on_padding`: unlabelled crops have no ignored pixels in the code, so padding counts. Here regions and images are
      averaged without padding, and a region of padding alone does not count.
    - `teacher_mode` = "train": the code's frozen teachers normalise by the batch, each kind of image in a separate
      batch. Their running statistics change there and are never used.
    - Eq. 5 divides by the norms alone, so that a region of zeros has no cosine; here its cosines are 0.
    - The total that the code logs includes the teachers' supervised losses, which have no gradient.
    L_I and L_R on labelled images (`image_on`, `region_on`) are in neither paper nor code. L_I is on logits, before a
    softmax, at the images' resolution. The "projection heads" before Eq. 5 are averages and have no weights.
    """

    name = "mgd"
    version = 1

    teachers: tuple[Experiment, ...] = param(default=(), help="experiments whose official networks are the teachers")
    teacher_mode: Literal["eval", "train"] = param(default="eval", help="running statistics, or batch statistics")
    weight_pixel: float = param(default=1.0, low=0, help="weight of L_P")
    weight_image: float = param(default=0.002, low=0, help="weight λ1 of L_I")
    weight_region: float = param(default=100.0, low=0, help="weight λ2 of L_R")
    pixel_on: On = param(default="both", help="L_P on labelled images, unlabelled ones, or both")
    image_on: On = param(default="unlabeled", help="L_I on labelled images, unlabelled ones, or both")
    region_on: On = param(default="unlabeled", help="L_R on labelled images, unlabelled ones, or both")
    image_teacher: Whose = param(default="first", help="teacher of L_I: the first (T_D), the last, all")
    region_teacher: Whose = param(default="last", help="teacher of L_R: the first, the last (T_W), all")
    image_reduction: Literal["mean", "sum"] = param(
        default="mean", help="Eq. 4 over classes and images: the mean as printed, or the sum as in the code"
    )
    regions: tuple[int, int] = param(default=(7, 7), help="H_v x W_v, regions of an image by height and width")
    cutmix: ThreeBoxes | None = param(default=None, help="mix unlabelled images by boxes; none: use them as they are")
    on_padding: bool = param(default=False, help="L_P, L_I and L_R on padding as well")

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
        if not self._distils_on("unlabeled"):
            names |= {"cutmix"}
        if not self._distils_on("labeled") and not self._distils_on("unlabeled"):
            names |= {"teacher_mode", "on_padding"}
        return frozenset(names)

    def views(self) -> Views:
        if not self._distils_on("unlabeled"):
            return Views()
        return Views(unlabeled=2 if self.cutmix else 1, boxes=self.cutmix)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        teachers = trained_teachers(make, len(self.teachers))
        return nn.ModuleDict({"student": make(), **teachers})

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        # Labelled and unlabelled images pass the networks separately, so that batch norm uses statistics of each kind,
        # as in the authors' code.
        student = forward_at_image_size(nets["student"], batch.labeled.weak)
        losses = Losses(
            terms={"supervised": Term(supervised_ce(student.logits, batch.labeled.label, step.ohem))}  # Eq. 1
        )
        if self._distils_on("labeled"):
            losses = _merge(losses, self._distillation(nets, DistillationInputs.of_labeled(batch), student))
        if self._distils_on("unlabeled"):
            inputs = DistillationInputs.of_unlabeled(batch)
            student = forward_at_image_size(nets["student"], inputs.images)
            losses = _merge(losses, self._distillation(nets, inputs, student))
        return losses  # Eq. 7

    def _distillation(self, nets: nn.ModuleDict, inputs: DistillationInputs, student: NetworkOutput) -> Losses:
        """Return the losses on one kind of images, each added up over its teachers."""
        values: dict[str, list[torch.Tensor]] = {}
        shares: dict[str, Share] = {}
        for index in range(len(self.teachers)):
            granularities = self._granularities_of(index, inputs.kind)
            teacher = TeacherOutput()
            if granularities:
                teacher = self._teacher_output(nets[f"teacher{index}"], inputs, granularities)
            for granularity, value in self._losses_of(inputs, student, teacher, granularities).items():
                values.setdefault(granularity, []).append(value)
            if teacher.label is not None and inputs.truth is not None:
                shares[f"teacher{index}_accuracy"] = Share(*pseudo_label_accuracy(teacher.label, inputs.truth))
        terms = {
            f"{granularity}_{inputs.kind}": Term(
                torch.stack(of_teachers).sum(), self._granularities()[granularity].weight
            )
            for granularity, of_teachers in values.items()
        }
        return Losses(terms=terms, shares=shares)

    def _losses_of(
        self,
        inputs: DistillationInputs,
        student: NetworkOutput,
        teacher: TeacherOutput,
        granularities: frozenset[str],
    ) -> dict[str, torch.Tensor]:
        """Return the unweighted losses from one teacher, by granularity."""
        valid = None if self.on_padding else inputs.valid
        losses: dict[str, torch.Tensor] = {}
        if teacher.label is not None:
            label = teacher.label if valid is None else torch.where(valid, teacher.label, IGNORE)
            losses["pixel"] = pixel_ce(student.logits, label)  # one summand of Eq. 2
        if "image" in granularities and teacher.output is not None:
            losses["image"] = image_semantic(
                student.logits, teacher.output.logits, reduction=self.image_reduction, valid=valid
            )  # Eq. 3 and Eq. 4
        if "region" in granularities and teacher.output is not None:
            losses["region"] = region_content(
                student.features, teacher.output.features, size=self.regions, valid=valid
            )  # Eq. 5 and Eq. 6
        return losses

    @torch.no_grad()
    def _teacher_output(
        self, teacher: nn.Module, inputs: DistillationInputs, granularities: frozenset[str]
    ) -> TeacherOutput:
        """Return the outputs of a teacher that the granularities need, from one pass of each image.

        With boxes, its pseudo-labels are those of the unmixed images.
        """
        teacher.train(self.teacher_mode == "train")
        output = None
        if granularities - {"pixel"} or inputs.boxes is None:
            output = forward_at_image_size(teacher, inputs.images)
        if "pixel" not in granularities:
            return TeacherOutput(output=output)
        if inputs.boxes is None:
            assert output is not None
            return TeacherOutput(output=output, label=pseudo_label(output.logits))
        own, partner = (pseudo_label(forward_at_image_size(teacher, images).logits) for images in inputs.unmixed)
        return TeacherOutput(output=output, label=inputs.boxes.mix(own, partner))

    def _granularities(self) -> dict[str, Granularity]:
        return {
            "pixel": Granularity(self.weight_pixel, self.pixel_on, "all"),
            "image": Granularity(self.weight_image, self.image_on, self.image_teacher),
            "region": Granularity(self.weight_region, self.region_on, self.region_teacher),
        }

    def _distils_on(self, kind: ImageKind) -> bool:
        return any(granularity.is_on(kind) for granularity in self._granularities().values())

    def _granularities_of(self, index: int, kind: ImageKind) -> frozenset[str]:
        """Return the granularities at which a teacher gives a loss on one kind of images."""
        count = len(self.teachers)
        return frozenset(
            name
            for name, granularity in self._granularities().items()
            if granularity.is_on(kind) and granularity.is_from(index, count)
        )

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {"student": nets["student"]}


@dataclasses.dataclass(frozen=True)
class Granularity:
    """The weight of one granularity's loss, the images that it is taken on, and its teachers."""

    weight: float
    on: On
    whose: Whose

    def is_on(self, kind: ImageKind) -> bool:
        return self.weight > 0 and self.on in ("both", kind)

    def is_from(self, index: int, count: int) -> bool:
        """Return whether teacher `index` of `count` gives this loss."""
        return self.whose == "all" or index == (0 if self.whose == "first" else count - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherOutput:
    """One teacher's output on the inputs, and its pseudo-label; None where no loss needs them."""

    output: NetworkOutput | None = None
    label: torch.Tensor | None = None  # B x H x W


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationInputs:
    """Images of one kind, as the student gets them."""

    kind: ImageKind
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


def _merge(first: Losses, second: Losses) -> Losses:
    return Losses(terms={**first.terms, **second.terms}, shares={**first.shares, **second.shares})
