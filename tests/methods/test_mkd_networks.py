"""MKD on small real networks: teachers, statistics, estimators, keys, and its equivalence to CPS."""

from __future__ import annotations

import pytest
import torch
from helpers import QUIET, small

from assay.errors import UserError
from assay.method import Losses, Step
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training
from methods import forward
from methods.cps import CPS

NAMES = ("student1", "student2", "teacher1", "teacher2")


def training(method: str = "mkd", **changes: object) -> Training:
    return Training(resolve(small(method, **changes), Places()), places=Places(), runtime=QUIET)


def losses_of(trainer: Training, index: int = 0) -> Losses:
    raw = trainer.plan.micro_batch(index, 0)
    inputs = on_device(raw, trainer.plan.views, trainer.recipe.augment, device=trainer.device, dtype=trainer.dtype)
    step = Step(index=index, total=trainer.recipe.steps)
    trainer.nets.train()
    trainer.method.before_step(trainer.nets, step)
    return trainer.method.loss(trainer.nets, inputs, step)


@pytest.mark.parametrize("on_labeled", [False, True])
def test_with_every_component_off_mkd_is_cps(on_labeled: bool) -> None:
    off = {"teaching": "none", "sda": None, "resolution": "image", "weight_students": 1.5, "on_labeled": on_labeled}
    mkd = training(**{f"method__{name}": value for name, value in off.items()})
    cps = training("cps", method__weight=1.5, method__on_labeled=on_labeled)
    assert isinstance(cps.method, CPS) and set(mkd.nets) == set(cps.nets)
    for index in (0, 1):
        of_mkd, of_cps = losses_of(mkd, index).terms, losses_of(cps, index).terms
        assert of_mkd["students"].weight == of_cps["cross"].weight
        for name, cps_name in (("supervised1",) * 2, ("supervised2",) * 2, ("students", "cross")):
            torch.testing.assert_close(of_mkd[name].value, of_cps[cps_name].value, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("change", "removed"),
    [
        ({"method__weight_students": 0}, {"students"}),
        ({"method__weight_teachers": 0}, {"teachers"}),
        ({"method__teaching": "none"}, {"teachers"}),
        ({"method__weight_students": 0, "method__weight_teachers": 0}, {"students", "teachers"}),
    ],
)
def test_turning_a_component_off_removes_exactly_its_term(change: dict[str, object], removed: set[str]) -> None:
    whole, without = losses_of(training()).terms, losses_of(training(**change)).terms
    assert set(whole) - set(without) == removed
    for name, term in without.items():
        assert torch.equal(term.value, whole[name].value) and term.weight == whole[name].weight


def test_teachers_equal_their_students_in_the_first_step_and_average_them_in_the_third() -> None:
    trainer = training()
    for parameter in trainer.nets["student1"].parameters():
        parameter.data.add_(1.0)
    trainer.method.before_step(trainer.nets, Step(index=0, total=9))
    pairs = list(zip(trainer.nets["teacher1"].parameters(), trainer.nets["student1"].parameters(), strict=True))
    assert all(torch.equal(teacher, student) for teacher, student in pairs)
    before = [teacher.clone() for teacher, _ in pairs]
    for parameter in trainer.nets["student1"].parameters():
        parameter.data.mul_(3.0)
    trainer.method.before_step(trainer.nets, Step(index=2, total=9))
    for old, (teacher, student) in zip(before, pairs, strict=True):
        torch.testing.assert_close(teacher, 0.6 * old + 0.4 * student)


def test_teachers_are_updated_before_the_loss_and_students_after_it() -> None:
    """Algorithm 1: at the end of a step the teacher lacks the student's last update."""
    trainer = training(recipe__steps=1, method__threshold_teachers=0.0)
    first = [parameter.clone() for parameter in trainer.nets["student1"].parameters()]
    trainer.run(_NoRecorder())
    assert all(torch.equal(a, b) for a, b in zip(first, trainer.nets["teacher1"].parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, trainer.nets["student1"].parameters(), strict=True))


class _NoRecorder:
    def write_line(self, line): ...

    def save_checkpoint(self, payload, step): ...

    def report_step(self, step, loss): ...


@pytest.mark.parametrize(("buffers", "share"), [("copied", 1.0), ("averaged", 0.4)])
def test_teachers_in_eval_mode_use_their_students_statistics(buffers: str, share: float) -> None:
    trainer = training(method__teacher_mode="eval", method__teacher_buffers=buffers)
    for _ in range(3):
        losses_of(trainer)  # changes the students' statistics
    before = {name: value.clone() for name, value in trainer.nets["teacher1"].named_buffers()}
    trainer.method.before_step(trainer.nets, Step(index=9, total=12))
    of_student = dict(trainer.nets["student1"].named_buffers())
    for name, value in trainer.nets["teacher1"].named_buffers():
        if name.endswith("running_mean"):
            torch.testing.assert_close(value, (1 - share) * before[name] + share * of_student[name])
    after = [value.clone() for value in trainer.nets["teacher1"].buffers()]
    inputs = on_device(
        trainer.plan.micro_batch(0, 0), trainer.plan.views, trainer.recipe.augment, device=trainer.device
    )
    trainer.nets.train()
    trainer.method.loss(trainer.nets, inputs, Step(index=9, total=12))
    assert all(torch.equal(a, b) for a, b in zip(after, trainer.nets["teacher1"].buffers(), strict=True))


def test_teachers_in_train_mode_have_their_own_statistics() -> None:
    trainer = training()
    losses_of(trainer)
    statistics = dict(trainer.nets["teacher1"].named_buffers())
    assert any(value.abs().sum() > 0 for name, value in statistics.items() if name.endswith("running_mean"))
    of_student = dict(trainer.nets["student1"].named_buffers())
    assert not all(torch.equal(value, of_student[name]) for name, value in statistics.items())


FROZEN = {"net__batch_norm__frozen": True}
EVAL = {"method__teacher_mode": "eval", "method__teacher_buffers": "copied"}
ON_LABELED = {"method__on_labeled": True}
PSPNET = {"method__second_head": "pspnet"}  # has dropout, which is on in its student alone


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, (2, 2, 1, 1)),
        (ON_LABELED, (2, 2, 2, 2)),
        (EVAL, (2, 2, 1, 1)),
        (EVAL | ON_LABELED, (2, 2, 1, 1)),
        (FROZEN, (1, 1, 1, 1)),
        (FROZEN | ON_LABELED, (1, 1, 1, 1)),
        (EVAL | ON_LABELED | PSPNET, (2, 2, 1, 1)),
        (FROZEN | EVAL | ON_LABELED | PSPNET, (1, 2, 1, 1)),
        (FROZEN | PSPNET | {"method__second_head__dropout": 0.0}, (1, 1, 1, 1)),
        (FROZEN | {"method__weight_students": 0, "method__weight_teachers": 0}, (1, 1)),
    ],
)
def test_a_network_makes_two_passes_only_with_batch_statistics_or_dropout(
    changes: dict[str, object], passes: tuple[int, ...]
) -> None:
    trainer = training(**changes)
    calls = dict.fromkeys((name for name in NAMES if name in trainer.nets), 0)
    for name in calls:
        # The encoder: a method calls `features`, never the whole network.
        trainer.nets[name].encoder.register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
    losses_of(trainer)
    assert tuple(calls.values()) == passes


def test_teachers_run_without_a_graph_for_gradients() -> None:
    trainer = training(**ON_LABELED)
    for parameter in trainer.nets.parameters():
        parameter.requires_grad_(True)  # so that the method alone decides
    tracked = {name: [] for name in NAMES}
    for name in NAMES:
        trainer.nets[name].encoder.register_forward_hook(
            lambda *arguments, name=name: tracked[name].append(arguments[2][1].grad_fn)
        )
    losses_of(trainer)
    assert all(function is not None for name in NAMES[:2] for function in tracked[name])
    assert all(function is None for name in NAMES[2:] for function in tracked[name])


@pytest.mark.parametrize("changes", [FROZEN | ON_LABELED, EVAL | ON_LABELED, FROZEN | EVAL | ON_LABELED])
def test_one_pass_gives_the_losses_gradients_and_statistics_of_two(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    double = {"recipe__precision": "float64", "method__fda": "fda", "method__fda_teachers": True}
    results = []
    for one_pass in (True, False):
        if not one_pass:
            monkeypatch.setattr(forward, "is_batch_independent", lambda net: False)
        trainer = training(**double, **changes, method__threshold_teachers=0.2, method__threshold_students=0.2)
        terms = losses_of(trainer, 3).terms
        sum(term.weight * term.value for term in terms.values()).backward()
        gradients = {
            name: parameter.grad for name, parameter in trainer.nets.named_parameters() if parameter.grad is not None
        }
        results.append(
            ({name: term.value for name, term in terms.items()}, gradients, dict(trainer.nets.named_buffers()))
        )
    assert results[0][0].keys() == {"supervised1", "supervised2", "teachers", "students"}
    torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-12)


def test_a_teacher_in_eval_mode_with_constant_statistics_is_refused() -> None:
    with pytest.raises(UserError, match="teacher_buffers must be copied or averaged"):
        small("mkd", method__teacher_mode="eval")


def test_a_strong_augmentation_that_does_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="sda must do something"):
        small("mkd", method__sda__photometric=False, method__sda__cutmix=None)


@pytest.mark.parametrize("path", ["net.head", "method.second_head"])
def test_fda_with_a_head_without_one_weight_vector_per_class_is_refused_before_training(path: str) -> None:
    heads = {path.replace(".", "__"): "deeplabv2"}
    with pytest.raises(UserError, match=rf"method\.fda needs a head .* 1x1 convolution, got {path}=deeplabv2"):
        resolve(small("mkd", method__fda="fda", **heads), Places())
    resolve(small("mkd", **heads), Places())


def test_heterogeneous_branches_have_different_heads_and_widths_of_features() -> None:
    changes = {"method__second_head": "pspnet", "method__second_head__channels": 12, "method__fda": "fda"}
    trainer = training(**changes, method__fda_teachers=True, method__threshold_teachers=0.0)
    terms = losses_of(trainer, 3).terms
    assert set(terms) == {"supervised1", "supervised2", "teachers", "students"}
    assert (
        trainer.nets["teacher2"].spec.head.name == "pspnet"
        and trainer.nets["student1"].spec.head.name == "deeplabv3plus"
    )
    assert [trainer.nets[f"{name}_scatter"].mean.shape[1] for name in NAMES] == [16, 12, 16, 12]
    assert all(trainer.nets[f"{name}_scatter"].count.sum() > 0 for name in NAMES)


def test_padding_and_ignored_labels_never_enter_the_estimators() -> None:
    trainer = training(method__fda="fda", recipe__augment__scales=(0.5, 0.5), method__resolution="features")
    losses_of(trainer)
    raw = trainer.plan.micro_batch(0, 0)
    collected = trainer.nets["student1_scatter"].count.sum()
    all_cells = 2 * 4 * 8 * 8  # labelled and unlabelled images, cells of the features
    valid = [images.valid.double().mean().item() for images in (raw.labeled, raw.unlabeled[0])]
    assert max(valid) < 0.5
    assert int(collected) < 0.5 * all_cells


def test_checkpoints_hold_the_estimators() -> None:
    trainer, other = training(method__fda="fda"), training(method__fda="fda")
    losses_of(trainer)
    other.load_state(trainer.state())
    for name in ("mean", "covariance", "count"):
        saved, loaded = (getattr(run.nets["student1_scatter"], name) for run in (trainer, other))
        assert torch.equal(saved, loaded) and saved.abs().sum() > 0


def key(**changes: object) -> str:
    return resolve(small("mkd", **{f"method__{name}": value for name, value in changes.items()}), Places()).key


OFF = {"weight_students": 0.0, "teaching": "none"}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"teaching": "none"}, {"weight_teachers": 3.0}),
        ({"teaching": "none"}, {"momentum": 0.9, "warmup": "none", "teacher_buffers": "copied"}),
        ({"teaching": "none"}, {"threshold_teachers": 0.5, "confidence": "student"}),
        ({"teaching": "none", "fda": "fda"}, {"fda_teachers": True}),
        ({"weight_teachers": 0.0}, {"teaching": "none", "weight_teachers": 1.0}),
        ({"weight_students": 0.0}, {"threshold_students": 0.5}),
        ({"threshold_teachers": 0.0}, {"confidence": "student"}),
        ({}, {"fda_teachers": True}),
        ({"fda": "fda"}, {"fda_labeled_first": True}),
        ({"on_labeled": True}, {"fda_labeled_first": True}),
        (OFF, {"sda": None, "on_labeled": True, "on_padding": True, "resolution": "image", "fda": "fda"}),
    ],
)
def test_fields_without_effect_are_not_in_the_key(base: dict[str, object], change: dict[str, object]) -> None:
    assert key(**base) == key(**(base | change))


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"weight_teachers": 3.0}),
        ({}, {"confidence": "student"}),
        ({"fda": "fda"}, {"fda_teachers": True}),
        ({"fda": "fda", "on_labeled": True}, {"fda_labeled_first": True}),
        ({}, {"on_padding": True}),
        ({}, {"teaching": "none"}),
    ],
)
def test_fields_with_an_effect_are_in_the_key(base: dict[str, object], change: dict[str, object]) -> None:
    assert key(**base) != key(**(base | change))


def test_without_losses_on_unlabelled_images_none_are_read() -> None:
    trainer = training(**{f"method__{name}": value for name, value in OFF.items()})
    assert not trainer.plan.unlabeled and set(trainer.nets) == {"student1", "student2"}
