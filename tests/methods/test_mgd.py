"""MGD by hand: networks whose features and logits are what their images hold, one switch at a time."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import QUIET, fresh_weights, small
from torch import nn

from assay.data.batch import Batch, BoxMaps, Labeled, Unlabeled
from assay.errors import UserError
from assay.experiment import Experiment
from assay.method import Losses, Step
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import on_device
from assay.training.loop import Training
from methods.losses import image_semantic, pixel_ce, region_content
from methods.mgd import MGD

Pixels = list[tuple[float, float]]  # both classes' logits of four pixels, row by row
IGNORE = 255
LABEL = [[[0, 1], [1, IGNORE]]]
# What the student, a first and a second teacher find in an image, each in two channels of its own.
KNOWN: list[Pixels] = [
    [(2, 0), (0, 1), (1, -1), (0, 3)],
    [(1, 2), (3, 1), (-1, 1), (0, -2)],
    [(2, 1), (1, 2), (4, 1), (1, 3)],
]
NEW: list[Pixels] = [
    [(1, 0), (0, 2), (1, 1), (-1, 3)],
    [(2, 1), (-2, 1), (0, 3), (1, 0)],
    [(0, 1), (3, 1), (1, 0), (-1, -2)],
]
NEWER: list[Pixels] = [
    [(0, -1), (1, 2), (2, 1), (3, 3.5)],
    [(1, 5), (2, 1), (1, 3), (9.5, 0)],
    [(3, 1), (1, 4), (-1, 0), (2, -2)],
]
TWO = (Experiment(method="supervised"), Experiment(method="supervised", seed=1))
EVERYWHERE = {"pixel_on": "both", "image_on": "both", "region_on": "both"}


class Looks(nn.Module):
    """Features and logits are two channels of the image; it notes in which mode, and with which gradients, it looks."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first
        self.seen: list[tuple[bool, bool]] = []

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, torch.is_grad_enabled()))
        return images[:, self.first : self.first + 2]

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return features


class Compares(Looks):
    """What it finds at a pixel depends on the rest of the image, so that a mixed image is not a mix of two."""

    def features(self, images: torch.Tensor) -> torch.Tensor:
        found = super().features(images)
        return found - found.mean((2, 3), keepdim=True)


def networks(teachers: int, kind: type[Looks] = Looks) -> nn.ModuleDict:
    return nn.ModuleDict({"student": kind(0)} | {f"teacher{index}": kind(2 + 2 * index) for index in range(teachers)})


def image(found: list[Pixels]) -> torch.Tensor:
    channels = [[pixel[c] for pixel in by] for by in found for c in range(2)]
    return torch.tensor(channels, dtype=torch.float64).view(1, -1, 2, 2)


def stream(*found: list[Pixels], valid: list[list[list[bool]]] | None = None) -> Unlabeled:
    shape = (len(found), 2, 2)
    return Unlabeled(
        weak=torch.cat([image(each) for each in found]),
        strong=(),
        valid=torch.ones(shape, dtype=torch.bool) if valid is None else torch.tensor(valid),
        truth=torch.zeros(shape, dtype=torch.int64),
    )


def batch(*unlabeled: Unlabeled, mask: list[list[list[bool]]] | None = None) -> Batch:
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)
    return Batch(
        labeled=Labeled(weak=image(KNOWN), label=torch.tensor(LABEL), valid=everywhere),
        unlabeled=unlabeled or (stream(NEW),),
        boxes=None if mask is None else BoxMaps(mask=torch.tensor(mask), owner=torch.zeros(1, 2, 2)),
    )


def losses(given: Batch | None = None, *, nets: nn.ModuleDict | None = None, **changes: object) -> Losses:
    method = MGD(**({"teachers": TWO, "regions": (2, 2)} | changes))
    nets = nets or networks(len(method.teachers))
    return method.loss(nets, given or batch(), Step(index=0, total=4))


def term(found: Losses, name: str) -> float:
    return found.terms[name].value.item()


def ce(mine: Pixels, labels: list[int]) -> float:
    return sum(math.log(math.exp(a) + math.exp(b)) - (a, b)[of] for (a, b), of in zip(mine, labels, strict=True)) / len(
        mine
    )


def best(pixels: Pixels) -> list[int]:
    return [int(b > a) for a, b in pixels]


def image_distance(mine: Pixels, theirs: Pixels) -> float:
    """Eq. 4 for two classes."""
    return sum(abs(sum(p[c] for p in mine) - sum(p[c] for p in theirs)) / len(mine) for c in range(2)) / 2


def region_distance(mine: Pixels, theirs: Pixels) -> float:
    """Eq. 6 where every pixel is a region."""

    def cosine(p: tuple[float, float], q: tuple[float, float]) -> float:
        return (p[0] * q[0] + p[1] * q[1]) / math.sqrt((p[0] ** 2 + p[1] ** 2) * (q[0] ** 2 + q[1] ** 2))

    at = range(len(mine))
    return sum((cosine(mine[i], mine[j]) - cosine(theirs[i], theirs[j])) ** 2 for i in at for j in at) / len(mine) ** 2


def test_the_supervised_loss_is_eq_1() -> None:
    assert term(losses(), "supervised") == pytest.approx(ce(KNOWN[0][:3], [0, 1, 1]))


def test_both_teachers_pseudo_labels_are_learned_by_eq_2() -> None:
    assert best(KNOWN[1]) == [1, 0, 1, 0] and best(KNOWN[2]) == [0, 1, 0, 1]
    known, new = (ce(by[0], best(by[1])) + ce(by[0], best(by[2])) for by in (KNOWN, NEW))
    assert term(losses(), "pixel_labeled") == pytest.approx(known)
    assert term(losses(), "pixel_unlabeled") == pytest.approx(new)


@pytest.mark.parametrize(("whose", "who"), [("first", [1]), ("last", [2]), ("all", [1, 2])])
def test_the_image_level_loss_is_eq_4_from_either_teacher_or_both(whose: str, who: list[int]) -> None:
    found = losses(image_teacher=whose)
    assert term(found, "image_unlabeled") == pytest.approx(sum(image_distance(NEW[0], NEW[each]) for each in who))
    assert term(found, "region_unlabeled") == term(losses(), "region_unlabeled")


@pytest.mark.parametrize(("whose", "who"), [("first", [1]), ("last", [2]), ("all", [1, 2])])
def test_the_region_level_loss_is_eq_6_from_either_teacher_or_both(whose: str, who: list[int]) -> None:
    found = losses(region_teacher=whose)
    assert term(found, "region_unlabeled") == pytest.approx(sum(region_distance(NEW[0], NEW[each]) for each in who))
    assert term(found, "image_unlabeled") == term(losses(), "image_unlabeled")


def test_by_default_the_first_teacher_gives_eq_4_and_the_last_one_eq_6() -> None:
    assert losses().terms.keys() == losses(image_teacher="first", region_teacher="last").terms.keys()
    assert term(losses(), "image_unlabeled") == term(losses(image_teacher="first"), "image_unlabeled")
    assert term(losses(), "region_unlabeled") == term(losses(region_teacher="last"), "region_unlabeled")


def test_eq_7_weighs_them() -> None:
    weights = {name: each.weight for name, each in losses().terms.items()}
    assert weights == {
        "supervised": 1.0,
        "pixel_labeled": 1.0,
        "pixel_unlabeled": 1.0,
        "image_unlabeled": 0.002,
        "region_unlabeled": 100.0,
    }
    changed = losses(weight_pixel=2.0, weight_image=3.0, weight_region=4.0, **EVERYWHERE)
    assert [each.weight for each in changed.terms.values()].count(2.0) == 2
    assert [each.weight for each in changed.terms.values()].count(3.0) == 2
    assert [each.weight for each in changed.terms.values()].count(4.0) == 2


@pytest.mark.parametrize("whose", ["first", "last", "all"])
def test_a_lone_teacher_gives_all_three(whose: str) -> None:
    found = losses(teachers=TWO[:1], image_teacher=whose, region_teacher=whose)
    assert term(found, "pixel_unlabeled") == pytest.approx(ce(NEW[0], best(NEW[1])))
    assert term(found, "image_unlabeled") == pytest.approx(image_distance(NEW[0], NEW[1]))
    assert term(found, "region_unlabeled") == pytest.approx(region_distance(NEW[0], NEW[1]))


def test_three_teachers_are_added_up() -> None:
    third = [(0, 1), (1, 3), (-1, 2), (2, 1)]
    given = batch(stream([*NEW, third]))
    given = Batch(
        labeled=Labeled(weak=image([*KNOWN, third]), label=given.labeled.label, valid=given.labeled.valid),
        unlabeled=given.unlabeled,
    )
    found = losses(given, teachers=(*TWO, TWO[0].replace(seed=2)), image_teacher="all")
    assert term(found, "pixel_unlabeled") == pytest.approx(sum(ce(NEW[0], best(by)) for by in (*NEW[1:], third)))
    assert term(found, "image_unlabeled") == pytest.approx(sum(image_distance(NEW[0], by) for by in (*NEW[1:], third)))
    assert term(found, "region_unlabeled") == pytest.approx(region_distance(NEW[0], third))


@pytest.mark.parametrize("level", ["pixel", "image", "region"])
@pytest.mark.parametrize(("on", "kinds"), [("labeled", {"labeled"}), ("unlabeled", {"unlabeled"}), ("both", None)])
def test_each_loss_is_on_where_it_is_asked_for_and_changes_no_other(
    level: str, on: str, kinds: set[str] | None
) -> None:
    whole, found = losses(**EVERYWHERE), losses(**(EVERYWHERE | {f"{level}_on": on}))
    gone = {f"{level}_{kind}" for kind in {"labeled", "unlabeled"} - (kinds or {"labeled", "unlabeled"})}
    assert set(whole.terms) - set(found.terms) == gone
    assert all(torch.equal(each.value, whole.terms[name].value) for name, each in found.terms.items())


@pytest.mark.parametrize("level", ["pixel", "image", "region"])
def test_a_weight_of_zero_removes_exactly_its_terms(level: str) -> None:
    whole, found = losses(**EVERYWHERE), losses(**EVERYWHERE, **{f"weight_{level}": 0.0})
    assert set(whole.terms) - set(found.terms) == {f"{level}_labeled", f"{level}_unlabeled"}
    assert all(torch.equal(each.value, whole.terms[name].value) for name, each in found.terms.items())


def test_image_and_region_level_losses_on_labelled_images() -> None:
    found = losses(**EVERYWHERE)
    assert term(found, "image_labeled") == pytest.approx(image_distance(KNOWN[0], KNOWN[1]))
    assert term(found, "region_labeled") == pytest.approx(region_distance(KNOWN[0], KNOWN[2]))


def test_the_codes_eq_4_adds_up_classes_and_images() -> None:
    given = batch(stream(NEW, NEWER))
    first, second = (image_distance(each[0], each[1]) for each in (NEW, NEWER))
    assert term(losses(given), "image_unlabeled") == pytest.approx((first + second) / 2)
    assert term(losses(given, image_reduction="sum"), "image_unlabeled") == pytest.approx(2 * (first + second))


def test_regions_are_counted_by_height_and_width() -> None:
    rows = [[((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in (by[:2], by[2:])] for by in NEW]
    columns = [[((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in (by[::2], by[1::2])] for by in NEW]
    assert term(losses(regions=(2, 1)), "region_unlabeled") == pytest.approx(region_distance(rows[0], rows[2]))
    assert term(losses(regions=(1, 2)), "region_unlabeled") == pytest.approx(region_distance(columns[0], columns[2]))


def test_padding_takes_no_part_unless_the_code_is_followed() -> None:
    padded = batch(stream(NEW, valid=[[[True, True], [True, False]]]))
    found = losses(padded)
    s, d, w = (by[:3] for by in NEW)
    assert term(found, "pixel_unlabeled") == pytest.approx(ce(s, best(d)) + ce(s, best(w)))
    assert term(found, "image_unlabeled") == pytest.approx(image_distance(s, d))
    assert term(found, "region_unlabeled") == pytest.approx(region_distance(s, w))
    whole, trained = losses(), losses(padded, on_padding=True)
    assert all(torch.equal(each.value, whole.terms[name].value) for name, each in trained.terms.items())


MASK = [[[True, True], [False, False]]]


def test_with_cutmix_pseudo_labels_are_of_the_unmixed_images_and_the_rest_of_the_mixed_one() -> None:
    own, partner = stream(NEW), stream(NEWER)
    found = losses(batch(own, partner, mask=MASK), nets=networks(2, Compares), cutmix="boxes")
    mask = torch.tensor(MASK)
    mixed = torch.where(mask.unsqueeze(1), partner.weak, own.weak)
    student, deep, wide = (Compares(first).features(mixed) for first in (0, 2, 4))
    labels = [
        torch.where(mask, *(Compares(first).features(each.weak).argmax(1) for each in (partner, own)))
        for first in (2, 4)
    ]
    assert not torch.equal(labels[0], deep.argmax(1))
    expected = {
        "pixel_unlabeled": pixel_ce(student, labels[0]) + pixel_ce(student, labels[1]),
        "image_unlabeled": image_semantic(student, deep),
        "region_unlabeled": region_content(student, wide, size=(2, 2)),
    }
    for name, value in expected.items():
        torch.testing.assert_close(found.terms[name].value, value)


def test_with_cutmix_padding_is_where_the_mixed_image_shows_some() -> None:
    valid = [[[False, True], [True, True]]], [[[True, True], [True, False]]]
    own, partner = (stream(by, valid=each) for by, each in zip((NEW, NEWER), valid, strict=True))
    found = losses(batch(own, partner, mask=MASK), cutmix="boxes")  # the partner above, none of the padding shows
    s, d, w = ([*NEWER[at][:2], *NEW[at][2:]] for at in range(3))
    assert term(found, "pixel_unlabeled") == pytest.approx(ce(s, best(d)) + ce(s, best(w)))
    assert term(found, "image_unlabeled") == pytest.approx(image_distance(s, d))


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ({}, 2, 2),
        ({"cutmix": "boxes"}, 4, 4),  # labelled, two unmixed, mixed
        ({"cutmix": "boxes", "weight_image": 0.0}, 3, 4),
        ({"cutmix": "boxes", "weight_pixel": 0.0}, 1, 1),
        ({"weight_pixel": 0.0, "image_teacher": "last"}, 0, 1),
        ({"pixel_on": "labeled", **{f"weight_{level}": 0.0 for level in ("image", "region")}}, 1, 1),
    ],
)
def test_teachers_look_at_each_image_once_and_only_where_asked(
    changes: dict[str, object], first: int, last: int
) -> None:
    given = batch(stream(NEW), stream(NEWER), mask=MASK) if "cutmix" in changes else batch()
    nets = networks(2)
    losses(given, nets=nets, **changes)
    assert [len(nets[f"teacher{index}"].seen) for index in range(2)] == [first, last]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_teachers_look_in_their_mode_and_without_gradient(mode: str) -> None:
    nets = networks(2).train(mode == "eval")  # the other one before the step
    losses(nets=nets, teacher_mode=mode)
    for index in range(2):
        assert set(nets[f"teacher{index}"].seen) == {(mode == "train", False)}
    assert {grads for _, grads in nets["student"].seen} == {True}


def test_the_teachers_accuracy_is_that_of_their_pseudo_labels() -> None:
    shares = losses().shares  # the truth is 0 everywhere
    counts = {name: (int(each.part), int(each.whole)) for name, each in shares.items()}
    assert counts == {"teacher0_accuracy": (2, 4), "teacher1_accuracy": (3, 4)}


TEACHERS = (small("supervised", seed=5), small("supervised", seed=6, net__encoder__width=6))


def training(**changes: object) -> Training:
    resolved = resolve(small("mgd", **({"method__teachers": TEACHERS} | changes)), Places())
    return Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_in_eval_mode_a_teacher_stays_as_it_was_trained(mode: str) -> None:
    of = training(method__teacher_mode=mode)
    before = {name: value.clone() for name, value in of.nets["teacher0"].state_dict().items()}
    given = on_device(of.plan.micro_batch(0, 0), of.plan.views, of.recipe.augment, device=of.device)
    of.nets.train()
    of.method.loss(of.nets, given, Step(index=0, total=4))
    moved = {name for name, value in of.nets["teacher0"].state_dict().items() if not torch.equal(value, before[name])}
    assert bool(moved) == (mode == "train")
    assert all("running" in name or "num_batches" in name for name in moved)


def test_without_losses_on_unlabelled_images_none_are_read() -> None:
    on_labeled = {f"method__{level}_on": "labeled" for level in ("pixel", "image", "region")}
    assert not training(**on_labeled, method__cutmix="boxes").plan.unlabeled
    assert len(training().plan.unlabeled) == 1
    assert len(training(method__cutmix="boxes").plan.unlabeled) == 2


def test_without_teachers_it_says_so() -> None:
    with pytest.raises(UserError, match=r"method\.teachers must name at least one experiment"):
        training(method__teachers=())


def test_no_regions_at_all_are_refused() -> None:
    with pytest.raises(UserError, match="regions must be two positive counts"):
        small("mgd", method__regions=(0, 7))


def key(**changes: object) -> str:
    paths = {f"method__{name}": value for name, value in changes.items()}
    return resolve(small("mgd", **({"method__teachers": TEACHERS} | paths)), Places()).key


OFF = {"weight_pixel": 0.0, "weight_image": 0.0, "weight_region": 0.0}


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"weight_pixel": 0.0}, {"pixel_on": "labeled"}),
        ({"weight_image": 0.0}, {"image_on": "both", "image_teacher": "all", "image_reduction": "sum"}),
        ({"weight_region": 0.0}, {"region_on": "both", "region_teacher": "all", "regions": (3, 3)}),
        ({"teachers": TEACHERS[:1]}, {"image_teacher": "last", "region_teacher": "first"}),
        ({"weight_image": 0.0, "weight_region": 0.0, "pixel_on": "labeled"}, {"cutmix": "boxes"}),
        (OFF, {"teacher_mode": "train", "on_padding": True, "cutmix": "boxes"}),
    ],
)
def test_fields_without_effect_take_no_part_in_the_key(base: dict[str, object], change: dict[str, object]) -> None:
    assert key(**base) == key(**(base | change))


@pytest.mark.parametrize(
    "change",
    [
        {"teachers": TEACHERS[::-1]},
        {"image_teacher": "last"},
        {"region_teacher": "first"},
        {"regions": (3, 3)},
        {"cutmix": "boxes"},
        {"on_padding": True},
        {"teacher_mode": "train"},
    ],
)
def test_fields_with_an_effect_do(change: dict[str, object]) -> None:
    assert key() != key(**change)
