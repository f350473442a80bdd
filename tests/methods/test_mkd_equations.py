"""MKD's switches on two by two pixels: each loss written out, and again from the paper's equations pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from mkd_pixels import IGNORE, KNOWN, LABEL, NAMES, PLAIN, WEAK, batch, ce, losses, networks, term

from assay.method import Step
from methods.fda import FDA
from methods.mkd import MKD

Vector = Sequence[float]  # the features of one pixel, or its logits by class
WEIGHT = {name: ([float(at == channel) for at in range(4)], [0.0] * 4) for channel, name in enumerate(NAMES)}


def pixels(image: list[list[list[float]]]) -> list[Vector]:
    """An image's pixels, row by row: what all networks find there."""
    return [[channel[row][column] for channel in image] for row in (0, 1) for column in (0, 1)]


def logits_of(name: str, features: Vector) -> Vector:
    """w_jᵀ f for each class j."""
    return [sum(w * f for w, f in zip(row, features, strict=True)) for row in WEIGHT[name]]


def heard(name: str, image: list[list[list[float]]]) -> list[Vector]:
    return [logits_of(name, features) for features in pixels(image)]


def argmax(logits: Vector) -> int:
    return 0 if logits[0] >= logits[1] else 1


def probability(logits: Vector, of: int) -> float:
    return math.exp(logits[of]) / sum(math.exp(each) for each in logits)


def both(said: Sequence[Sequence[Vector]], targets: Sequence[Sequence[int]]) -> float:
    """Eq. 2 and Eq. 7: the mean cross entropy of a student's pixels that have a target, added over both students."""
    total = 0.0
    for mine, labels in zip(said, targets, strict=True):
        kept = [(logits, label) for logits, label in zip(mine, labels, strict=True) if label != IGNORE]
        total += sum(-math.log(probability(logits, label)) for logits, label in kept) / len(kept)
    return total


# Student 2 finds 1.5, -1, 2, -3 and student 1 finds 0.5, 1, -2, 3; sigmoid(1.39) = 0.8, sigmoid(0.85) = 0.7.
@pytest.mark.parametrize(
    ("threshold", "written"),
    [
        (0.8, ce((0.5, 0), (-2, 0), (3, 1)) + ce((2, 0), (-3, 1))),
        (0.7, ce((0.5, 0), (1, 1), (-2, 0), (3, 1)) + ce((-1, 0), (2, 0), (-3, 1))),
    ],
)
def test_the_other_students_confidence_selects_for_plain_teachers_too(threshold: float, written: float) -> None:
    found = losses(teaching="plain", confidence="student", threshold_teachers=threshold)
    targets = [
        [
            argmax(taught) if max(probability(sure, 0), probability(sure, 1)) >= threshold else IGNORE
            for taught, sure in zip(heard(teacher, WEAK), heard(judge, WEAK), strict=True)
        ]
        for teacher, judge in (("teacher1", "student2"), ("teacher2", "student1"))
    ]
    plainly = both([heard("student1", WEAK), heard("student2", WEAK)], targets)
    assert term(found, "teachers") == pytest.approx(written)
    assert term(found, "teachers") == pytest.approx(plainly)


FIRST, SECOND = ("student1", "teacher1"), ("student2", "teacher2")
# Of the unlabelled image's four pixels the second is padding. The means that a coarse network finds: 0.625 and -0.125
# (students), 0 and 0.125 (teachers); 0 is class 0, the first of two equal ones.
ON_ONE = (ce((0.625, 0)) + ce((-0.125, 0)), ce((0.625, 1)) + ce((-0.125, 0)))
RESOLUTIONS = [
    (
        FIRST,
        "image",
        ce((0.625, 1), (0.625, 0), (0.625, 1)) + ce((1.5, 0), (2, 0), (-3, 0)),
        ce((0.625, 0), (0.625, 0), (0.625, 1)) + ce((1.5, 0), (2, 0), (-3, 0)),
    ),
    (FIRST, "features", *ON_ONE),
    (FIRST, "half", *ON_ONE),  # one cell cannot be halved
    *(
        (
            SECOND,
            resolution,
            ce((0.5, 0), (-2, 0), (3, 0)) + ce((-0.125, 0), (-0.125, 0), (-0.125, 1)),
            ce((0.5, 1), (-2, 1), (3, 1)) + ce((-0.125, 0), (-0.125, 1), (-0.125, 0)),
        )
        for resolution in ("image", "features")
    ),
    (SECOND, "half", *ON_ONE),
]


@pytest.mark.parametrize(("coarse", "resolution", "teachers", "students"), RESOLUTIONS)
def test_losses_are_taken_on_the_images_grid_on_the_first_networks_or_on_half_of_it(
    coarse: tuple[str, ...], resolution: str, teachers: float, students: float
) -> None:
    found = losses(batch(valid=[[[True, False], [True, True]]]), coarse=coarse, resolution=resolution)
    one_cell = resolution == "half" or (resolution == "features" and coarse == FIRST)
    on_grid = {}
    for name in NAMES:
        fine = heard(name, WEAK)
        mean = [sum(logits[of] for logits in fine) / 4 for of in (0, 1)]
        # The label of a cell is that of the pixel at its middle, here the last one, which is no padding.
        on_grid[name] = [mean] if one_cell else [mean if name in coarse else fine[at] for at in (0, 2, 3)]
    said = [on_grid["student1"], on_grid["student2"]]
    by_teachers = both(said, [[argmax(each) for each in on_grid[by]] for by in ("teacher2", "teacher1")])
    by_students = both(said, [[argmax(each) for each in on_grid[by]] for by in ("student2", "student1")])
    assert term(found, "teachers") == pytest.approx(teachers)
    assert term(found, "teachers") == pytest.approx(by_teachers)
    assert term(found, "students") == pytest.approx(students)
    assert term(found, "students") == pytest.approx(by_students)


def spread(features: Sequence[Vector], classes: Sequence[int], of: int) -> Vector:
    """Σ_y's diagonal: the variance of each channel over all pixels of a class."""
    members = [each for each, label in zip(features, classes, strict=True) if label == of]
    found = []
    for channel in range(4):
        mean = sum(each[channel] for each in members) / len(members)
        found.append(sum((each[channel] - mean) ** 2 for each in members) / len(members))
    return found


def eq_4(name: str, features: Vector, of: int, spreads: Sequence[Vector], strength: float) -> Vector:
    """The logits z_j + λ/2 · Σ_a (w_ja - w_ya)² σ²_ya of a pixel of class y; as they are where it has none."""
    plain = logits_of(name, features)
    if of == IGNORE:
        return plain
    weight = WEIGHT[name]
    return [
        plain[j] + strength / 2 * sum((weight[j][a] - weight[of][a]) ** 2 * spreads[of][a] for a in range(4))
        for j in (0, 1)
    ]


# Half of λ = 1 times a student's variance by class, over its labelled pixels under their labels and the unlabelled
# ones under the class that its teacher gives them, or by `own` itself.
ADDED = {
    # student 1: 1, 1, -2 | -2, 3, 0.5, 3; student 2: -1, 1.5, 2 | 2, 0.5, -1, -3
    "pseudo_label": ((1.0, 2.1484375), (31 / 36, 1.7109375)),
    # student 1: 1, 0.5, 1, 3 | -2, 3, -2; student 2 as above, since it agrees with teacher 1
    "own": ((0.4609375, 25 / 9), (31 / 36, 1.7109375)),
}


def on_labeled_by_hand(classes: str) -> float:
    """L_ss over four labelled pixels and four unlabelled ones, with what Eq. 4 adds."""
    (a0, a1), (b0, b1) = ADDED[classes]
    if classes == "pseudo_label":
        # The class is what the other student says, on labelled images too: a target's other class rises.
        first = (
            ce((1 + a1, 1), (-2 - a0, 0), (3 - a0, 0), (0 - a0, 0)),
            ce((0.5 - a0, 0), (1 + a1, 1), (-2 - a0, 0), (3 + a1, 1)),
        )
        second = (
            ce((-1 - b0, 0), (2 + b1, 1), (0.5 - b0, 0), (1 - b0, 0)),
            ce((1.5 - b0, 0), (-1 - b0, 0), (2 + b1, 1), (-3 - b0, 0)),
        )
    else:
        # The class of a labelled pixel is its label (the fourth has none), of another the student's own argmax; the
        # targets are what the other student says with Eq. 4, which turns -2 + 25/9 and -1 + 1.71 to class 0.
        first = (
            ce((1 - a0, 1), (-2 + a1, 0), (3 + a1, 0), (0, 0)),
            ce((0.5 - a0, 0), (1 - a0, 0), (-2 + a1, 0), (3 - a0, 1)),
        )
        second = (
            ce((-1 - b0, 0), (2 + b1, 0), (0.5 + b1, 0), (1, 0)),
            ce((1.5 - b0, 0), (-1 + b1, 0), (2 - b0, 0), (-3 + b1, 0)),
        )
    return sum(first) / 2 + sum(second) / 2  # both kinds have four pixels


def on_labeled_plainly(classes: str) -> float:
    """The same from Eq. 4 and Eq. 7."""
    features = pixels(KNOWN) + pixels(WEAK)
    label = [of for row in LABEL[0] for of in row]
    spreads, own = {}, {}
    for student, teacher in (("student1", "teacher2"), ("student2", "teacher1")):
        source = student if classes == "own" else teacher
        seen = label + [argmax(each) for each in heard(source, WEAK)]
        spreads[student] = [spread(features, seen, of) for of in (0, 1)]
        own[student] = label + [argmax(each) for each in heard(student, WEAK)]
    said, targets = [], []
    for student, other in (("student1", "student2"), ("student2", "student1")):
        if classes == "own":
            by = [argmax(eq_4(other, f, of, spreads[other], 1.0)) for f, of in zip(features, own[other], strict=True)]
        else:
            by = [argmax(logits_of(other, f)) for f in features]
        mine = own[student] if classes == "own" else by
        said.append([eq_4(student, f, of, spreads[student], 1.0) for f, of in zip(features, mine, strict=True)])
        targets.append(by)
    return both(said, targets)


@pytest.mark.parametrize("classes", ["pseudo_label", "own"])
def test_on_labelled_images_fda_augments_l_ss_too(classes: str) -> None:
    fda = FDA(strength=2.0, schedule="linear", classes=classes)
    found = term(losses(index=2, fda=fda, on_labeled=True), "students")
    assert found == pytest.approx(on_labeled_by_hand(classes))
    assert found == pytest.approx(on_labeled_plainly(classes))


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


# Of L_ss of student 1, by its weight of class 0 on its own channel: four pixels of 0.5, 1, -2, 3 and targets 0, 1, 0,
# 1. A pixel counts with the probability of the wrong class, times its feature, and with `train_weight` also times
# ∓λ · (the class's variance, 2 or 4.296875).
WRONG = (sigmoid(-0.5 + 1), sigmoid(1 + 2.1484375), sigmoid(2 + 1), sigmoid(3 + 2.1484375))
BY_HAND = {
    True: (-WRONG[0] * (0.5 - 2) + WRONG[1] * (1 + 4.296875) - WRONG[2] * (-2 - 2) + WRONG[3] * (3 + 4.296875)) / 4,
    False: (-WRONG[0] * 0.5 + WRONG[1] * 1 - WRONG[2] * -2 + WRONG[3] * 3) / 4,
}


def gradient_plainly(*, train_weight: bool) -> list[list[float]]:
    """Of Eq. 4's mean over student 1's pixels by w_ca: (p_j - [j = y]) f_a, and λ (w_ja - w_ya) σ²_ya from the term."""
    features, weight = pixels(WEAK), WEIGHT["student1"]
    label = [of for row in LABEL[0] for of in row]
    seen = label + [argmax(each) for each in heard("teacher2", WEAK)]
    spreads = [spread(pixels(KNOWN) + features, seen, of) for of in (0, 1)]
    found = [[0.0] * 4, [0.0] * 4]
    for f, of in zip(features, [argmax(each) for each in heard("student2", WEAK)], strict=True):
        logits = eq_4("student1", f, of, spreads, 1.0)
        for j in (0, 1):
            for a in range(4):
                found[j][a] += (probability(logits, j) - (j == of)) * f[a] / 4
                pull = probability(logits, j) * (weight[j][a] - weight[of][a]) * spreads[of][a] / 4
                found[j][a] += pull if train_weight else 0.0
                found[of][a] -= pull if train_weight else 0.0
    return found


@pytest.mark.parametrize("train_weight", [True, False])
def test_train_weight_is_whether_eq_4s_term_has_a_gradient_to_the_classifier(train_weight: bool) -> None:
    fda = FDA(strength=2.0, schedule="linear", train_weight=train_weight)
    method = MKD(**(PLAIN | {"fda": fda}))
    nets = networks(method)
    value = method.loss(nets, batch(), Step(index=2, total=4)).terms["students"].value
    (gradient,) = torch.autograd.grad(value, nets["student1"].classifier.weight)
    assert gradient[0, 0].item() == pytest.approx(BY_HAND[train_weight])
    torch.testing.assert_close(gradient[:, :, 0, 0], torch.tensor(gradient_plainly(train_weight=train_weight)).double())
    constant = losses(index=2, fda=fda.replace(train_weight=False))
    assert value.item() == term(constant, "students")
