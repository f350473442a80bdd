"""MGD by hand: networks whose features and logits are channels of their images, one switch at a time."""

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
# The logits of the student, the first and the second teacher for an image; each network reads its own two channels.
LABELED: list[Pixels] = [
    [(2, 0), (0, 1), (1, -1), (0, 3)],
    [(1, 2), (3, 1), (-1, 1), (0, -2)],
    [(2, 1), (1, 2), (4, 1), (1, 3)],
]
UNLABELED: list[Pixels] = [
    [(1, 0), (0, 2), (1, 1), (-1, 3)],
    [(2, 1), (-2, 1), (0, 3), (1, 0)],
    [(0, 1), (3, 1), (1, 0), (-1, -2)],
]
UNLABELED_PARTNER: list[Pixels] = [
    [(0, -1), (1, 2), (2, 1), (3, 3.5)],
    [(1, 5), (2, 1), (1, 3), (9.5, 0)],
    [(3, 1), (1, 4), (-1, 0), (2, -2)],
]
TWO = (Experiment(method="supervised"), Experiment(method="supervised", seed=1))
EVERYWHERE = {"pixel_on": "both", "image_on": "both", "region_on": "both"}


class ChannelNetwork(nn.Module):
    """A network whose features and logits are two channels of the image; it records its mode in each pass."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first
        self.passes: list[tuple[bool, bool]] = []  # train mode, gradient

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.passes.append((self.training, torch.is_grad_enabled()))
        return images[:, self.first : self.first + 2]

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return features


class CentredNetwork(ChannelNetwork):
    """A network whose logits at a pixel depend on the whole image: those of a mixed image are not a mix of logits."""

    def features(self, images: torch.Tensor) -> torch.Tensor:
        features = super().features(images)
        return features - features.mean((2, 3), keepdim=True)


def networks(teachers: int, kind: type[ChannelNetwork] = ChannelNetwork) -> nn.ModuleDict:
    return nn.ModuleDict({"student": kind(0)} | {f"teacher{index}": kind(2 + 2 * index) for index in range(teachers)})


def image(logits: list[Pixels]) -> torch.Tensor:
    channels = [[pixel[c] for pixel in of_network] for of_network in logits for c in range(2)]
    return torch.tensor(channels, dtype=torch.float64).view(1, -1, 2, 2)


def stream(*logits: list[Pixels], valid: list[list[list[bool]]] | None = None) -> Unlabeled:
    shape = (len(logits), 2, 2)
    return Unlabeled(
        weak=torch.cat([image(of_image) for of_image in logits]),
        strong=(),
        valid=torch.ones(shape, dtype=torch.bool) if valid is None else torch.tensor(valid),
        truth=torch.zeros(shape, dtype=torch.int64),
    )


def batch(*unlabeled: Unlabeled, mask: list[list[list[bool]]] | None = None) -> Batch:
    everywhere = torch.ones(1, 2, 2, dtype=torch.bool)
    return Batch(
        labeled=Labeled(weak=image(LABELED), label=torch.tensor(LABEL), valid=everywhere),
        unlabeled=unlabeled or (stream(UNLABELED),),
        boxes=None if mask is None else BoxMaps(mask=torch.tensor(mask), owner=torch.zeros(1, 2, 2)),
    )


def compute_losses(inputs: Batch | None = None, *, nets: nn.ModuleDict | None = None, **changes: object) -> Losses:
    method = MGD(**({"teachers": TWO, "regions": (2, 2)} | changes))
    nets = nets or networks(len(method.teachers))
    return method.loss(nets, inputs or batch(), Step(index=0, total=4))


def term(losses: Losses, name: str) -> float:
    return losses.terms[name].value.item()


def ce(logits: Pixels, labels: list[int]) -> float:
    pixels = zip(logits, labels, strict=True)
    return sum(math.log(math.exp(a) + math.exp(b)) - (a, b)[label] for (a, b), label in pixels) / len(logits)


def argmax(pixels: Pixels) -> list[int]:
    return [int(b > a) for a, b in pixels]


def image_distance(student: Pixels, teacher: Pixels) -> float:
    """Return Eq. 4 for two classes."""
    return sum(abs(sum(p[c] for p in student) - sum(p[c] for p in teacher)) / len(student) for c in range(2)) / 2


def region_distance(student: Pixels, teacher: Pixels) -> float:
    """Return Eq. 6 with every pixel as a region."""

    def cosine(p: tuple[float, float], q: tuple[float, float]) -> float:
        return (p[0] * q[0] + p[1] * q[1]) / math.sqrt((p[0] ** 2 + p[1] ** 2) * (q[0] ** 2 + q[1] ** 2))

    n = len(student)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    return sum((cosine(student[i], student[j]) - cosine(teacher[i], teacher[j])) ** 2 for i, j in pairs) / n**2


def test_the_supervised_loss_is_eq_1() -> None:
    assert term(compute_losses(), "supervised") == pytest.approx(ce(LABELED[0][:3], [0, 1, 1]))


def test_the_student_learns_both_teachers_pseudo_labels_by_eq_2() -> None:
    assert argmax(LABELED[1]) == [1, 0, 1, 0] and argmax(LABELED[2]) == [0, 1, 0, 1]
    labeled, unlabeled = (ce(of[0], argmax(of[1])) + ce(of[0], argmax(of[2])) for of in (LABELED, UNLABELED))
    assert term(compute_losses(), "pixel_labeled") == pytest.approx(labeled)
    assert term(compute_losses(), "pixel_unlabeled") == pytest.approx(unlabeled)


@pytest.mark.parametrize(("whose", "teachers"), [("first", [1]), ("last", [2]), ("all", [1, 2])])
def test_the_image_level_loss_is_eq_4_from_either_teacher_or_both(whose: str, teachers: list[int]) -> None:
    losses = compute_losses(image_teacher=whose)
    assert term(losses, "image_unlabeled") == pytest.approx(
        sum(image_distance(UNLABELED[0], UNLABELED[index]) for index in teachers)
    )
    assert term(losses, "region_unlabeled") == term(compute_losses(), "region_unlabeled")


@pytest.mark.parametrize(("whose", "teachers"), [("first", [1]), ("last", [2]), ("all", [1, 2])])
def test_the_region_level_loss_is_eq_6_from_either_teacher_or_both(whose: str, teachers: list[int]) -> None:
    losses = compute_losses(region_teacher=whose)
    assert term(losses, "region_unlabeled") == pytest.approx(
        sum(region_distance(UNLABELED[0], UNLABELED[index]) for index in teachers)
    )
    assert term(losses, "image_unlabeled") == term(compute_losses(), "image_unlabeled")


def test_by_default_the_first_teacher_gives_eq_4_and_the_last_one_eq_6() -> None:
    assert compute_losses().terms.keys() == compute_losses(image_teacher="first", region_teacher="last").terms.keys()
    assert term(compute_losses(), "image_unlabeled") == term(compute_losses(image_teacher="first"), "image_unlabeled")
    assert term(compute_losses(), "region_unlabeled") == term(compute_losses(region_teacher="last"), "region_unlabeled")


def test_the_weights_are_those_of_eq_7() -> None:
    weights = {name: summand.weight for name, summand in compute_losses().terms.items()}
    assert weights == {
        "supervised": 1.0,
        "pixel_labeled": 1.0,
        "pixel_unlabeled": 1.0,
        "image_unlabeled": 0.002,
        "region_unlabeled": 100.0,
    }
    changed = compute_losses(weight_pixel=2.0, weight_image=3.0, weight_region=4.0, **EVERYWHERE)
    weights = [summand.weight for summand in changed.terms.values()]
    assert sorted(weights) == [1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]


@pytest.mark.parametrize("whose", ["first", "last", "all"])
def test_a_lone_teacher_gives_all_three_losses(whose: str) -> None:
    losses = compute_losses(teachers=TWO[:1], image_teacher=whose, region_teacher=whose)
    assert term(losses, "pixel_unlabeled") == pytest.approx(ce(UNLABELED[0], argmax(UNLABELED[1])))
    assert term(losses, "image_unlabeled") == pytest.approx(image_distance(UNLABELED[0], UNLABELED[1]))
    assert term(losses, "region_unlabeled") == pytest.approx(region_distance(UNLABELED[0], UNLABELED[1]))


def test_the_losses_of_three_teachers_are_added() -> None:
    third = [(0, 1), (1, 3), (-1, 2), (2, 1)]
    inputs = batch(stream([*UNLABELED, third]))
    inputs = Batch(
        labeled=Labeled(weak=image([*LABELED, third]), label=inputs.labeled.label, valid=inputs.labeled.valid),
        unlabeled=inputs.unlabeled,
    )
    losses = compute_losses(inputs, teachers=(*TWO, TWO[0].replace(seed=2)), image_teacher="all")
    assert term(losses, "pixel_unlabeled") == pytest.approx(
        sum(ce(UNLABELED[0], argmax(teacher)) for teacher in (*UNLABELED[1:], third))
    )
    from_all = sum(image_distance(UNLABELED[0], teacher) for teacher in (*UNLABELED[1:], third))
    assert term(losses, "image_unlabeled") == pytest.approx(from_all)
    assert term(losses, "region_unlabeled") == pytest.approx(region_distance(UNLABELED[0], third))


@pytest.mark.parametrize("granularity", ["pixel", "image", "region"])
@pytest.mark.parametrize(("on", "kinds"), [("labeled", {"labeled"}), ("unlabeled", {"unlabeled"}), ("both", None)])
def test_each_loss_is_taken_on_the_chosen_images_and_changes_no_other(
    granularity: str, on: str, kinds: set[str] | None
) -> None:
    whole, losses = compute_losses(**EVERYWHERE), compute_losses(**(EVERYWHERE | {f"{granularity}_on": on}))
    removed = {f"{granularity}_{kind}" for kind in {"labeled", "unlabeled"} - (kinds or {"labeled", "unlabeled"})}
    assert set(whole.terms) - set(losses.terms) == removed
    assert all(torch.equal(summand.value, whole.terms[name].value) for name, summand in losses.terms.items())


@pytest.mark.parametrize("granularity", ["pixel", "image", "region"])
def test_a_weight_of_zero_removes_exactly_its_terms(granularity: str) -> None:
    whole, losses = compute_losses(**EVERYWHERE), compute_losses(**EVERYWHERE, **{f"weight_{granularity}": 0.0})
    assert set(whole.terms) - set(losses.terms) == {f"{granularity}_labeled", f"{granularity}_unlabeled"}
    assert all(torch.equal(summand.value, whole.terms[name].value) for name, summand in losses.terms.items())


def test_image_and_region_level_losses_on_labelled_images() -> None:
    losses = compute_losses(**EVERYWHERE)
    assert term(losses, "image_labeled") == pytest.approx(image_distance(LABELED[0], LABELED[1]))
    assert term(losses, "region_labeled") == pytest.approx(region_distance(LABELED[0], LABELED[2]))


def test_eq_4_of_the_code_is_the_sum_over_classes_and_images() -> None:
    inputs = batch(stream(UNLABELED, UNLABELED_PARTNER))
    first, second = (image_distance(of[0], of[1]) for of in (UNLABELED, UNLABELED_PARTNER))
    assert term(compute_losses(inputs), "image_unlabeled") == pytest.approx((first + second) / 2)
    assert term(compute_losses(inputs, image_reduction="sum"), "image_unlabeled") == pytest.approx(2 * (first + second))


def test_regions_are_given_by_height_and_width() -> None:
    rows = [[((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in (of[:2], of[2:])] for of in UNLABELED]
    columns = [[((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in (of[::2], of[1::2])] for of in UNLABELED]
    assert term(compute_losses(regions=(2, 1)), "region_unlabeled") == pytest.approx(region_distance(rows[0], rows[2]))
    assert term(compute_losses(regions=(1, 2)), "region_unlabeled") == pytest.approx(
        region_distance(columns[0], columns[2])
    )


def test_padding_takes_no_part_without_on_padding() -> None:
    padded = batch(stream(UNLABELED, valid=[[[True, True], [True, False]]]))
    losses = compute_losses(padded)
    student, first, second = (of[:3] for of in UNLABELED)
    assert term(losses, "pixel_unlabeled") == pytest.approx(ce(student, argmax(first)) + ce(student, argmax(second)))
    assert term(losses, "image_unlabeled") == pytest.approx(image_distance(student, first))
    assert term(losses, "region_unlabeled") == pytest.approx(region_distance(student, second))
    whole, with_padding = compute_losses(), compute_losses(padded, on_padding=True)
    assert all(torch.equal(summand.value, whole.terms[name].value) for name, summand in with_padding.terms.items())


MASK = [[[True, True], [False, False]]]


def test_with_cutmix_pseudo_labels_are_of_the_unmixed_images_and_the_other_losses_of_the_mixed_one() -> None:
    own, partner = stream(UNLABELED), stream(UNLABELED_PARTNER)
    losses = compute_losses(batch(own, partner, mask=MASK), nets=networks(2, CentredNetwork), cutmix="boxes")
    mask = torch.tensor(MASK)
    mixed = torch.where(mask.unsqueeze(1), partner.weak, own.weak)
    student, deep, wide = (CentredNetwork(channel).features(mixed) for channel in (0, 2, 4))
    labels = [
        torch.where(mask, *(CentredNetwork(channel).features(images.weak).argmax(1) for images in (partner, own)))
        for channel in (2, 4)
    ]
    assert not torch.equal(labels[0], deep.argmax(1))
    expected = {
        "pixel_unlabeled": pixel_ce(student, labels[0]) + pixel_ce(student, labels[1]),
        "image_unlabeled": image_semantic(student, deep),
        "region_unlabeled": region_content(student, wide, size=(2, 2)),
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses.terms[name].value, value)


def test_with_cutmix_padding_is_that_of_the_mixed_image() -> None:
    valid = [[[False, True], [True, True]]], [[[True, True], [True, False]]]
    own, partner = (stream(of, valid=mask) for of, mask in zip((UNLABELED, UNLABELED_PARTNER), valid, strict=True))
    losses = compute_losses(
        batch(own, partner, mask=MASK), cutmix="boxes"
    )  # the partner is above: the mixed image shows no padding
    student, first, second = ([*UNLABELED_PARTNER[index][:2], *UNLABELED[index][2:]] for index in range(3))
    assert term(losses, "pixel_unlabeled") == pytest.approx(ce(student, argmax(first)) + ce(student, argmax(second)))
    assert term(losses, "image_unlabeled") == pytest.approx(image_distance(student, first))


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ({}, 2, 2),
        ({"cutmix": "boxes"}, 4, 4),  # labelled, two unmixed, mixed
        ({"cutmix": "boxes", "weight_image": 0.0}, 3, 4),
        ({"cutmix": "boxes", "weight_pixel": 0.0}, 1, 1),
        ({"weight_pixel": 0.0, "image_teacher": "last"}, 0, 1),
        ({"pixel_on": "labeled", **{f"weight_{granularity}": 0.0 for granularity in ("image", "region")}}, 1, 1),
    ],
)
def test_each_image_passes_a_teacher_once_and_only_if_a_loss_needs_it(
    changes: dict[str, object], first: int, last: int
) -> None:
    inputs = batch(stream(UNLABELED), stream(UNLABELED_PARTNER), mask=MASK) if "cutmix" in changes else batch()
    nets = networks(2)
    compute_losses(inputs, nets=nets, **changes)
    assert [len(nets[f"teacher{index}"].passes) for index in range(2)] == [first, last]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_teachers_predict_in_their_mode_and_without_gradient(mode: str) -> None:
    nets = networks(2).train(mode == "eval")  # the other mode before the step
    compute_losses(nets=nets, teacher_mode=mode)
    for index in range(2):
        assert set(nets[f"teacher{index}"].passes) == {(mode == "train", False)}
    assert {has_gradient for _, has_gradient in nets["student"].passes} == {True}


def test_the_teachers_accuracy_is_that_of_their_pseudo_labels() -> None:
    shares = compute_losses().shares  # the truth is 0 everywhere
    counts = {name: (int(share.part), int(share.whole)) for name, share in shares.items()}
    assert counts == {"teacher0_accuracy": (2, 4), "teacher1_accuracy": (3, 4)}


TEACHERS = (small("supervised", seed=5), small("supervised", seed=6, net__encoder__width=6))


def training(**changes: object) -> Training:
    resolved = resolve(small("mgd", **({"method__teachers": TEACHERS} | changes)), Places())
    return Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_in_eval_mode_a_teacher_does_not_change(mode: str) -> None:
    trainer = training(method__teacher_mode=mode)
    before = {name: value.clone() for name, value in trainer.nets["teacher0"].state_dict().items()}
    inputs = on_device(
        trainer.plan.micro_batch(0, 0), trainer.plan.views, trainer.recipe.augment, device=trainer.device
    )
    trainer.nets.train()
    trainer.method.loss(trainer.nets, inputs, Step(index=0, total=4))
    changed = {
        name for name, value in trainer.nets["teacher0"].state_dict().items() if not torch.equal(value, before[name])
    }
    assert bool(changed) == (mode == "train")
    assert all("running" in name or "num_batches" in name for name in changed)


def test_without_losses_on_unlabelled_images_none_are_read() -> None:
    on_labeled = {f"method__{granularity}_on": "labeled" for granularity in ("pixel", "image", "region")}
    assert not training(**on_labeled, method__cutmix="boxes").plan.unlabeled
    assert len(training().plan.unlabeled) == 1
    assert len(training(method__cutmix="boxes").plan.unlabeled) == 2


def test_mgd_without_teachers_is_refused() -> None:
    with pytest.raises(UserError, match=r"method\.teachers must name at least one experiment"):
        training(method__teachers=())


def test_zero_regions_are_refused() -> None:
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
def test_fields_without_effect_are_not_in_the_key(base: dict[str, object], change: dict[str, object]) -> None:
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
def test_fields_with_an_effect_are_in_the_key(change: dict[str, object]) -> None:
    assert key() != key(**change)
