"""The contract of all methods. A new method is under test as soon as `METHODS` names it."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from helpers import fresh_weights

from assay.catalogue import method_class
from assay.data.views import Boxes
from assay.errors import FieldError
from assay.experiment import Experiment, Runtime
from assay.method import Losses, Method, Step
from assay.nets.spec import PSPNet
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training
from assay.values import Value, fields
from methods import METHODS
from methods.fda import FDA
from methods.mkd import SDA
from methods.structured_consistency import ManyBoxes

SIZES = {
    "recipe.labeled_batch": 4,
    "recipe.unlabeled_batch": 4,
    "recipe.steps": 6,
    "recipe.augment.crop": (16, 16),
    "recipe.augment.scales": (0.75, 1.25),  # padding, which some fields are about
    "recipe.schedule.warmup_steps": 0,  # networks change from the first step on
    "data.source.size": 16,
    "data.source.num_train": 24,
    "data.source.num_val": 4,
    "net.encoder.width": 4,
    "net.batch_norm.momentum": 0.9,  # so that networks in eval mode depend on their images after one step
}


def confidence_of_a_fresh_network(share: float) -> float:
    """Return the quantile, at this share, of the pixels' highest probabilities before any training."""
    untrained = apply(starting_point("supervised", "textures"), overrides_of(SIZES, "test"))
    trainer = Training(resolve(untrained, Places()), places=Places(), runtime=Runtime(device="cpu"))
    batch = on_device(trainer.plan.micro_batch(0, 0), trainer.plan.views, trainer.recipe.augment, device=trainer.device)
    with torch.no_grad():
        highest = trainer.nets["student"].eval()(batch.labeled.weak).softmax(dim=1).amax(dim=1)
    return float(highest.quantile(share))


TEACHER = apply(starting_point("supervised", "textures", seed=5), overrides_of(SIZES, "test"))
WIDE = apply(TEACHER, overrides_of({"net.encoder.width": 6}, "test"))
# The variants of each method.
VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "supervised": {"plain": {}},
    "mean_teacher": {"plain": {}},
    "cutmix_seg": {"plain": {}, "by pixel": {"confidence_by": "pixel", "threshold": 0.18}},
    "cps": {
        "plain": {},
        "cutmix": {"cutmix": "boxes", "on_labeled": False},
    },
    "mkd": {
        "plain": {},
        "heterogeneous": {"second_head": PSPNet(channels=12), "fda": FDA(train_weight=False)},
        "co-training": {"teaching": "none", "sda": None, "resolution": "image"},
        "everything on": {
            "fda": FDA(full=True, classes="own"),
            "fda_teachers": True,
            "on_labeled": True,
            "threshold_students": 0.5,
            "teacher_mode": "eval",
            "teacher_buffers": "averaged",
        },
    },
    "kd": {"plain": {"teachers": (TEACHER,)}, "two teachers": {"teachers": (TEACHER, TEACHER.replace(seed=1))}},
    "cwd": {"plain": {"teachers": (TEACHER,)}, "two teachers": {"teachers": (TEACHER, WIDE)}},
    "mgd": {
        "plain": {"teachers": (TEACHER, WIDE)},
        "a lone teacher": {"teachers": (TEACHER,)},
        "as in the code": {
            "teachers": (TEACHER, WIDE),
            "teacher_mode": "train",
            "image_reduction": "sum",
            "cutmix": "boxes",
            "on_padding": True,
        },
        "everything on everything": {
            "teachers": (TEACHER, WIDE, TEACHER.replace(seed=1)),
            "image_on": "both",
            "region_on": "both",
            "image_teacher": "all",
            "region_teacher": "all",
        },
    },
    "structured_consistency": {
        "plain": {},
        "other readings": {
            "relaxation": None,
            "drop": "pixels",
            "pairs": 8,
            "self_pairs": False,
            "similarity_of": "logits",
            "resolution": "features",
            "on_padding": True,
            "one_pass": False,
        },
        "without an average": {"teacher": "student", "validated": "student"},
    },
    "pseudo_label": {"weak": {"pseudo": TEACHER}, "strong": {"pseudo": TEACHER, "strong": True}},
}
# For every field of each method, a value other than the default; a missing field fails.
OTHER: dict[str, dict[str, object]] = {
    "supervised": {},
    "mean_teacher": {"weight": 7.0, "momentum": 0.3, "on_labeled": False, "on_padding": True},
    "cutmix_seg": {
        "weight": 7.0,
        "momentum": 0.3,
        "threshold": confidence_of_a_fresh_network(0.75),
        "confidence_by": "pixel",
        "boxes": Boxes(num_boxes=3),
    },
    "cps": {"weight": 7.0, "cutmix": "boxes", "on_labeled": False, "on_padding": True},
    "mkd": {
        "teaching": "plain",
        "weight_teachers": 7.0,
        "weight_students": 7.0,
        "momentum": 0.3,
        "warmup": "none",
        "teacher_mode": "train",
        "teacher_buffers": "averaged",
        "threshold_teachers": 0.0,
        "threshold_students": confidence_of_a_fresh_network(0.5),
        "confidence": "student",
        "sda": SDA(cutmix=None),
        "fda": None,
        "fda_teachers": True,
        "fda_labeled_first": True,
        "on_labeled": False,
        "on_padding": True,
        "resolution": "image",
        "second_head": PSPNet(channels=12),
    },
    "kd": {
        "teachers": (TEACHER.replace(seed=1),),
        "weight": 7.0,
        "temperature": 3.0,
        "on_unlabeled": False,
        "on_padding": True,
    },
    "cwd": {
        "teachers": (TEACHER.replace(seed=1),),
        "weight": 7.0,
        "temperature": 3.0,
        "on_unlabeled": False,
        "on_padding": True,
    },
    "mgd": {
        "teachers": (WIDE, TEACHER),
        "teacher_mode": "train",
        "weight_pixel": 7.0,
        "weight_image": 7.0,
        "weight_region": 7.0,
        "pixel_on": "labeled",
        "image_on": "both",
        "region_on": "labeled",
        "image_teacher": "last",
        "region_teacher": "all",
        "image_reduction": "sum",
        "regions": (3, 5),
        "cutmix": "boxes",
        "on_padding": True,
    },
    "structured_consistency": {
        "weight_consistency": 7.0,
        "weight_structured": 7.0,
        "boxes": ManyBoxes(num_boxes=20),
        "last_boxes": 8,
        "pairs": 5,
        "drop": "pixels",
        "self_pairs": False,
        "similarity_of": "logits",
        "resolution": "features",
        "on_padding": True,
        "one_pass": False,
        "momentum": 0.3,
        "teacher": "student",
        "validated": "student",
        "relaxation": None,
    },
    "pseudo_label": {"pseudo": TEACHER.replace(seed=2), "weight": 7.0, "strong": True},
}
# An untrained teacher gives every class about 1/6: with these thresholds half of its pixels are confident.
BASE: dict[str, dict[str, object]] = {
    "cutmix_seg": {"threshold": confidence_of_a_fresh_network(0.5)},
    "kd": {"teachers": (TEACHER,)},
    "cwd": {"teachers": (TEACHER,)},
    "mgd": {"teachers": (TEACHER, WIDE)},
    "structured_consistency": {"pairs": 8},  # boxes have six pixels on average: some have more pairs
    "pseudo_label": {"pseudo": TEACHER},
    "mkd": {
        "threshold_teachers": confidence_of_a_fresh_network(0.5),
        "teacher_mode": "eval",
        "teacher_buffers": "copied",
        "fda": FDA(strength=10.0, train_weight=False),
        "on_labeled": True,
    },
}
# MGD's pseudo-labels are hard and weigh as much as labels: two untrained teachers would outvote the labels.
# Structured Consistency's λ_c = 20 holds an untrained student to its own first predictions.
MEMORISES: dict[str, dict[str, object]] = {
    "mgd": {"weight_pixel": 0.1, "weight_region": 1.0},
    "structured_consistency": {"weight_consistency": 1.0},
}
CASES = [(name, variant) for name in METHODS for variant in VARIANTS[name]]
# Trainings that take seconds: the last variant of every method, which has the most parts; the others are `long`.
TRAINED = [
    pytest.param(name, variant, marks=() if variant == list(VARIANTS[name])[-1] else pytest.mark.long)
    for name, variant in CASES
]


def experiment(name: str, changes: dict[str, object]) -> Experiment:
    paths = {f"method.{field}": value for field, value in changes.items()}
    return apply(starting_point(name, "textures"), overrides_of(SIZES | paths, "test"))


def training(trained: Experiment) -> Training:
    resolved = resolve(trained, Places())
    trainer = Training(resolved, places=Places(), runtime=Runtime(device="cpu"), read_weights=fresh_weights(resolved))
    trainer.fetch_masks()
    return trainer


def losses_at(trainer: Training, index: int) -> Losses:
    """Return the losses of one step, after `before_step` and without the optimiser."""
    step = Step(index=index, total=trainer.recipe.steps)
    batch = on_device(
        trainer.plan.micro_batch(index, 0), trainer.plan.views, trainer.recipe.augment, device=trainer.device
    )
    trainer.nets.train()
    trainer.method.before_step(trainer.nets, step)
    return trainer.method.loss(trainer.nets, batch, step)


def total(losses: Losses) -> torch.Tensor:
    return torch.stack([term.weight * term.value for term in losses.terms.values()]).sum()


def trace(trainer: Training, steps: int = 3) -> list[float]:
    """Return the total loss of each of the first steps, with the optimiser."""
    losses: list[float] = []

    class Keep:
        def write_line(self, line): ...

        def save_checkpoint(self, payload, step): ...

        def report_step(self, step, loss):
            losses.append(loss)

    trainer.run(Keep(), stop=lambda: len(losses) >= steps)
    return losses[:steps]


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_terms_are_finite_scalars_and_shares_lie_between_0_and_1(name: str, variant: str) -> None:
    losses = losses_at(training(experiment(name, VARIANTS[name][variant])), 0)
    for term in losses.terms.values():
        assert term.value.shape == () and torch.isfinite(term.value)
    for share in losses.shares.values():
        assert 0 <= float(share.part) <= float(share.whole)


@pytest.mark.parametrize(
    ("name", "variant"),
    [case for case in CASES if experiment(case[0], VARIANTS[case[0]][case[1]]).method.reads_strong()],
)
def test_a_method_carries_labels_to_strong_views_that_move_pixels_or_refuses_these_views(
    name: str, variant: str
) -> None:
    moving = overrides_of({"recipe.augment.strong": "randaugment"}, "test")
    usual = experiment(name, VARIANTS[name][variant])
    if not usual.method.carries_labels:
        with pytest.raises(FieldError, match="must keep pixels in place"):
            apply(usual, moving)
        return
    trainer = training(apply(usual, moving))
    assert trainer.recipe.augment.strong.needs_carrying()
    assert all(torch.isfinite(term.value) for term in losses_at(trainer, 0).terms.values())


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_trained_network_gets_gradient_and_no_other_does(name: str, variant: str) -> None:
    trainer = training(experiment(name, VARIANTS[name][variant]))
    for index in (0, 3):
        trainer.nets.zero_grad(set_to_none=True)
        total(losses_at(trainer, index)).backward()
        idle = trainer.method.idle(Step(index=index, total=trainer.recipe.steps))
        for network, module in trainer.nets.items():
            for parameter_name, parameter in module.named_parameters():
                expected = parameter.requires_grad and network not in idle
                assert (parameter.grad is not None) == expected, (network, parameter_name)
        trained = [module for network, module in trainer.nets.items() if network not in idle]
        assert any(
            parameter.grad.abs().sum() > 0
            for net in trained
            for parameter in net.parameters()
            if parameter.grad is not None
        )


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(name: str, variant: str) -> None:
    original = experiment(name, VARIANTS[name][variant])
    first = trace(training(original))
    assert trace(training(original)) == first
    assert trace(training(original.replace(seed=1))) != first


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_json_round_trip(name: str, variant: str) -> None:
    original = experiment(name, VARIANTS[name][variant])
    assert Experiment.from_json(json.loads(json.dumps(original.to_json()))) == original


@pytest.mark.parametrize("name", METHODS)
def test_no_field_is_dead(name: str) -> None:
    """Every field, changed alone, changes a loss of the first steps, or the network whose result is reported."""
    names = {field.name for field in fields(method_class(name))}
    assert names == set(OTHER[name]), "OTHER must hold another value for every field of the method"
    base = BASE.get(name, {})

    def effect(changes: dict[str, object]) -> tuple[list[float], str]:
        trainer = training(experiment(name, base | changes))
        return trace(trainer), next(iter(trainer.predictors()))

    before = effect({})
    for field, value in OTHER[name].items():
        assert effect({field: value}) != before, f"{name}.{field} changes nothing"


@pytest.mark.parametrize("name", METHODS)
def test_a_weight_of_zero_removes_its_term(name: str) -> None:
    weights = [field.name for field in fields(method_class(name)) if field.name.startswith("weight")]
    for weight in weights:
        base = BASE.get(name, {})
        with_term = set(losses_at(training(experiment(name, base)), 0).terms)
        without = set(losses_at(training(experiment(name, base | {weight: 0})), 0).terms)
        assert without < with_term


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_predictors_give_logits_of_the_images_size(name: str, variant: str) -> None:
    trainer = training(experiment(name, VARIANTS[name][variant]))
    predictors = trainer.predictors()
    trainer.nets.eval()
    assert predictors
    for predictor in predictors.values():
        assert predictor(torch.zeros(2, 3, 18, 22)).shape == (2, 6, 18, 22)


@pytest.mark.parametrize("name", METHODS)
def test_the_method_is_a_checked_value_with_a_docstring_and_a_version(name: str) -> None:
    cls = method_class(name)
    assert issubclass(cls, Method) and cls.name == name and cls.version >= 1 and cls.__doc__
    for field in fields(cls):
        default = getattr(cls(), field.name)
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            with pytest.raises(FieldError):
                cls(**{field.name: -1})


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_the_first_network_and_its_data_are_the_same_for_all_methods_of_a_seed(name: str, variant: str) -> None:
    plain, trainer = training(experiment("supervised", {})), training(experiment(name, VARIANTS[name][variant]))
    first = next(iter(trainer.nets.values()))
    for expected, parameter in zip(plain.nets["student"].parameters(), first.parameters(), strict=True):
        assert torch.equal(parameter, expected)
    a, b = plain.plan.micro_batch(1, 0).labeled, trainer.plan.micro_batch(1, 0).labeled
    assert a.ids == b.ids and torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)


@pytest.mark.parametrize(("name", "variant"), TRAINED)
def test_a_training_memorises_four_images(name: str, variant: str) -> None:
    changes = {
        "recipe.steps": 100,
        "recipe.augment.scales": (1.0, 1.0),
        "recipe.augment.flip": 0,
        "recipe.evaluation.every": 1000,
        "data.split.labeled": "4",
        "net.encoder.width": 16,
    }
    method = VARIANTS[name][variant] | MEMORISES.get(name, {})
    trainer = training(apply(experiment(name, method), overrides_of(changes, "test")))
    losses = trace(trainer, 100)
    labeled = on_device(
        trainer.plan.micro_batch(0, 0), trainer.plan.views, trainer.recipe.augment, device=trainer.device
    ).labeled
    student = copy.deepcopy(next(net for net in trainer.nets.values() if next(net.parameters()).requires_grad)).train()
    right = student(labeled.weak).argmax(1) == labeled.label
    assert right.double().mean() > 0.8, f"losses went from {losses[0]} to {losses[-1]}"


def test_every_method_has_its_variants() -> None:
    assert set(VARIANTS) == set(OTHER) == set(METHODS)
    assert issubclass(method_class("cps"), Value)
