"""Mutual Knowledge Distillation (Yuan et al., ACM MM 2023): two students and their crossed mean teachers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import nn

from assay.data.batch import Batch
from assay.data.source import IGNORE
from assay.data.views import Views
from assay.errors import FieldError
from assay.method import Losses, MakeNetwork, Method, Predictors, Share, Step, Term
from assay.nets.network import Network
from assay.nets.spec import DeepLabV2, DeepLabV3Plus, Net, PSPNet
from assay.values import Value, param
from methods.cps import ThreeBoxes
from methods.ema import copy_buffers, ema_update, make_teacher, momentum_at
from methods.fda import FDA, update_covariance
from methods.forward import NetworkOutput, forward_each
from methods.loss_grid import BranchOutputs, LossGrid, student_views
from methods.losses import (
    ClassCovariance,
    confidence_mask,
    pixel_ce,
    pseudo_label,
    resize_bilinear,
    resize_nearest,
    supervised_ce,
)

AugmentLogits = Callable[[str, torch.Tensor | None], torch.Tensor]  # network, classes → its logits after Eq. 4
STUDENTS = ("student1", "student2")
TEACHERS = ("teacher1", "teacher2")


class SDA(Value):
    """Strong augmentation of the students' images: one photometric operator for each image, and CutMix.

    Each image is mixed with the next one of the batch. The authors' code shows the partner *outside* three boxes that
    toggle. Here the partner is inside; over a batch this is the same draw with the roles of the two images exchanged.
    """

    name = "sda"

    photometric: bool = param(default=True, help="one of the operators of recipe.augment.strong for each image")
    cutmix: ThreeBoxes | None = param(factory=ThreeBoxes, help="mix with the next image by boxes; none: off")

    def check(self) -> None:
        if not self.photometric and self.cutmix is None:
            raise FieldError("sda must do something: set photometric or cutmix, or the whole of sda to none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageCovariances:
    """Σ of Eq. 4 of one network, for the pixels of labelled images and for those of unlabelled ones."""

    labeled: torch.Tensor
    unlabeled: torch.Tensor

    def by_kind(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.labeled, self.unlabeled


class MKD(Method):
    """Two students, each trained on the pseudo-labels of the other student and of the other student's mean teacher.

    Eq. 1  θ_ti ← γ θ_ti + (1 - γ) θ_si, at the beginning of every step (Algorithm 1)
    Eq. 2  L_st = CE(s1(x), argmax t2(x)) + CE(s2(x), argmax t1(x))
    Eq. 3  L_st over the pixels whose confidence reaches T ("knowledge selection")
    Eq. 4  logits z_j + λ/2 · (w_j - w_y)ᵀ Σ_y (w_j - w_y) at a pixel of class y (`fda`)
    Eq. 5  L = L_s + α L_st + β L_ss
    Eq. 6  L_s = CE(s1(x_l), y) + CE(s2(x_l), y)
    Eq. 7  L_ss = CE(s1(x), argmax s2(x)) + CE(s2(x), argmax s1(x))

    x are unlabelled images: weak views for the teachers, strong views mixed by CutMix for the students (`sda`); the
    teachers' logits are mixed by the same mask. `teaching` = "plain" gives each student its own teacher (unstable in
    the paper), "none" is co-training. The defaults are the paper's main rows: mutual teachers, SDA, selection on L_st,
    no FDA. The paper gives no values of α, β, γ and λ: γ and λ are the code's, α and β are converted from the code's.
    Student 1 is reported, as in the code.

    α = 0.6 and β = 0.4 are the code's 1.5 and 1.0 for the means of this class. The code takes its means over labelled
    and unlabelled images and over padding, this class by default over unlabelled images without padding. Let a step
    have n labelled and n unlabelled images of P pixels, a share s of which is padding. A pixel of an unlabelled image
    then has the weight 1.5 / (2 n P) in the code and α / (n P (1 - s)) here. The two are equal for
    α = 1.5 (1 - s) / 2; the code's α counts 2 / (1 - s) times as much on this class's means. Under the authors'
    geometry (fit to 512, scales 0.5 to 2, crop 512), s is 0.215 for images of 500 x 375 and 375 x 500, VOC's usual
    sizes: the mean over 100,000 draws of `draw_geometry`. So 2 / (1 - s) is 2.55, α 0.59 and β 0.39. Images of 500 x
    500 would have 0.65 and 0.43, of 500 x 333 0.56 and 0.37. The derivation is for losses without selection. With
    `on_labeled` and `on_padding` the means are the code's, and so are α = 1.5 and β = 1.

    Where paper and code differ, the default first:
    - Confidence is that of the network that gives the pseudo-label (prose, code), or that of the other student (Eq. 3
      as printed). The released configuration selects nothing (`threshold_teachers` = 0).
    - L_st and L_ss are on unlabelled images alone (paper), or also on labelled ones (code: `on_labeled`).
    - L_st and L_ss are on the images alone, or also on padding, as are FDA's estimators on unlabelled images (code:
      `on_padding`; its pseudo-labels have a class on every pixel, while labels have none on padding).
    - FDA is off (the paper's best rows) or on (released configuration). FDA's docstring lists its own differences;
      `fda_teachers`: on the students' logits alone (paper), or also on the teachers' (code).
    - γ warms up as min(1 - 1/t, γ) (code; "scaled" is its other mode), or is constant (Eq. 1: "none").
    - The losses are taken at half the decoder's resolution (code; the paper does not mention it), at the decoder's, or
      at the images' as in CPS.
    - On a coarser grid, labels and masks have the pixel in the middle of each cell; the code takes the cell's first.
    - The weak views, including labelled images, are geometric ("e.g. image flipping, cropping, resizing" in the paper),
      or also have distorted colours (code: `recipe.augment.distort`, which is off unless a profile sets it).
    Teachers stay in train mode, normalise by their batch and keep their own running statistics (code; the paper does
    not mention it). In eval mode they need the students' statistics, which mix weak labelled and strong unlabelled
    views, as in the code.
    """

    name = "mkd"
    version = 2

    teaching: Literal["mutual", "plain", "none"] = param(
        default="mutual", help="teacher of each student: the other student's, its own, none"
    )
    weight_teachers: float = param(default=0.6, low=0, help="weight α of L_st")
    weight_students: float = param(default=0.4, low=0, help="weight β of L_ss")
    momentum: float = param(default=0.6, low=0, below=1, help="γ: share that a teacher keeps at each step")
    warmup: Literal["min", "scaled", "none"] = param(default="min", help="γ at step t: min(1-1/t, γ), (1-1/t)γ, γ")
    teacher_mode: Literal["train", "eval"] = param(default="train", help="batch statistics, or running statistics")
    teacher_buffers: Literal["own", "copied", "averaged"] = param(
        default="own",
        help="running statistics of teachers: their own, their student's, or moving averages of these",
    )
    threshold_teachers: float = param(default=0.95, low=0, below=1, help="T for L_st; 0: every pixel counts")
    threshold_students: float = param(default=0.0, low=0, below=1, help="T for L_ss; 0: every pixel counts")
    confidence: Literal["target", "student"] = param(
        default="target", help="confidence that selects for L_st: the pseudo-label's network's, or the other student's"
    )
    sda: SDA | None = param(factory=SDA, help="strong views for the students; none: weak views")
    fda: FDA | None = param(default=None, help="feature augmentation; none: off")
    fda_teachers: bool = param(default=False, help="augment the teachers' logits as well")
    fda_labeled_first: bool = param(
        default=False, neutral=False, help="augment labelled pixels before unlabelled ones enter the covariances"
    )
    on_labeled: bool = param(default=False, help="L_st and L_ss on the labelled images as well")
    on_padding: bool = param(default=False, neutral=False, help="L_st and L_ss on padding as well")
    resolution: Literal["image", "features", "half"] = param(
        default="half", help="grid of L_st and L_ss: the images', the first network's features', half of the features'"
    )
    second_head: DeepLabV3Plus | PSPNet | DeepLabV2 | None = param(
        default=None, help="head of the second branch; none: the first branch's (paper's HN: pspnet)"
    )

    def check(self) -> None:
        if self.has_teachers and self.teacher_mode == "eval" and self.teacher_buffers == "own":
            raise FieldError(
                "teacher_buffers must be copied or averaged where teacher_mode is eval, got 'own': a teacher that"
                " is never in train mode would keep its initial statistics"
            )

    def unused(self) -> frozenset[str]:
        names: set[str] = set()
        if not self.has_teachers:
            names |= {"teaching", "weight_teachers", "momentum", "warmup", "teacher_mode", "teacher_buffers"}
            names |= {"threshold_teachers", "fda_teachers"}
        if not self.weight_students:
            names |= {"threshold_students"}
        if not self.threshold_teachers or not self.has_teachers:
            names |= {"confidence"}
        if not self.fda:
            names |= {"fda_teachers", "fda_labeled_first"}
        if not self.on_labeled:
            names |= {"fda_labeled_first"}
        if not self.uses_unlabeled:
            names |= {"sda", "fda", "fda_teachers", "fda_labeled_first", "on_labeled", "on_padding", "resolution"}
        return frozenset(names)

    @property
    def has_teachers(self) -> bool:
        """Presence of L_st, and with it of the mean teachers."""
        return self.teaching != "none" and self.weight_teachers > 0

    @property
    def uses_unlabeled(self) -> bool:
        """Presence of a loss on unlabelled images: L_st or L_ss."""
        return self.has_teachers or self.weight_students > 0

    def check_net(self, net: Net) -> None:
        for head, path in ((net.head, "net.head"), (self.second_head, "method.second_head")):
            if self.fda is not None and self.uses_unlabeled and head is not None:
                self.fda.check_head(head, path)

    def views(self) -> Views:
        if not self.uses_unlabeled:
            return Views()
        sda = self.sda
        return Views(unlabeled=1, strong=int(sda is not None and sda.photometric), boxes=sda.cutmix if sda else None)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        first = make()
        second = make(first.spec.replace(head=self.second_head)) if self.second_head else make()
        nets: dict[str, nn.Module] = dict(zip(STUDENTS, (first, second), strict=True))
        if self.has_teachers:
            nets |= {name: make_teacher(student) for name, student in zip(TEACHERS, (first, second), strict=True)}
        if self.fda and self.uses_unlabeled:
            augmented = [name for name in nets if name in STUDENTS or self.fda_teachers]
            nets |= {f"{name}_scatter": self.fda.make_estimator(cast(Network, nets[name])) for name in augmented}
        return nn.ModuleDict(nets)

    def before_step(self, nets: nn.ModuleDict, step: Step) -> None:
        if not self.has_teachers:
            return
        momentum = momentum_at(self.momentum, step.index + 1, self.warmup)
        for teacher, student in zip(TEACHERS, STUDENTS, strict=True):
            ema_update(nets[teacher], nets[student], momentum, buffers=self.teacher_buffers == "averaged")  # Eq. 1
            if self.teacher_buffers == "copied":
                copy_buffers(nets[teacher], nets[student])

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        label, students = batch.labeled.label, [nets[name] for name in STUDENTS]
        if not self.uses_unlabeled:
            outputs = forward_each(students, [batch.labeled.weak])
            return Losses(terms=_supervised_terms([of_labeled for (of_labeled,) in outputs], label, step))
        images = student_views(batch, strong=self.views().strong > 0)
        outputs = forward_each(students, [batch.labeled.weak, images])
        terms = _supervised_terms([of_labeled for of_labeled, _ in outputs], label, step)
        grid = LossGrid.of(
            batch, images, with_labeled=self.on_labeled, resolution=self.resolution, features=outputs[0][0].size
        )
        branches = {
            name: BranchOutputs(labeled=of_labeled, unlabeled=of_unlabeled)
            for name, (of_labeled, of_unlabeled) in zip(STUDENTS, outputs, strict=True)
        }
        if self.has_teachers:
            branches |= {name: self._teacher_outputs(nets[name], batch, grid) for name in TEACHERS}
        logits = {name: grid.logits(branch) for name, branch in branches.items()}  # before Eq. 4
        covariances = {} if self.fda is None else self._update_covariances(nets, label, grid, branches, logits)
        augment = self._make_augment(nets, label, grid, logits, covariances, step)
        distillation = self._distillation(grid, logits, augment)
        return Losses(terms={**terms, **distillation.terms}, shares=distillation.shares)  # Eq. 5

    @torch.no_grad()
    def _teacher_outputs(self, teacher: nn.Module, batch: Batch, grid: LossGrid) -> BranchOutputs:
        """Return a teacher's outputs on the weak views, mixed as the students' images are."""
        teacher.train(self.teacher_mode == "train")
        labeled = [batch.labeled.weak] if self.on_labeled else []
        (outputs,) = forward_each([teacher], [*labeled, batch.unlabeled[0].weak])
        needs_features = self.fda is not None and self.fda_teachers
        return BranchOutputs(
            labeled=outputs[0] if labeled else None, unlabeled=grid.mix(outputs[-1], with_features=needs_features)
        )

    def _distillation(self, grid: LossGrid, logits: Mapping[str, torch.Tensor], augment: AugmentLogits) -> Losses:
        """Return L_st and L_ss with their weights in Eq. 5, and the quality of their targets."""
        terms: dict[str, Term] = {}
        shares: dict[str, Share] = {}
        other = {student: _other(student) for student in STUDENTS}
        if self.has_teachers:
            teacher = {student: self._teacher_of(student) for student in STUDENTS}
            confidence_of = teacher if self.confidence == "target" else other
            l_st, target = self._cross_teaching_loss(
                grid, logits, augment, teachers=teacher, confidence_of=confidence_of, threshold=self.threshold_teachers
            )  # Eq. 2 and, with a threshold, Eq. 3
            terms["teachers"] = Term(l_st, self.weight_teachers)  # α L_st of Eq. 5
            shares |= grid.target_quality("teacher", target, selected=self.threshold_teachers > 0)
        if self.weight_students:
            l_ss, target = self._cross_teaching_loss(
                grid, logits, augment, teachers=other, confidence_of=other, threshold=self.threshold_students
            )  # Eq. 7
            terms["students"] = Term(l_ss, self.weight_students)  # β L_ss of Eq. 5
            shares |= grid.target_quality("student", target, selected=self.threshold_students > 0)
        return Losses(terms=terms, shares=shares)

    def _cross_teaching_loss(
        self,
        grid: LossGrid,
        logits: Mapping[str, torch.Tensor],
        augment: AugmentLogits,
        *,
        teachers: Mapping[str, str],
        confidence_of: Mapping[str, str],
        threshold: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the sum of both students' cross entropies, and the first student's target.

        teachers: for each student, the network that gives its pseudo-label
        confidence_of: for each student, the network whose confidence selects pixels
        """
        loss, targets = logits[STUDENTS[0]].new_zeros(()), []
        for student in STUDENTS:
            teacher = teachers[student]
            teacher_logits = augment(teacher, None) if self._labels_use_fda(teacher) else logits[teacher]
            label = grid.target(pseudo_label(teacher_logits), on_padding=self.on_padding)
            target = label
            if threshold:
                selected = confidence_mask(logits[confidence_of[student]], threshold=threshold)  # p >= T
                target = torch.where(selected, label, IGNORE)  # Eq. 3
            targets.append(target)
            loss = loss + pixel_ce(augment(student, label), target)  # one summand of Eq. 2 or Eq. 7
        return loss, targets[0]

    def _labels_use_fda(self, name: str) -> bool:
        """Return whether pseudo-labels of a network are taken after Eq. 4."""
        return name in TEACHERS or (self.fda is not None and self.fda.classes == "own")

    def _teacher_of(self, student: str) -> str:
        """Return the teacher of a student: crossed in mutual distillation."""
        index = STUDENTS.index(student)
        return TEACHERS[1 - index if self.teaching == "mutual" else index]

    def _update_covariances(
        self,
        nets: nn.ModuleDict,
        label: torch.Tensor,
        grid: LossGrid,
        branches: Mapping[str, BranchOutputs],
        logits: Mapping[str, torch.Tensor],
    ) -> dict[str, ImageCovariances]:
        """Add this step's features to the estimators, and return by network Σ of Eq. 4."""
        covariances = {}
        for name in (name for name in branches if f"{name}_scatter" in nets):
            estimator, outputs = cast(ClassCovariance, nets[f"{name}_scatter"]), branches[name]
            classes = grid.target(pseudo_label(logits[self._class_source(name)]), on_padding=self.on_padding)
            if outputs.labeled is not None:
                update_covariance(estimator, outputs.labeled.features, label, grid.grid)
            before_unlabeled = estimator.covariance.clone() if self.fda_labeled_first else None
            update_covariance(estimator, outputs.unlabeled.features, classes[-len(grid.images) :], grid.grid)
            unlabeled = estimator.covariance
            labeled = unlabeled if before_unlabeled is None else before_unlabeled
            covariances[name] = ImageCovariances(labeled=labeled, unlabeled=unlabeled)
        return covariances

    def _class_source(self, name: str) -> str:
        """Return the network whose argmax is the class of an unlabelled pixel in a network's estimator."""
        if name in TEACHERS or (self.fda is not None and self.fda.classes == "own"):
            return name
        return self._teacher_of(name) if self.has_teachers else _other(name)

    def _make_augment(
        self,
        nets: nn.ModuleDict,
        label: torch.Tensor,
        grid: LossGrid,
        logits: Mapping[str, torch.Tensor],
        covariances: Mapping[str, ImageCovariances],
        step: Step,
    ) -> AugmentLogits:
        """Return the function that applies Eq. 4 to a network's logits.

        It takes a network and the classes of the pixels; None stands for the network's own argmax.
        """

        def augment(name: str, classes: torch.Tensor | None) -> torch.Tensor:
            if self.fda is None or name not in covariances:
                return logits[name]
            if classes is None or self.fda.classes == "own":
                classes = grid.target(logits[name].argmax(dim=1), on_padding=self.on_padding)
                if self.on_labeled:
                    classes = torch.cat([resize_nearest(label, grid.grid), classes[-len(grid.images) :]])
            parts = zip(grid.by_kind(logits[name]), grid.by_kind(classes), covariances[name].by_kind(), strict=True)
            return torch.cat([self.fda.augment(*part, nets[name], step.progress) for part in parts])  # Eq. 4

        return augment

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {name: nets[name] for name in (*STUDENTS, *TEACHERS) if name in nets}


def _supervised_terms(outputs: list[NetworkOutput], label: torch.Tensor, step: Step) -> dict[str, Term]:
    """Return both summands of L_s from the students' outputs on the labelled images."""
    size = (label.shape[1], label.shape[2])
    return {
        f"supervised{number}": Term(supervised_ce(resize_bilinear(output.logits, size), label, step.ohem))  # Eq. 6
        for number, output in enumerate(outputs, start=1)
    }


def _other(student: str) -> str:
    """Return the other student."""
    return STUDENTS[1 - STUDENTS.index(student)]
