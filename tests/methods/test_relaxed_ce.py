"""Relaxed cross entropy, pixel by pixel: at borders, at ignored pixels and at the image's edge."""

from __future__ import annotations

import pytest
import torch
from loss_checks import IGNORE, assert_same, example
from torch._subclasses.fake_tensor import FakeTensorMode

from assay.errors import FieldError
from methods.losses import boundary, pixel_ce, relaxed_ce
from methods.relaxation import Relaxation


def classes_around(target: torch.Tensor, b: int, y: int, x: int, window: int) -> set[int]:
    """Return the classes in a pixel's window, which ends with the image."""
    reach = window // 2
    rows = range(max(0, y - reach), min(target.shape[1], y + reach + 1))
    columns = range(max(0, x - reach), min(target.shape[2], x + reach + 1))
    return {int(target[b, row, column]) for row in rows for column in columns} - {IGNORE}


def plain_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    window: int,
    *,
    strict_classes: tuple[int, ...] = (),
    ignored_borders: bool = False,
    class_weight: float = 0.0,
) -> torch.Tensor:
    images = []
    for b in range(len(target)):
        sets: dict[tuple[int, int], set[int]] = {}
        for y in range(target.shape[1]):
            for x in range(target.shape[2]):
                own = int(target[b, y, x])
                chosen = {own} if own in strict_classes else classes_around(target, b, y, x, window)
                if chosen and (ignored_borders or own != IGNORE):
                    sets[y, x] = chosen
        entries = [c for chosen in sets.values() for c in chosen]
        weights = [1 + class_weight * (1 - entries.count(c) / len(entries)) for c in range(logits.shape[1])]
        for (y, x), chosen in sets.items():
            probabilities = logits[b, :, y, x].softmax(0)
            weight = sum(weights[c] for c in chosen) / len(chosen)
            images.append(-weight * sum(probabilities[c] for c in chosen).log())
    return torch.stack(images).mean()


@pytest.mark.parametrize("window", [1, 3, 5, 9])
@pytest.mark.parametrize(
    "how", [{}, {"strict_classes": (1,)}, {"ignored_borders": True}, {"class_weight": 1.0}], ids=lambda how: str(how)
)
def test_it_is_the_loss_pixel_by_pixel(window: int, how: dict[str, object]) -> None:
    logits, target = example()
    target[1, 2:, 3] = IGNORE
    assert_same(relaxed_ce(logits, target, window=window, **how), plain_loss(logits, target, window, **how), logits)


def test_a_window_of_one_is_cross_entropy() -> None:
    logits, target = example(1)
    assert_same(relaxed_ce(logits, target, window=1), pixel_ce(logits, target), logits)


def test_by_hand_at_a_border_an_ignored_pixel_and_the_edge() -> None:
    # One row: class 0, 0, 1, ignored, 2. All classes have the probability 1/3.
    target = torch.tensor([[[0, 0, 1, IGNORE, 2]]])
    logits = torch.zeros(1, 3, 1, 5, dtype=torch.float64)
    third, two_thirds = -torch.tensor(1 / 3).log().item(), -torch.tensor(2 / 3).log().item()
    # The left end has {0}, the second {0, 1}, the third {0, 1}, the fourth does not count, the right end has {2}.
    expected = (third + two_thirds + two_thirds + third) / 4
    assert relaxed_ce(logits, target, window=3).item() == pytest.approx(expected)
    # With ignored borders the fourth has {1, 2}.
    with_fourth = (4 * expected + two_thirds) / 5
    assert relaxed_ce(logits, target, window=3, ignored_borders=True).item() == pytest.approx(with_fourth)
    assert boundary(target, 3, window=3).tolist() == [[[False, True, True, True, False]]]


def test_ignored_pixels_alone_give_a_differentiable_zero() -> None:
    logits, target = example()
    loss = relaxed_ce(logits, torch.full_like(target, IGNORE), window=3, class_weight=1.0)
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


def test_logits_without_bound_have_a_finite_loss_and_gradient() -> None:
    target = torch.tensor([[[0, 1]]])
    logits = torch.tensor([1e4, -1e4]).expand(1, 2, 2).reshape(1, 2, 1, 2).clone().requires_grad_()
    relaxed_ce(logits, target, window=1).backward()
    assert logits.grad.isfinite().all()


def test_it_is_never_computed_below_single_precision() -> None:
    logits, target = example()
    assert relaxed_ce(logits.bfloat16(), target, window=3).dtype == torch.float32
    assert relaxed_ce(logits, target, window=3).dtype == torch.float64


def test_no_value_is_read_back_from_the_device() -> None:
    """Fake tensors have shapes and no values: an operator that reads values raises."""
    relaxation = Relaxation(strict_classes=(1,), class_weight=1.0, tighten_at=0.5, border_weight=2.0)
    with FakeTensorMode() as mode:
        logits, target = (mode.from_tensor(each.detach()) for each in example())
        logits.requires_grad_()
        for progress in (0.0, 0.9):
            relaxation.loss(logits, target, progress).backward()


@pytest.mark.parametrize("window", [0, 2, -1])
def test_a_window_without_a_middle_is_refused(window: int) -> None:
    logits, target = example()
    with pytest.raises(ValueError, match="odd"):
        relaxed_ce(logits, target, window=window)
    with pytest.raises(FieldError, match="window"):
        Relaxation(window=window)


def test_the_defaults_are_eq_2_from_the_first_step_to_the_last() -> None:
    logits, target = example()
    for progress in (0.0, 0.99):
        assert torch.equal(Relaxation().loss(logits, target, progress), relaxed_ce(logits, target, window=3))


def test_after_tightening_every_pixel_has_its_own_class_and_boundaries_their_weight() -> None:
    logits, target = example()
    target[1] = 2  # an image without a boundary
    relaxation = Relaxation(tighten_at=0.5, border_weight=2.0)
    before, after = (relaxation.loss(logits, target, progress) for progress in (0.49, 0.5))
    assert torch.equal(before, relaxed_ce(logits, target, window=3))
    at_border = torch.tensor(
        [
            [[len(classes_around(target, b, y, x, 3)) > 1 for x in range(target.shape[2])] for y in range(4)]
            for b in range(len(target))
        ]
    )
    weighted = [
        (2.0 if at_border[b, y, x] else 1.0) * -logits[b, :, y, x].log_softmax(0)[target[b, y, x]]
        for b, y, x in (target != IGNORE).nonzero().tolist()
    ]
    assert_same(after, torch.stack(weighted).mean(), logits)
    assert 0 < at_border[target != IGNORE].sum() < (target != IGNORE).sum()
    assert "border_weight" in Relaxation().unused() and not relaxation.unused()
