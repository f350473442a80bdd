"""MKD on small real networks: teachers, statistics, estimators, keys, and what it is with components off."""

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


def losses_of(of: Training, index: int = 0) -> Losses:
    raw = of.plan.micro_batch(index, 0)
    given = on_device(raw, of.plan.views, of.recipe.augment, device=of.device, dtype=of.dtype)
    step = Step(index=index, total=of.recipe.steps)
    of.nets.train()
    of.method.before_step(of.nets, step)
    return of.method.loss(of.nets, given, step)


@pytest.mark.parametrize("on_labeled", [False, True])
def test_with_everything_off_it_is_cps(on_labeled: bool) -> None:
    off = {"teaching": "none", "sda": None, "resolution": "image", "weight_students": 1.5, "on_labeled": on_labeled}
    mkd = training(**{f"method__{name}": value for name, value in off.items()})
    cps = training("cps", method__weight=1.5, method__on_labeled=on_labeled)
    assert isinstance(cps.method, CPS) and set(mkd.nets) == set(cps.nets)
    for index in (0, 1):
        ours, theirs = losses_of(mkd, index).terms, losses_of(cps, index).terms
        assert ours["students"].weight == theirs["cross"].weight
        for mine, its in (("supervised1",) * 2, ("supervised2",) * 2, ("students", "cross")):
            torch.testing.assert_close(ours[mine].value, theirs[its].value, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"method__weight_students": 0}, {"students"}),
        ({"method__weight_teachers": 0}, {"teachers"}),
        ({"method__teaching": "none"}, {"teachers"}),
        ({"method__weight_students": 0, "method__weight_teachers": 0}, {"students", "teachers"}),
    ],
)
def test_turning_a_component_off_removes_exactly_its_term(change: dict[str, object], gone: set[str]) -> None:
    whole, without = losses_of(training()).terms, losses_of(training(**change)).terms
    assert set(whole) - set(without) == gone
    for name, each in without.items():
        assert torch.equal(each.value, whole[name].value) and each.weight == whole[name].weight


def test_the_first_step_begins_with_teachers_equal_to_their_students_and_the_third_averages() -> None:
    of = training()
    for parameter in of.nets["student1"].parameters():
        parameter.data.add_(1.0)
    of.method.before_step(of.nets, Step(index=0, total=9))
    pairs = list(zip(of.nets["teacher1"].parameters(), of.nets["student1"].parameters(), strict=True))
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    before = [mine.clone() for mine, _ in pairs]
    for parameter in of.nets["student1"].parameters():
        parameter.data.mul_(3.0)
    of.method.before_step(of.nets, Step(index=2, total=9))
    for old, (mine, theirs) in zip(before, pairs, strict=True):
        torch.testing.assert_close(mine, 0.6 * old + 0.4 * theirs)


def test_teachers_move_before_the_loss_and_students_after_it() -> None:
    """Algorithm 1: at the end of a step the teacher is behind the student by one update."""
    of = training(recipe__steps=1, method__threshold_teachers=0.0)
    first = [parameter.clone() for parameter in of.nets["student1"].parameters()]
    of.run(_Silent())
    assert all(torch.equal(a, b) for a, b in zip(first, of.nets["teacher1"].parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, of.nets["student1"].parameters(), strict=True))


class _Silent:
    def write_line(self, line): ...

    def save_checkpoint(self, payload, step): ...

    def report_step(self, step, loss): ...


@pytest.mark.parametrize(("buffers", "share"), [("copied", 1.0), ("averaged", 0.4)])
def test_teachers_in_eval_mode_use_their_students_statistics(buffers: str, share: float) -> None:
    of = training(method__teacher_mode="eval", method__teacher_buffers=buffers)
    for _ in range(3):
        losses_of(of)  # moves the students' statistics
    mine = {name: value.clone() for name, value in of.nets["teacher1"].named_buffers()}
    of.method.before_step(of.nets, Step(index=9, total=12))
    theirs = dict(of.nets["student1"].named_buffers())
    for name, value in of.nets["teacher1"].named_buffers():
        if name.endswith("running_mean"):
            torch.testing.assert_close(value, (1 - share) * mine[name] + share * theirs[name])
    after = [value.clone() for value in of.nets["teacher1"].buffers()]
    given = on_device(of.plan.micro_batch(0, 0), of.plan.views, of.recipe.augment, device=of.device)
    of.nets.train()
    of.method.loss(of.nets, given, Step(index=9, total=12))
    assert all(torch.equal(a, b) for a, b in zip(after, of.nets["teacher1"].buffers(), strict=True))


def test_teachers_in_train_mode_keep_statistics_of_their_own() -> None:
    of = training()
    losses_of(of)
    statistics = dict(of.nets["teacher1"].named_buffers())
    assert any(value.abs().sum() > 0 for name, value in statistics.items() if name.endswith("running_mean"))
    theirs = dict(of.nets["student1"].named_buffers())
    assert not all(torch.equal(value, theirs[name]) for name, value in statistics.items())


FROZEN = {"net__batch_norm__frozen": True}
EVAL = {"method__teacher_mode": "eval", "method__teacher_buffers": "copied"}
ON_LABELED = {"method__on_labeled": True}
PSPNET = {"method__second_head": "pspnet"}  # has dropout, in its student alone


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
def test_a_network_is_passed_twice_only_where_batch_statistics_or_dropout_ask_for_it(
    changes: dict[str, object], passes: tuple[int, ...]
) -> None:
    of = training(**changes)
    calls = dict.fromkeys((name for name in NAMES if name in of.nets), 0)
    for name in calls:
        # The encoder: a method asks for `features`, never for the whole network's forward.
        of.nets[name].encoder.register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
    losses_of(of)
    assert tuple(calls.values()) == passes


def test_no_teacher_keeps_what_a_backward_pass_would_need() -> None:
    of = training(**ON_LABELED)
    for parameter in of.nets.parameters():
        parameter.requires_grad_(True)  # so that only the method itself can do without
    tracked = {name: [] for name in NAMES}
    for name in NAMES:
        of.nets[name].encoder.register_forward_hook(lambda *given, name=name: tracked[name].append(given[2][1].grad_fn))
    losses_of(of)
    assert all(function is not None for name in NAMES[:2] for function in tracked[name])
    assert all(function is None for name in NAMES[2:] for function in tracked[name])


@pytest.mark.parametrize("changes", [FROZEN | ON_LABELED, EVAL | ON_LABELED, FROZEN | EVAL | ON_LABELED])
def test_one_pass_gives_the_losses_gradients_and_statistics_of_two(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    double = {"recipe__precision": "float64", "method__fda": "fda", "method__fda_teachers": True}
    found = []
    for once in (True, False):
        if not once:
            monkeypatch.setattr(forward, "is_batch_independent", lambda net: False)
        of = training(**double, **changes, method__threshold_teachers=0.2, method__threshold_students=0.2)
        terms = losses_of(of, 3).terms
        sum(each.weight * each.value for each in terms.values()).backward()
        gradients = {
            name: parameter.grad for name, parameter in of.nets.named_parameters() if parameter.grad is not None
        }
        found.append(({name: each.value for name, each in terms.items()}, gradients, dict(of.nets.named_buffers())))
    assert found[0][0].keys() == {"supervised1", "supervised2", "teachers", "students"}
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)


def test_a_teacher_in_eval_mode_with_statistics_that_never_move_is_refused() -> None:
    with pytest.raises(UserError, match="teacher_buffers must be copied or averaged"):
        small("mkd", method__teacher_mode="eval")


def test_a_strong_augmentation_that_does_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="sda must do something"):
        small("mkd", method__sda__photometric=False, method__sda__cutmix=None)


@pytest.mark.parametrize("path", ["net.head", "method.second_head"])
def test_fda_is_refused_where_the_plan_resolves_if_there_is_no_weight_vector_for_each_class(path: str) -> None:
    heads = {path.replace(".", "__"): "deeplabv2"}
    with pytest.raises(UserError, match=rf"method\.fda needs a head .* 1x1 convolution, got {path}=deeplabv2"):
        resolve(small("mkd", method__fda="fda", **heads), Places())
    resolve(small("mkd", **heads), Places())


def test_heterogeneous_branches_have_their_own_head_and_their_own_width_of_features() -> None:
    changes = {"method__second_head": "pspnet", "method__second_head__channels": 12, "method__fda": "fda"}
    of = training(**changes, method__fda_teachers=True, method__threshold_teachers=0.0)
    terms = losses_of(of, 3).terms
    assert set(terms) == {"supervised1", "supervised2", "teachers", "students"}
    assert of.nets["teacher2"].spec.head.name == "pspnet" and of.nets["student1"].spec.head.name == "deeplabv3plus"
    assert [of.nets[f"{name}_scatter"].mean.shape[1] for name in NAMES] == [16, 12, 16, 12]
    assert all(of.nets[f"{name}_scatter"].count.sum() > 0 for name in NAMES)


def test_padding_and_unknown_labels_never_enter_the_estimators() -> None:
    of = training(method__fda="fda", recipe__augment__scales=(0.5, 0.5), method__resolution="features")
    losses_of(of)
    raw = of.plan.micro_batch(0, 0)
    cells = of.nets["student1_scatter"].count.sum()
    every = 2 * 4 * 8 * 8  # labelled and unlabelled images, cells of the features
    valid = [each.valid.double().mean().item() for each in (raw.labeled, raw.unlabeled[0])]
    assert max(valid) < 0.5
    assert int(cells) < 0.5 * every


def test_checkpoints_hold_the_estimators() -> None:
    of, other = training(method__fda="fda"), training(method__fda="fda")
    losses_of(of)
    other.load_state(of.state())
    for name in ("mean", "covariance", "count"):
        mine, theirs = (getattr(each.nets["student1_scatter"], name) for each in (of, other))
        assert torch.equal(mine, theirs) and mine.abs().sum() > 0


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
        (OFF, {"sda": None, "on_labeled": True, "resolution": "image", "fda": "fda"}),
    ],
)
def test_fields_without_effect_take_no_part_in_the_key(base: dict[str, object], change: dict[str, object]) -> None:
    assert key(**base) == key(**(base | change))


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"weight_teachers": 3.0}),
        ({}, {"confidence": "student"}),
        ({"fda": "fda"}, {"fda_teachers": True}),
        ({}, {"teaching": "none"}),
    ],
)
def test_fields_with_an_effect_do(base: dict[str, object], change: dict[str, object]) -> None:
    assert key(**base) != key(**(base | change))


def test_without_losses_on_unlabelled_images_none_are_read() -> None:
    of = training(**{f"method__{name}": value for name, value in OFF.items()})
    assert not of.plan.unlabeled and set(of.nets) == {"student1", "student2"}
