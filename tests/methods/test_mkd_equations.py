"""MKD's losses on two by two pixels: by hand, and again from the paper's equations pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from mkd_pixels import IGNORE, LABEL, LABELED, NAMES, PLAIN, WEAK, batch, ce, compute_losses, networks, term

from assay.method import Step
from methods.fda import FDA
from methods.mkd import MKD

Vector = Sequence[float]  # the features of one pixel, or its logits by class
WEIGHT = {name: ([float(at == channel) for at in range(4)], [0.0] * 4) for channel, name in enumerate(NAMES)}


def pixels(image: list[list[list[float]]]) -> list[Vector]:
    """Return an image's pixels, row by row: the features of every network."""
    return [[channel[row][column] for channel in image] for row in (0, 1) for column in (0, 1)]


def logits_of(name: str, features: Vector) -> Vector:
    """Return w_jᵀ f for each class j."""
    return [sum(w * f for w, f in zip(row, features, strict=True)) for row in WEIGHT[name]]


def outputs(name: str, image: list[list[list[float]]]) -> list[Vector]:
    return [logits_of(name, features) for features in pixels(image)]


def argmax(logits: Vector) -> int:
    return 0 if logits[0] >= logits[1] else 1


def probability(logits: Vector, j: int) -> float:
    return math.exp(logits[j]) / sum(math.exp(logit) for logit in logits)


def cross_entropies(students: Sequence[Sequence[Vector]], targets: Sequence[Sequence[int]]) -> float:
    """Return Eq. 2 or Eq. 7: the mean cross entropy over a student's pixels with a target, added over both students."""
    total = 0.0
    for pixel_logits, labels in zip(students, targets, strict=True):
        kept = [(logits, label) for logits, label in zip(pixel_logits, labels, strict=True) if label != IGNORE]
        total += sum(-math.log(probability(logits, label)) for logits, label in kept) / len(kept)
    return total


# The logits are 1.5, -1, 2, -3 of student 2 and 0.5, 1, -2, 3 of student 1; sigmoid(1.39) = 0.8, sigmoid(0.85) = 0.7.
@pytest.mark.parametrize(
    ("threshold", "by_hand"),
    [
        (0.8, ce((0.5, 0), (-2, 0), (3, 1)) + ce((2, 0), (-3, 1))),
        (0.7, ce((0.5, 0), (1, 1), (-2, 0), (3, 1)) + ce((-1, 0), (2, 0), (-3, 1))),
    ],
)
def test_the_other_students_confidence_also_selects_for_plain_teachers(threshold: float, by_hand: float) -> None:
    losses = compute_losses(teaching="plain", confidence="student", threshold_teachers=threshold)
    targets = [
        [
            argmax(logits) if max(probability(other, 0), probability(other, 1)) >= threshold else IGNORE
            for logits, other in zip(outputs(teacher, WEAK), outputs(other_student, WEAK), strict=True)
        ]
        for teacher, other_student in (("teacher1", "student2"), ("teacher2", "student1"))
    ]
    from_equations = cross_entropies([outputs("student1", WEAK), outputs("student2", WEAK)], targets)
    assert term(losses, "teachers") == pytest.approx(by_hand)
    assert term(losses, "teachers") == pytest.approx(from_equations)


FIRST, SECOND = ("student1", "teacher1"), ("student2", "teacher2")
# The second of the unlabelled image's four pixels is padding. The mean logits of a coarse network are 0.625 and -0.125
# (students), 0 and 0.125 (teachers); at 0 the argmax is class 0, the first of two equal logits.
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
    losses = compute_losses(batch(valid=[[[True, False], [True, True]]]), coarse=coarse, resolution=resolution)
    one_cell = resolution == "half" or (resolution == "features" and coarse == FIRST)
    on_grid = {}
    for name in NAMES:
        fine = outputs(name, WEAK)
        mean = [sum(logits[j] for logits in fine) / 4 for j in (0, 1)]
        # The label of a cell is that of the pixel at its middle: here the last pixel, which is not padding.
        on_grid[name] = [mean] if one_cell else [mean if name in coarse else fine[index] for index in (0, 2, 3)]
    of_students = [on_grid["student1"], on_grid["student2"]]
    by_teachers = cross_entropies(
        of_students, [[argmax(logits) for logits in on_grid[name]] for name in ("teacher2", "teacher1")]
    )
    by_students = cross_entropies(
        of_students, [[argmax(logits) for logits in on_grid[name]] for name in ("student2", "student1")]
    )
    assert term(losses, "teachers") == pytest.approx(teachers)
    assert term(losses, "teachers") == pytest.approx(by_teachers)
    assert term(losses, "students") == pytest.approx(students)
    assert term(losses, "students") == pytest.approx(by_students)


def class_variances(features: Sequence[Vector], classes: Sequence[int], y: int) -> Vector:
    """Return the diagonal of Σ_y: the variance of each channel over all pixels of class y."""
    members = [pixel for pixel, label in zip(features, classes, strict=True) if label == y]
    variances = []
    for channel in range(4):
        mean = sum(pixel[channel] for pixel in members) / len(members)
        variances.append(sum((pixel[channel] - mean) ** 2 for pixel in members) / len(members))
    return variances


def eq_4(name: str, features: Vector, y: int, variances: Sequence[Vector], strength: float) -> Vector:
    """Return the logits z_j + λ/2 · Σ_a (w_ja - w_ya)² σ²_ya of a pixel of class y, or z_j if it has no class."""
    plain = logits_of(name, features)
    if y == IGNORE:
        return plain
    weight = WEIGHT[name]
    return [
        plain[j] + strength / 2 * sum((weight[j][a] - weight[y][a]) ** 2 * variances[y][a] for a in range(4))
        for j in (0, 1)
    ]


# λ/2 times a student's variance by class, λ = 1: labelled pixels count under their labels, unlabelled ones under the
# teacher's class or, with `own`, under the student's.
ADDED = {
    # student 1: 1, 1, -2 | -2, 3, 0.5, 3; student 2: -1, 1.5, 2 | 2, 0.5, -1, -3
    "pseudo_label": ((1.0, 2.1484375), (31 / 36, 1.7109375)),
    # student 1: 1, 0.5, 1, 3 | -2, 3, -2; student 2 as above, since it agrees with teacher 1
    "own": ((0.4609375, 25 / 9), (31 / 36, 1.7109375)),
}


def on_labeled_by_hand(classes: str) -> float:
    """Return L_ss over four labelled and four unlabelled pixels, after Eq. 4."""
    (a0, a1), (b0, b1) = ADDED[classes]
    if classes == "pseudo_label":
        # The class is the other student's, also on labelled images: the logit of the target's other class rises.
        first = (
            ce((1 + a1, 1), (-2 - a0, 0), (3 - a0, 0), (0 - a0, 0)),
            ce((0.5 - a0, 0), (1 + a1, 1), (-2 - a0, 0), (3 + a1, 1)),
        )
        second = (
            ce((-1 - b0, 0), (2 + b1, 1), (0.5 - b0, 0), (1 - b0, 0)),
            ce((1.5 - b0, 0), (-1 - b0, 0), (2 + b1, 1), (-3 - b0, 0)),
        )
    else:
        # The class of a labelled pixel is its label (the fourth has none), that of an unlabelled pixel the student's
        # argmax. The targets are the other student's after Eq. 4, where -2 + 25/9 and -1 + 1.71 become class 0.
        first = (
            ce((1 - a0, 1), (-2 + a1, 0), (3 + a1, 0), (0, 0)),
            ce((0.5 - a0, 0), (1 - a0, 0), (-2 + a1, 0), (3 - a0, 1)),
        )
        second = (
            ce((-1 - b0, 0), (2 + b1, 0), (0.5 + b1, 0), (1, 0)),
            ce((1.5 - b0, 0), (-1 + b1, 0), (2 - b0, 0), (-3 + b1, 0)),
        )
    return sum(first) / 2 + sum(second) / 2  # the labelled and the unlabelled image have four pixels each


def on_labeled_from_equations(classes: str) -> float:
    """Return the same from Eq. 4 and Eq. 7."""
    features = pixels(LABELED) + pixels(WEAK)
    labels = [label for row in LABEL[0] for label in row]
    variances, own = {}, {}
    for student, teacher in (("student1", "teacher2"), ("student2", "teacher1")):
        source = student if classes == "own" else teacher
        by_source = labels + [argmax(logits) for logits in outputs(source, WEAK)]
        variances[student] = [class_variances(features, by_source, y) for y in (0, 1)]
        own[student] = labels + [argmax(logits) for logits in outputs(student, WEAK)]
    of_students, targets = [], []
    for student, other in (("student1", "student2"), ("student2", "student1")):
        if classes == "own":
            augmented = (eq_4(other, f, y, variances[other], 1.0) for f, y in zip(features, own[other], strict=True))
            target = [argmax(logits) for logits in augmented]
        else:
            target = [argmax(logits_of(other, f)) for f in features]
        ys = own[student] if classes == "own" else target
        of_students.append([eq_4(student, f, y, variances[student], 1.0) for f, y in zip(features, ys, strict=True)])
        targets.append(target)
    return cross_entropies(of_students, targets)


@pytest.mark.parametrize("classes", ["pseudo_label", "own"])
def test_fda_also_augments_l_ss_on_labelled_images(classes: str) -> None:
    fda = FDA(strength=2.0, schedule="linear", classes=classes)
    l_ss = term(compute_losses(index=2, fda=fda, on_labeled=True), "students")
    assert l_ss == pytest.approx(on_labeled_by_hand(classes))
    assert l_ss == pytest.approx(on_labeled_from_equations(classes))


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


# The gradient of student 1's L_ss to its weight of class 0 on its channel: four pixels of 0.5, 1, -2, 3 and targets 0,
# 1, 0, 1. A pixel contributes the probability of the wrong class times its feature or, with `train_weight`, times its
# feature ∓ λ times the variance of the class (2 or 4.296875).
WRONG = (sigmoid(-0.5 + 1), sigmoid(1 + 2.1484375), sigmoid(2 + 1), sigmoid(3 + 2.1484375))
BY_HAND = {
    True: (-WRONG[0] * (0.5 - 2) + WRONG[1] * (1 + 4.296875) - WRONG[2] * (-2 - 2) + WRONG[3] * (3 + 4.296875)) / 4,
    False: (-WRONG[0] * 0.5 + WRONG[1] * 1 - WRONG[2] * -2 + WRONG[3] * 3) / 4,
}


def gradient_from_equations(*, train_weight: bool) -> list[list[float]]:
    """Return the gradient of the loss with Eq. 4, the mean over student 1's pixels, to the weights w_ca.

    It is (p_j - [j = y]) f_a, and λ (w_ja - w_ya) σ²_ya from the added term.
    """
    features, weight = pixels(WEAK), WEIGHT["student1"]
    labels = [label for row in LABEL[0] for label in row]
    by_teacher = labels + [argmax(logits) for logits in outputs("teacher2", WEAK)]
    variances = [class_variances(pixels(LABELED) + features, by_teacher, y) for y in (0, 1)]
    gradient = [[0.0] * 4, [0.0] * 4]
    for f, y in zip(features, [argmax(logits) for logits in outputs("student2", WEAK)], strict=True):
        logits = eq_4("student1", f, y, variances, 1.0)
        for j in (0, 1):
            for a in range(4):
                gradient[j][a] += (probability(logits, j) - (j == y)) * f[a] / 4
                from_term = probability(logits, j) * (weight[j][a] - weight[y][a]) * variances[y][a] / 4
                gradient[j][a] += from_term if train_weight else 0.0
                gradient[y][a] -= from_term if train_weight else 0.0
    return gradient


@pytest.mark.parametrize("train_weight", [True, False])
def test_eq_4s_term_has_a_gradient_to_the_classifier_with_train_weight_alone(train_weight: bool) -> None:
    fda = FDA(strength=2.0, schedule="linear", train_weight=train_weight)
    method = MKD(**(PLAIN | {"fda": fda}))
    nets = networks(method)
    value = method.loss(nets, batch(), Step(index=2, total=4)).terms["students"].value
    (gradient,) = torch.autograd.grad(value, nets["student1"].classifier.weight)
    assert gradient[0, 0].item() == pytest.approx(BY_HAND[train_weight])
    torch.testing.assert_close(
        gradient[:, :, 0, 0], torch.tensor(gradient_from_equations(train_weight=train_weight)).double()
    )
    constant = compute_losses(index=2, fda=fda.replace(train_weight=False))
    assert value.item() == term(constant, "students")
