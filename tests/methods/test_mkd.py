"""MKD by hand: networks whose logits are channels of two by two pixels, one switch at a time."""

from __future__ import annotations

import math

import pytest
from mkd_pixels import NAMES, PLAIN, STRONG, WEAK, batch, ce, compute_losses, networks, term, variance

from assay.method import Step
from methods.ema import momentum_at
from methods.fda import FDA
from methods.mkd import MKD, SDA


def test_supervised_losses_of_both_students_are_eq_6() -> None:
    losses = compute_losses()
    assert term(losses, "supervised1") == pytest.approx(ce((1, 0), (-2, 1), (3, 1)))
    assert term(losses, "supervised2") == pytest.approx(ce((-1, 0), (2, 1), (0.5, 1)))


def test_mutual_teachers_teach_the_other_student_by_eq_2() -> None:
    from_second = ce((0.5, 1), (1, 0), (-2, 0), (3, 1))
    from_first = ce((1.5, 0), (-1, 1), (2, 0), (-3, 1))
    assert term(compute_losses(), "teachers") == pytest.approx(from_second + from_first)


def test_plain_teachers_teach_their_own_student() -> None:
    from_first = ce((0.5, 0), (1, 1), (-2, 0), (3, 1))
    from_second = ce((1.5, 1), (-1, 0), (2, 0), (-3, 1))
    assert term(compute_losses(teaching="plain"), "teachers") == pytest.approx(from_first + from_second)


def test_students_teach_each_other_by_eq_7() -> None:
    first = ce((0.5, 0), (1, 1), (-2, 0), (3, 1))
    second = ce((1.5, 0), (-1, 0), (2, 1), (-3, 0))
    assert term(compute_losses(), "students") == pytest.approx(first + second)


def test_alpha_is_the_weight_of_l_st_and_beta_that_of_l_ss_in_eq_5() -> None:
    losses = compute_losses(weight_teachers=3.0, weight_students=2.0)
    weights = {name: summand.weight for name, summand in losses.terms.items()}
    assert weights == {"supervised1": 1, "supervised2": 1, "teachers": 3, "students": 2}
    supervised = ce((1, 0), (-2, 1), (3, 1)) + ce((-1, 0), (2, 1), (0.5, 1))
    teachers = ce((0.5, 1), (1, 0), (-2, 0), (3, 1)) + ce((1.5, 0), (-1, 1), (2, 0), (-3, 1))
    students = ce((0.5, 0), (1, 1), (-2, 0), (3, 1)) + ce((1.5, 0), (-1, 0), (2, 1), (-3, 0))
    total = sum(summand.weight * summand.value.item() for summand in losses.terms.values())
    assert total == pytest.approx(supervised + 3 * teachers + 2 * students)


def test_selection_keeps_the_pixels_whose_teacher_is_confident() -> None:
    # sigmoid(4) = 0.98, sigmoid(1) = 0.73: two pixels of each teacher reach 0.9.
    losses = compute_losses(threshold_teachers=0.9)
    assert term(losses, "teachers") == pytest.approx(ce((0.5, 1), (-2, 0)) + ce((1.5, 0), (-1, 1)))
    assert term(losses, "students") == term(compute_losses(), "students")
    assert (int(losses.shares["teacher_kept"].part), int(losses.shares["teacher_kept"].whole)) == (2, 4)


def test_eq_3_as_printed_selects_by_the_other_students_confidence() -> None:
    # Student 2 reaches 0.85 = sigmoid(1.73) at 2 and -3, student 1 at -2 and 3.
    losses = compute_losses(threshold_teachers=0.85, confidence="student")
    assert term(losses, "teachers") == pytest.approx(ce((-2, 0), (3, 1)) + ce((2, 0), (-3, 1)))


def test_selection_on_l_ss_is_by_the_confidence_of_the_student_that_gives_the_label() -> None:
    losses = compute_losses(threshold_students=0.85)
    assert term(losses, "students") == pytest.approx(ce((-2, 0), (3, 1)) + ce((2, 1), (-3, 0)))
    assert term(losses, "teachers") == term(compute_losses(), "teachers")


def test_students_get_strong_views_and_teachers_weak_ones() -> None:
    losses = compute_losses(sda=SDA(cutmix=None))
    assert term(losses, "teachers") == pytest.approx(
        ce((2, 1), (-1, 0), (0.5, 0), (-3, 1)) + ce((-1, 0), (2, 1), (3, 0), (1, 1))
    )
    assert term(losses, "students") == pytest.approx(
        ce((2, 1), (-1, 0), (0.5, 0), (-3, 0)) + ce((-1, 0), (2, 1), (3, 0), (1, 1))
    )


ZERO = [[[0.0, 0.0], [0.0, 0.0]]] * 2
SURE = [*ZERO, [[5.0, -5.0], [5.0, 5.0]], [[-5.0, -5.0], [5.0, 5.0]]]  # logits of teachers are 5 and -5, of students 0
MASK = [[[True, False], [False, True]], [[False, False], [True, False]]]


def test_cutmix_mixes_the_students_images_and_the_teachers_logits_by_one_mask() -> None:
    inputs = batch(weak=(WEAK, SURE), strong=(STRONG, SURE), mask=MASK)
    losses = compute_losses(inputs, sda=SDA())
    # Image 1: STRONG with SURE's students (0) at (0, 0) and (1, 1). Image 2: SURE with STRONG at (1, 0).
    first = ce((0, 1), (-1, 0), (0.5, 0), (0, 0), (0, 1), (0, 1), (0.5, 0), (0, 0))
    second = ce((0, 0), (2, 1), (3, 0), (0, 0), (0, 0), (0, 1), (3, 0), (0, 0))
    assert term(losses, "teachers") == pytest.approx(first + second)


def test_cutmix_mixes_the_teachers_features_by_the_same_mask_before_their_estimators() -> None:
    method = MKD(**(PLAIN | {"sda": SDA(), "fda": FDA(), "fda_teachers": True}))
    nets = networks(method)
    method.loss(nets, batch(weak=(WEAK, SURE), strong=(STRONG, SURE), mask=MASK), Step(index=0, total=4))
    # A teacher's features of image 1, WEAK with SURE at (0, 0) and (1, 1), and of image 2, SURE with WEAK at (1, 0).
    first, second = ([5, -4, 1, 5], [5, -5, 1, 5]), ([-5, 1, 4, 5], [-5, -5, 4, 5])
    for name, channel, mixed in (("teacher1", 2, first), ("teacher2", 3, second)):
        features = [value for image in mixed for value in image]
        of_class = [value for value in features if value > 0], [value for value in features if value < 0]
        estimator = nets[f"{name}_scatter"]
        assert estimator.count.tolist() == [len(values) for values in of_class]
        assert estimator.mean[:, channel].tolist() == pytest.approx([sum(values) / len(values) for values in of_class])
        assert estimator.covariance[:, channel].tolist() == pytest.approx([variance(values) for values in of_class])


def test_without_photometric_operators_the_weak_views_are_mixed() -> None:
    inputs = batch(weak=(WEAK, SURE), strong=(STRONG, SURE), mask=MASK)
    losses = compute_losses(inputs, sda=SDA(photometric=False))
    first = ce((0, 1), (1, 0), (-2, 0), (0, 0), (0, 1), (0, 1), (-2, 0), (0, 0))
    second = ce((0, 0), (-1, 1), (2, 0), (0, 0), (0, 0), (0, 1), (2, 0), (0, 0))
    assert term(losses, "teachers") == pytest.approx(first + second)


def test_padded_pixels_do_not_count_and_are_mixed_by_the_mask() -> None:
    valid = [[[True, False], [True, True]], [[True, True], [True, False]]]
    losses = compute_losses(batch(weak=(WEAK, SURE), strong=(STRONG, SURE), mask=MASK, valid=valid), sda=SDA())
    first = ce((0, 1), (0.5, 0), (0, 1), (0, 1), (0.5, 0))
    second = ce((0, 0), (3, 0), (0, 0), (0, 1), (3, 0))
    assert term(losses, "teachers") == pytest.approx(first + second)


def test_on_labeled_adds_the_pixels_of_the_labelled_images() -> None:
    losses = compute_losses(on_labeled=True)
    first = ce((1, 1), (-2, 0), (3, 0), (0, 1), (0.5, 1), (1, 0), (-2, 0), (3, 1))
    second = ce((-1, 0), (2, 0), (0.5, 1), (1, 0), (1.5, 0), (-1, 1), (2, 0), (-3, 1))
    assert term(losses, "teachers") == pytest.approx(first + second)


def test_half_resolution_takes_the_mean_of_two_by_two_logits() -> None:
    # Means of the four logits: students 0.625 and -0.125, teachers 0 (class 0 of two equal ones) and 0.125.
    losses = compute_losses(resolution="half")
    assert term(losses, "teachers") == pytest.approx(ce((0.625, 0)) + ce((-0.125, 0)))


@pytest.mark.parametrize("full", [False, True])
def test_fda_adds_half_lambda_times_the_variance_of_the_pixels_class(full: bool) -> None:
    # w_0 - w_1 selects a student's channel, so the added term is λ/2 times its variance within the class. Student 1
    # has class 0 at labels 0 and where the pseudo-label of teacher 2 is 0, student 2 where that of teacher 1 is 0.
    losses = compute_losses(fda=FDA(strength=2.0, schedule="linear", full=full), index=2)  # λ/2 = 0.5
    first0, first1 = variance([1, 1, -2]) / 2, variance([-2, 3, 0.5, 3]) / 2
    second0, second1 = variance([-1, 1.5, 2]) / 2, variance([2, 0.5, -1, -3]) / 2
    # At class 0 the logit of class 1 rises, at class 1 that of class 0.
    first = [0.5 + first1, 1 - first0, -2 - first0, 3 + first1]
    second = [1.5 - second0, -1 + second1, 2 - second0, -3 + second1]
    expected = ce(*zip(first, (1, 0, 0, 1), strict=True)) + ce(*zip(second, (0, 1, 0, 1), strict=True))
    assert term(losses, "teachers") == pytest.approx(expected)
    # In L_ss the class is the other student's pseudo-label, so the added term never lowers the loss.
    first = [0.5 - first0, 1 + first1, -2 - first0, 3 + first1]
    second = [1.5 - second0, -1 - second0, 2 + second1, -3 - second0]
    expected = ce(*zip(first, (0, 1, 0, 1), strict=True)) + ce(*zip(second, (0, 0, 1, 0), strict=True))
    assert term(losses, "students") == pytest.approx(expected)
    assert term(losses, "students") > term(compute_losses(), "students")


def test_fda_by_the_networks_own_classes() -> None:
    losses = compute_losses(fda=FDA(strength=2.0, schedule="linear", classes="own"), index=2)
    first0, first1 = variance([1, 0.5, 1, 3]) / 2, variance([-2, 3, -2]) / 2
    second0, second1 = variance([-1, 1.5, 2]) / 2, variance([2, 0.5, -1, -3]) / 2
    first = [0.5 - first0, 1 - first0, -2 + first1, 3 - first0]
    second = [1.5 - second0, -1 + second1, 2 - second0, -3 + second1]
    expected = ce(*zip(first, (1, 0, 0, 1), strict=True)) + ce(*zip(second, (0, 1, 0, 1), strict=True))
    assert term(losses, "teachers") == pytest.approx(expected)


@pytest.mark.parametrize("classes", ["pseudo_label", "own"])
def test_the_class_of_a_labelled_pixel_in_eq_4_is_the_target_of_the_loss_or_with_own_its_label(classes: str) -> None:
    fda = FDA(strength=2.0, schedule="linear", classes=classes)
    losses = compute_losses(fda=fda, on_labeled=True, index=2)
    # With either, 1, -2, 3 (student 1) and -1, 2, 0.5 (student 2) are collected under their labels 0, 1, 1.
    by_class = {
        "pseudo_label": ([1, 1, -2], [-2, 3, 0.5, 3]),
        "own": ([1, 0.5, 1, 3], [-2, 3, -2]),
    }
    first0, first1 = (variance(values) / 2 for values in by_class[classes])
    second0, second1 = variance([-1, 1.5, 2]) / 2, variance([2, 0.5, -1, -3]) / 2
    if classes == "own":  # the labels 0, 1, 1 and nothing at the ignored pixel, then the students' own argmax
        first = [1 - first0, -2 + first1, 3 + first1, 0, 0.5 - first0, 1 - first0, -2 + first1, 3 - first0]
        second = [-1 - second0, 2 + second1, 0.5 + second1, 1]
    else:  # the other branch's teacher, as in the loss
        first = [1 + first1, -2 - first0, 3 - first0, first1, 0.5 + first1, 1 - first0, -2 - first0, 3 + first1]
        second = [-1 - second0, 2 - second0, 0.5 + second1, 1 - second0]
    second += [1.5 - second0, -1 + second1, 2 - second0, -3 + second1]
    targets = (1, 0, 0, 1, 1, 0, 0, 1), (0, 0, 1, 0, 0, 1, 0, 1)
    expected = ce(*zip(first, targets[0], strict=True)) + ce(*zip(second, targets[1], strict=True))
    assert term(losses, "teachers") == pytest.approx(expected)


def test_fda_of_the_teachers_can_change_their_pseudo_labels_but_not_their_confidence() -> None:
    # Teacher 1 has class 0 at 4 and 1 (variance 2.25), class 1 at -4 and -1: with λ/2 = 1 only 4 and -4 keep theirs.
    fda = FDA(strength=2.0, schedule="linear")
    method = MKD(**(PLAIN | {"fda": fda, "fda_teachers": True, "weight_students": 0.0}))
    nets = networks(method)
    for name in NAMES[:2]:  # without FDA's effect on the students
        nets[name].classifier.weight.data.zero_()
    losses = method.loss(nets, batch(), Step(index=4, total=4))
    accuracy = losses.shares["teacher_accuracy"]  # of teacher 2: 0 at 1 and 4 (variance 2.25), 1 at -4 and -0.5
    assert (int(accuracy.part), int(accuracy.whole)) == (2, 4)
    assert term(losses, "teachers") == pytest.approx(2 * math.log(2))
    with_selection = MKD(
        **(PLAIN | {"fda": fda, "fda_teachers": True, "threshold_teachers": 0.7, "weight_students": 0.0})
    )
    kept = with_selection.loss(networks(with_selection), batch(), Step(index=4, total=4)).shares["teacher_kept"]
    assert int(kept.part) == 3  # the confidences of -4, 1 and 4


def test_lambda_rises_from_0_as_a_cosine_or_a_line() -> None:
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [FDA().strength_at(at) for at in quarters] == pytest.approx([0, 0.22, 0.75, 1.28, 1.5], abs=0.005)
    assert [FDA(schedule="linear").strength_at(at) for at in quarters] == pytest.approx([0, 0.375, 0.75, 1.125, 1.5])


def test_gamma_rises_from_0_to_its_value_or_is_constant() -> None:
    assert [momentum_at(0.6, t, "min") for t in (1, 2, 3, 100)] == pytest.approx([0, 0.5, 0.6, 0.6])
    assert [momentum_at(0.6, t, "scaled") for t in (1, 2, 3, 100)] == pytest.approx([0, 0.3, 0.4, 0.594])
    assert [momentum_at(0.6, t, "none") for t in (1, 2)] == [0.6, 0.6]


FULL = {"threshold_teachers": 0.7, "threshold_students": 0.7, "fda": FDA(strength=2.0, schedule="linear")}


@pytest.mark.parametrize(
    ("off", "changed"),
    [
        ({"threshold_teachers": 0.0}, {"teachers"}),
        ({"threshold_students": 0.0}, {"students"}),
        ({"fda": None}, {"teachers", "students"}),
        ({"weight_teachers": 0.0}, {"teachers", "students"}),  # without teachers FDA's classes are the students'
        ({"weight_students": 0.0}, {"students"}),
    ],
)
def test_turning_a_part_off_changes_its_terms_and_no_others(off: dict[str, object], changed: set[str]) -> None:
    whole, less = compute_losses(index=2, **FULL), compute_losses(index=2, **(FULL | off))
    values = {name: summand.value.item() for name, summand in whole.terms.items()}
    left = {name: summand.value.item() for name, summand in less.terms.items()}
    assert {name for name in values if left.get(name) != values[name]} == changed
