"""Mutual Knowledge Distillation (Yuan et al., ACM MM 2023): two students, two mean teachers, crossed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from methods.forward import forward_each
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

Augmented = Callable[[str, torch.Tensor | None], torch.Tensor]  # network, targets → logits
STUDENTS = ("student1", "student2")
TEACHERS = ("teacher1", "teacher2")


class SDA(Value):
    """Strong augmentation of what the students see: one photometric operator for each image, and CutMix.

    Each image is mixed with the next one of the batch. The authors' code shows the partner *outside* three boxes that
    toggle; here it shows inside, which over a batch is the same draw with the two images' roles exchanged.
    """

    name = "sda"

    photometric: bool = param(default=True, help="one of the operators of recipe.augment.strong for each image")
    cutmix: ThreeBoxes | None = param(factory=ThreeBoxes, help="mix with the next image by boxes; none: do not")

    def check(self) -> None:
        if not self.photometric and self.cutmix is None:
            raise FieldError("sda must do something: set photometric or cutmix, or the whole of sda to none")


class MKD(Method):
    """Each of two students learns from the other student and from the other's mean teacher.

    Eq. 1  θ_ti ← γ θ_ti + (1 - γ) θ_si, first thing in every step (Algorithm 1)
    Eq. 2  L_st = CE(s1(x), argmax t2(x)) + CE(s2(x), argmax t1(x))
    Eq. 3  L_st over the pixels whose confidence reaches T ("knowledge selection")
    Eq. 4  logits z_j + λ/2 · (w_j - w_y)ᵀ Σ_y (w_j - w_y) at a pixel of class y (`fda`)
    Eq. 5  L = L_s + α L_st + β L_ss
    Eq. 6  L_s = CE(s1(x_l), y) + CE(s2(x_l), y)
    Eq. 7  L_ss = CE(s1(x), argmax s2(x)) + CE(s2(x), argmax s1(x))

    x are unlabelled images: weak views for the teachers, strong ones mixed by CutMix for the students (`sda`), the
    teachers' logits mixed by the same mask. `teaching` = "plain" gives each student its own teacher (the paper finds
    it unstable), "none" is co-training. The defaults are the paper's main rows: mutual teachers, SDA, selection on
    L_st, no FDA. The paper gives no α, β, γ and λ: these are the code's. Student 1 is reported, as in the code.

    Where paper and code differ, the default first:
    - confidence: of the network that gives the pseudo-label (prose, code), or of the other student (Eq. 3 as printed).
      The released configuration selects nothing (`threshold_teachers` = 0).
    - L_st and L_ss on unlabelled images alone (paper), or on labelled ones too (code: `on_labeled`).
    - FDA off (the paper's best rows), or on (released configuration); see FDA for its own differences, and
      `fda_teachers`: students alone (paper), or the teachers' logits too (code).
    - γ warms up as min(1 - 1/t, γ) (code; "scaled" is its other mode), or is constant (Eq. 1: "none").
    - the losses are taken at half the decoder's resolution (code; the paper says nothing), at the decoder's, or at
      the images' as CPS does.
    - the weak views, labelled ones too, are geometric ("e.g. image flipping, cropping, resizing" in the paper), or
      have their colours distorted, too (code: `recipe.augment.distort`, which is off unless a profile sets it).
    Teachers stay in train mode, normalise by their batch and keep running statistics of their own (code; the paper
    says nothing); in eval mode they need the students'. Those mix weak labelled and strong unlabelled views, as in the
    code. Students with SDA end behind their teachers on drawn shapes (7 points in one training with α + β = 1.5, 0.2 to
    0.6 with 0.6); with 0.6, statistics of the unaugmented images gave students nothing back.
    """

    name = "mkd"
    version = 1

    teaching: Literal["mutual", "plain", "none"] = param(
        default="mutual", help="who learns from a teacher: the other student, its own one, nobody"
    )
    weight_teachers: float = param(default=1.5, low=0, help="weight α of L_st")
    weight_students: float = param(default=1.0, low=0, help="weight β of L_ss")
    momentum: float = param(default=0.6, low=0, below=1, help="γ: share that a teacher keeps at each step")
    warmup: Literal["min", "scaled", "none"] = param(default="min", help="γ at step t: min(1-1/t, γ), (1-1/t)γ, γ")
    teacher_mode: Literal["train", "eval"] = param(default="train", help="batch statistics, or running ones")
    teacher_buffers: Literal["own", "copied", "averaged"] = param(
        default="own", help="the teachers' running statistics: their own, their student's, or the moving average of it"
    )
    threshold_teachers: float = param(default=0.95, low=0, below=1, help="T for L_st; 0: every pixel teaches")
    threshold_students: float = param(default=0.0, low=0, below=1, help="T for L_ss; 0: every pixel teaches")
    confidence: Literal["target", "student"] = param(
        default="target", help="whose confidence selects for L_st: the target's own, or the other student's"
    )
    sda: SDA | None = param(factory=SDA, help="strong views for the students; none: they see the weak ones")
    fda: FDA | None = param(default=None, help="feature augmentation; none: off")
    fda_teachers: bool = param(default=False, help="augment the teachers' logits too")
    on_labeled: bool = param(default=False, help="L_st and L_ss on the labelled images too")
    resolution: Literal["image", "features", "half"] = param(
        default="half", help="of L_st and L_ss: the images', the first network's features', half of these"
    )
    second_head: DeepLabV3Plus | PSPNet | DeepLabV2 | None = param(
        default=None, help="head of the second branch; none: as the first (paper's HN: pspnet)"
    )

    def check(self) -> None:
        if self.taught and self.teacher_mode == "eval" and self.teacher_buffers == "own":
            raise FieldError(
                "teacher_buffers must be copied or averaged where teacher_mode is eval, got 'own': a teacher that"
                " never trains would keep the statistics that it was made with"
            )

    def unused(self) -> frozenset[str]:
        names: set[str] = set()
        if not self.taught:
            names |= {"teaching", "weight_teachers", "momentum", "warmup", "teacher_mode", "teacher_buffers"}
            names |= {"threshold_teachers", "fda_teachers"}
        if not self.weight_students:
            names |= {"threshold_students"}
        if not self.threshold_teachers or not self.taught:
            names |= {"confidence"}
        if not self.fda:
            names |= {"fda_teachers"}
        if not self.distils:
            names |= {"sda", "fda", "fda_teachers", "on_labeled", "resolution"}
        return frozenset(names)

    @property
    def taught(self) -> bool:
        """Whether there are teachers at all."""
        return self.teaching != "none" and self.weight_teachers > 0

    @property
    def distils(self) -> bool:
        """Whether there is any loss beside the supervised one."""
        return self.taught or self.weight_students > 0

    def check_net(self, net: Net) -> None:
        for head, path in ((net.head, "net.head"), (self.second_head, "method.second_head")):
            if self.fda is not None and self.distils and head is not None:
                self.fda.check_head(head, path)

    def views(self) -> Views:
        if not self.distils:
            return Views()
        sda = self.sda
        return Views(unlabeled=1, strong=int(sda is not None and sda.photometric), boxes=sda.cutmix if sda else None)

    def networks(self, make: MakeNetwork) -> nn.ModuleDict:
        first = make()
        second = make(first.spec.replace(head=self.second_head)) if self.second_head else make()
        nets: dict[str, nn.Module] = dict(zip(STUDENTS, (first, second), strict=True))
        if self.taught:
            nets |= {name: make_teacher(each) for name, each in zip(TEACHERS, (first, second), strict=True)}
        if self.fda and self.distils:
            augmented = [name for name in nets if name in STUDENTS or self.fda_teachers]
            nets |= {f"{name}_scatter": self.fda.estimator_of(cast(Network, nets[name])) for name in augmented}
        return nn.ModuleDict(nets)

    def before_step(self, nets: nn.ModuleDict, step: Step) -> None:
        if not self.taught:
            return
        momentum = momentum_at(self.momentum, step.index + 1, self.warmup)
        for teacher, student in zip(TEACHERS, STUDENTS, strict=True):
            ema_update(nets[teacher], nets[student], momentum, buffers=self.teacher_buffers == "averaged")  # Eq. 1
            if self.teacher_buffers == "copied":
                copy_buffers(nets[teacher], nets[student])

    def loss(self, nets: nn.ModuleDict, batch: Batch, step: Step) -> Losses:
        labeled, kinds = batch.labeled, [batch.labeled.weak]
        if self.distils:
            kinds.append(student_views(batch, strong=self.views().strong > 0))
        seen = forward_each([nets[name] for name in STUDENTS], kinds)
        size = (labeled.label.shape[1], labeled.label.shape[2])
        terms: dict[str, Term] = {
            f"supervised{number}": Term(supervised_ce(resize_bilinear(known.logits, size), labeled.label, step.ohem))
            for number, (known, *_) in enumerate(seen, start=1)
        }  # Eq. 6
        if not self.distils:
            return Losses(terms=terms)
        (first, _), _ = seen
        scene = LossGrid.of(
            batch, kinds[1], with_labeled=self.on_labeled, resolution=self.resolution, features=first.size
        )
        said = {
            name: BranchOutputs(labeled=known, unlabeled=unlabeled)
            for name, (known, unlabeled) in zip(STUDENTS, seen, strict=True)
        }
        if self.taught:
            said |= {name: self._teach(nets[name], batch, scene) for name in TEACHERS}
        raw = {name: scene.logits(each) for name, each in said.items()}  # before Eq. 4
        if self.fda is not None:
            self._collect(nets, labeled.label, scene, said, raw)
        augmented = self._augments(nets, labeled.label, scene, raw, step)
        losses = self._distillation(scene, raw, augmented)
        return Losses(terms={**terms, **losses.terms}, shares=losses.shares)  # Eq. 5

    @torch.no_grad()
    def _teach(self, teacher: nn.Module, batch: Batch, scene: LossGrid) -> BranchOutputs:
        """A teacher's word on the weak views, mixed as the students' images are."""
        teacher.train(self.teacher_mode == "train")
        labeled = [batch.labeled.weak] if self.on_labeled else []
        (seen,) = forward_each([teacher], [*labeled, batch.unlabeled[0].weak])
        collects = self.fda is not None and self.fda_teachers
        return BranchOutputs(labeled=seen[0] if labeled else None, unlabeled=scene.mixed(seen[-1], features=collects))

    def _distillation(self, scene: LossGrid, raw: Mapping[str, torch.Tensor], augmented: Augmented) -> Losses:
        """L_st and L_ss, each with how good its targets are."""
        terms: dict[str, Term] = {}
        shares: dict[str, Share] = {}
        if self.taught:
            by = [self._teacher_of(student) for student in STUDENTS]
            judges = by if self.confidence == "target" else [_other(student) for student in STUDENTS]
            value, found = self._taught_by(scene, raw, augmented, by, judges, self.threshold_teachers)  # Eq. 2, 3
            terms["teachers"] = Term(value, self.weight_teachers)
            shares |= scene.quality("teacher", found, selected=self.threshold_teachers > 0)
        if self.weight_students:
            by = [_other(student) for student in STUDENTS]
            value, found = self._taught_by(scene, raw, augmented, by, by, self.threshold_students)  # Eq. 7
            terms["students"] = Term(value, self.weight_students)
            shares |= scene.quality("student", found, selected=self.threshold_students > 0)
        return Losses(terms=terms, shares=shares)

    def _taught_by(
        self,
        scene: LossGrid,
        raw: Mapping[str, torch.Tensor],
        augmented: Augmented,
        by: Sequence[str],
        judges: Sequence[str],
        threshold: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both students' cross entropies, added, and the first one's targets.

        by: for each student the network whose pseudo-labels it learns; judges: the network whose confidence selects
        """
        value, targets = raw[STUDENTS[0]].new_zeros(()), []
        for student, name, judge in zip(STUDENTS, by, judges, strict=True):
            heard = augmented(name, None) if self._hears_augmented(name) else raw[name]
            label = scene.without_padding(pseudo_label(heard))
            sure = confidence_mask(raw[judge], threshold=threshold) if threshold else torch.ones_like(scene.valid)
            targets.append(torch.where(sure, label, IGNORE))  # Eq. 3
            value = value + pixel_ce(augmented(student, label), targets[-1])
        return value, targets[0]

    def _hears_augmented(self, name: str) -> bool:
        """Whether pseudo-labels of this network are taken after Eq. 4."""
        return name in TEACHERS or (self.fda is not None and self.fda.classes == "own")

    def _teacher_of(self, student: str) -> str:
        """Who teaches a student: crossed in mutual distillation."""
        at = STUDENTS.index(student)
        return TEACHERS[1 - at if self.teaching == "mutual" else at]

    def _collect(
        self,
        nets: nn.ModuleDict,
        label: torch.Tensor,
        scene: LossGrid,
        said: Mapping[str, BranchOutputs],
        raw: Mapping[str, torch.Tensor],
    ) -> None:
        """Let the estimators see what was said in this step."""
        for name in (each for each in said if f"{each}_scatter" in nets):
            estimator, seen = cast(ClassCovariance, nets[f"{name}_scatter"]), said[name]
            classes = scene.without_padding(pseudo_label(raw[self._class_source(name)]))
            if seen.labeled is not None:
                update_covariance(estimator, seen.labeled.features, label, scene.grid)
            update_covariance(estimator, seen.unlabeled.features, classes[-len(scene.images) :], scene.grid)

    def _class_source(self, name: str) -> str:
        """Whose argmax says under which class an unlabelled pixel of this network is collected."""
        if name in TEACHERS or (self.fda is not None and self.fda.classes == "own"):
            return name
        return self._teacher_of(name) if self.taught else _other(name)

    def _augments(
        self, nets: nn.ModuleDict, label: torch.Tensor, scene: LossGrid, raw: Mapping[str, torch.Tensor], step: Step
    ) -> Augmented:
        """What gives a network's logits of Eq. 4 at pixels whose class is a target's, or its own argmax where none."""

        def augmented(name: str, target: torch.Tensor | None) -> torch.Tensor:
            if self.fda is None or f"{name}_scatter" not in nets:
                return raw[name]
            if target is None or self.fda.classes == "own":
                target = scene.without_padding(raw[name].argmax(dim=1))
                if self.on_labeled:
                    target = torch.cat([resize_nearest(label, scene.grid), target[-len(scene.images) :]])
            estimator = cast(ClassCovariance, nets[f"{name}_scatter"])
            return self.fda.augmented(raw[name], target, nets[name], estimator, step.progress)  # Eq. 4

        return augmented

    def predictors(self, nets: nn.ModuleDict) -> Predictors:
        return {name: nets[name] for name in (*STUDENTS, *TEACHERS) if name in nets}


def _other(student: str) -> str:
    """The student beside this one."""
    return STUDENTS[1 - STUDENTS.index(student)]
