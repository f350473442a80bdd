"""MKD's released configuration, against its loss by its own formula: a slow reference that keeps every feature."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
import torch
from helpers import QUIET, small
from torch import nn
from torch.nn.functional import interpolate

from assay.data.batch import Batch
from assay.data.geometry import draw_geometry
from assay.data.source import IGNORE
from assay.data.views import Augment
from assay.method import Step
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training
from methods.mkd import MKD

STRENGTH = 50.0  # λ; 1.5 in the code, but the features of fresh networks have almost no variance
RELEASED: dict[str, object] = {
    "weight_teachers": 1.5,
    "weight_students": 1.0,
    "momentum": 0.6,
    "warmup": "min",
    "threshold_teachers": 0.0,
    "on_labeled": True,
    "on_padding": True,
    "resolution": "half",
    "fda": "fda",
    "fda.classes": "own",
    "fda.train_weight": False,
    "fda.strength": STRENGTH,
    "fda_teachers": True,
    "fda_labeled_first": True,
}
STUDENTS, TEACHERS = ("student1", "student2"), ("teacher1", "teacher2")
STEPS = 3
RATE = 0.05


def training(**changes: object) -> Training:
    method = {f"method__{name.replace('.', '__')}": value for name, value in (RELEASED | changes).items()}
    experiment = small(
        "mkd",
        recipe__precision="float64",
        recipe__steps=STEPS,
        recipe__augment__scales=(0.5, 1.1),
        net__encoder__width=2,
        net__head__channels=4,
        net__head__projection=3,
        net__head__classifier_std=0.5,
        **method,
    )
    return Training(resolve(experiment, Places()), places=Places(), runtime=QUIET)


def batch_of(trainer: Training, index: int) -> Batch:
    plan = trainer.plan
    return on_device(
        plan.micro_batch(index, 0), plan.views, trainer.recipe.augment, device=trainer.device, dtype=trainer.dtype
    )


class Estimator:
    """All features of a network so far, by class."""

    def __init__(self) -> None:
        self.features: dict[int, list[torch.Tensor]] = {}

    def add(self, features: torch.Tensor, classes: torch.Tensor) -> None:
        for image, labels in zip(features, classes, strict=True):
            for y in range(labels.shape[0]):
                for x in range(labels.shape[1]):
                    if labels[y, x] != IGNORE:
                        self.features.setdefault(int(labels[y, x]), []).append(image[:, y, x].detach())

    def variance(self, y: int) -> torch.Tensor:
        return torch.stack(self.features[y]).var(dim=0, correction=0)

    def shifted(
        self, logits: torch.Tensor, classes: torch.Tensor, weight: torch.Tensor, strength: float
    ) -> torch.Tensor:
        """Return z_j + λ/2 · Σ_a (w_ja - w_ya)² σ²_ya at the pixels of class y. The added term is a constant."""
        added = torch.zeros_like(logits)
        for y in set(classes.flatten().tolist()) - {IGNORE}:
            of_class = strength / 2 * ((weight - weight[y]) ** 2 * self.variance(y)).sum(dim=1)
            added += torch.where((classes == y).unsqueeze(1), of_class.view(1, -1, 1, 1), 0.0)
        return logits + added


class Reference:
    """The released training: two students, two teachers and four estimators."""

    def __init__(self, nets: nn.ModuleDict) -> None:
        self.nets = {name: copy.deepcopy(nets[name]) for name in (*STUDENTS, *TEACHERS)}
        self.estimators = {name: Estimator() for name in self.nets}

    def update_teachers(self, step: int) -> None:
        """Average the parameters; steps count from 1."""
        keep = min(1 - 1 / step, 0.6)
        for teacher, student in zip(TEACHERS, STUDENTS, strict=True):
            pairs = zip(self.nets[teacher].parameters(), self.nets[student].parameters(), strict=True)
            for of_teacher, of_student in pairs:
                of_teacher.data = keep * of_teacher.data + (1 - keep) * of_student.data

    def loss(self, batch: Batch, step: int) -> torch.Tensor:
        self.update_teachers(step)
        strength = STRENGTH * (1 - math.cos(math.pi * (step - 1) / STEPS)) / 2
        (unlabeled,), label = batch.unlabeled, batch.labeled.label
        mask = batch.boxes.mask
        plain, shifted = {}, {}
        for name, net in self.nets.items():
            is_student = name in STUDENTS
            with torch.set_grad_enabled(is_student):
                images = mixed(unlabeled.strong[0], mask) if is_student else unlabeled.weak
                of_labeled, of_unlabeled = (net.features(kind) for kind in (batch.labeled.weak, images))
                logits = [net.classify(features) for features in (of_labeled, of_unlabeled)]
                plain[name] = logits[0]
                if not is_student:
                    of_unlabeled, logits[1] = mixed(of_unlabeled, mask), mixed(logits[1], mask)
                of_labeled, of_unlabeled, *logits = (halved(maps) for maps in (of_labeled, of_unlabeled, *logits))
            shifted[name] = self.with_fda(name, (of_labeled, of_unlabeled), logits, label, strength)
        supervised = [cross_entropy(upsampled(plain[name], label), label) for name in STUDENTS]
        l_st = cross(shifted["student1"], shifted["teacher2"]) + cross(shifted["student2"], shifted["teacher1"])
        l_ss = cross(shifted["student1"], shifted["student2"]) + cross(shifted["student2"], shifted["student1"])
        return sum(supervised) + 1.5 * l_st + 1.0 * l_ss

    def with_fda(
        self,
        name: str,
        features: tuple[torch.Tensor, torch.Tensor],
        logits: list[torch.Tensor],
        label: torch.Tensor,
        strength: float,
    ) -> torch.Tensor:
        """Return the logits of labelled and unlabelled images after FDA.

        The labelled ones are shifted before the unlabelled features enter the estimator. Padding of a labelled image
        has no class, padding of an unlabelled one the network's own.
        """
        estimator, weight = self.estimators[name], self.nets[name].classifier.weight.detach().flatten(1)
        cells = at_cells(label, logits[0].shape[-2:])
        estimator.add(features[0], cells)
        of_labeled = estimator.shifted(logits[0], cells, weight, strength)
        own = logits[1].argmax(dim=1)
        estimator.add(features[1], own)
        return torch.cat([of_labeled, estimator.shifted(logits[1], own, weight, strength)])


def mixed(maps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return maps that show the next image where the mask of the images is set."""
    inside = at_cells(mask, maps.shape[-2:]).unsqueeze(1)
    return torch.stack([torch.where(inside[i], maps[(i + 1) % len(maps)], maps[i]) for i in range(len(maps))])


def at_cells(labels: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Return the pixel in the middle of each cell of a coarser grid."""
    rows, columns = (int(old // new) for old, new in zip(labels.shape[-2:], size, strict=True))
    return labels[:, rows // 2 :: rows, columns // 2 :: columns]


def halved(maps: torch.Tensor) -> torch.Tensor:
    return interpolate(maps, scale_factor=0.5, mode="bilinear", align_corners=False)


def upsampled(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return interpolate(logits, size=label.shape[-2:], mode="bilinear", align_corners=False)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    losses = [
        logits[i, :, y, x].logsumexp(0) - logits[i, target[i, y, x], y, x]
        for i, y, x in (target != IGNORE).nonzero().tolist()
    ]
    return torch.stack(losses).mean()


def cross(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return the mean cross entropy to a network's argmax, over labelled and unlabelled images and over padding."""
    target = teacher.detach().argmax(dim=1)
    assert (target != IGNORE).all()
    return cross_entropy(student, target)


Results = list[dict[str, torch.Tensor]]  # by step: the loss, and the gradients by network and parameter


def trained(trainer: Training, nets: Mapping[str, nn.Module], loss_at: Callable[[Batch, int], torch.Tensor]) -> Results:
    """Return the loss and gradients of each step, and change both students by these gradients."""
    results: Results = []
    for index in range(STEPS):
        batch = batch_of(trainer, index)
        assert not batch.labeled.valid.all() and not batch.unlabeled[0].valid.all()
        loss = loss_at(batch, index)
        parameters = {f"{name}.{path}": each for name in STUDENTS for path, each in nets[name].named_parameters()}
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        for parameter, gradient in zip(parameters.values(), gradients, strict=True):
            parameter.data -= RATE * gradient
        results.append({"loss": loss.detach(), **dict(zip(parameters, gradients, strict=True))})
    return results


def by_method(**changes: object) -> Results:
    trainer = training(**changes)
    nets = trainer.nets.train()

    def loss_at(batch: Batch, index: int) -> torch.Tensor:
        step = Step(index=index, total=STEPS)
        trainer.method.before_step(nets, step)
        terms = trainer.method.loss(nets, batch, step).terms.values()
        return torch.stack([term.weight * term.value for term in terms]).sum()

    return trained(trainer, nets, loss_at)


@cache
def by_reference() -> Results:
    trainer = training()
    reference = Reference(trainer.nets.train())
    return trained(trainer, reference.nets, lambda batch, index: reference.loss(batch, index + 1))


def test_the_released_configuration_has_the_loss_and_the_gradients_of_its_own_formula() -> None:
    torch.testing.assert_close(by_method(), by_reference(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "change",
    [
        {"on_labeled": False},
        {"on_padding": False},
        {"fda_labeled_first": False},
        {"fda_teachers": False},
        {"fda.classes": "pseudo_label"},
        {"weight_teachers": 0.6},
        {"weight_students": 0.4},
        {"momentum": 0.9},
        {"threshold_teachers": 0.3},
        {"warmup": "none"},
        {"resolution": "features"},
    ],
    ids=str,
)
def test_every_field_of_the_released_configuration_is_needed(change: dict[str, object]) -> None:
    pairs = zip(by_method(**change), by_reference(), strict=True)
    assert any(ours["loss"].item() != pytest.approx(theirs["loss"].item(), rel=1e-6) for ours, theirs in pairs)


def test_the_released_term_of_fda_is_a_constant() -> None:
    (*_, ours), (*_, theirs) = by_method(**{"fda.train_weight": True}), by_reference()
    name = "student1.head.classifier.weight"
    assert not torch.allclose(ours[name], theirs[name], rtol=1e-3)


PAPER = Augment(crop=(512, 512), fit=512, scales=(0.5, 2.0), scale_draw="range")


def share_of_padding(height: int, width: int) -> float:
    rng, draws = np.random.default_rng(0), 5_000
    drawn = (draw_geometry(rng, height, width, PAPER) for _ in range(draws))
    return 1 - sum(geometry.resized_height * geometry.resized_width for geometry in drawn) / draws / 512**2


@pytest.mark.parametrize(
    ("size", "alpha", "beta"),
    [((375, 500), 0.59, 0.39), ((500, 375), 0.59, 0.39), ((500, 500), 0.65, 0.43), ((333, 500), 0.56, 0.37)],
)
def test_alpha_and_beta_are_the_codes_for_means_over_unlabelled_images_without_padding(
    size: tuple[int, int], alpha: float, beta: float
) -> None:
    of_mean = (1 - share_of_padding(*size)) / 2
    assert (1.5 * of_mean, 1.0 * of_mean) == (pytest.approx(alpha, abs=0.008), pytest.approx(beta, abs=0.008))
    assert (MKD().weight_teachers, MKD().weight_students) == (
        pytest.approx(alpha, abs=0.051),
        pytest.approx(beta, abs=0.051),
    )
