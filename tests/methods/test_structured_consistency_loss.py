"""The structured consistency loss against plain loops over boxes and pairs, and its draw against counting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from loss_checks import assert_same
from scipy import stats
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from assay.data.boxes import draw_boxes, paint
from assay.data.views import Boxes
from methods.losses import structured_consistency
from methods.losses.pixel_pairs import BoxPixels, PixelPairs, draw_pairs
from methods.losses.subsets import draw_subsets
from methods.structured_consistency import ManyBoxes

IMAGES, CLASSES, SIZE = 3, 4, 12


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def predictions(seed: int, shape: tuple[int, ...] = (IMAGES, CLASSES, SIZE, SIZE)) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64).softmax(1)


def pasted(boxes: Boxes, size: int = SIZE, images: int = IMAGES, seed: int = 0) -> torch.Tensor:
    """Return the owners of boxes that the project draws."""
    rng = np.random.default_rng(seed)
    corners = np.stack([draw_boxes(rng, size, size, boxes) for _ in range(images)])
    return paint(torch.from_numpy(corners), size, size, "union")[1]


def all_pairs(owner: torch.Tensor, box: int, *, self_pairs: bool) -> list[tuple[int, int]]:
    """Return T_n x T_n of one image."""
    pixels = [place for place, index in enumerate(owner.flatten().tolist()) if index == box]
    return [(i, j) for i in pixels for j in pixels if self_pairs or i != j]


def kept_pairs(kept: PixelPairs, image: int, box: int) -> list[tuple[int, int]]:
    first, second, counts = (each[image, box].tolist() for each in (kept.first, kept.second, kept.counts))
    return [(i, j) for i, j, counted in zip(first, second, counts, strict=True) if counted]


def plain_loss(
    student: torch.Tensor, teacher: torch.Tensor, pairs: list[list[list[tuple[int, int]]]], number: int
) -> torch.Tensor:
    """Return Eq. 10 of the pairs of each image and box, pair by pair."""
    images = []
    for b, of_image in enumerate(pairs):
        total = student.new_zeros(())
        for of_box in of_image:
            squares = []
            for i, j in of_box:
                similarity = []
                for p in (student[b].flatten(1), teacher[b].flatten(1)):
                    dot = sum(p[c, i] * p[c, j] for c in range(len(p)))
                    lengths = [sum(p[c, k] ** 2 for c in range(len(p))) ** 0.5 for k in (i, j)]
                    similarity.append(dot / (lengths[0] * lengths[1]))
                squares.append((similarity[0] - similarity[1]) ** 2)
            total = total + (torch.stack(squares).mean() if squares else 0.0)
        images.append(total / number)
    return torch.stack(images).mean()


@pytest.mark.parametrize("drop", ["pairs", "pixels"])
@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("padded", [False, True])
def test_the_loss_is_that_of_a_plain_loop_with_the_same_draw(drop: str, self_pairs: bool, padded: bool) -> None:
    student, teacher = predictions(1).requires_grad_(), predictions(2)
    owner = pasted(Boxes(num_boxes=6, area=(0.75, 0.75)))
    valid = torch.ones(owner.shape, dtype=torch.bool)
    if padded:
        valid[1:, :, SIZE // 2 :] = False
    how: dict[str, Any] = {"drop": drop, "self_pairs": self_pairs}
    inside = torch.where(valid, owner, -1)
    kept = draw_pairs(BoxPixels.of(inside, 4, 6), 20, seeded(), **how)
    pairs = [[kept_pairs(kept, image, box) for box in range(4)] for image in range(IMAGES)]
    for image in range(IMAGES):
        for box in range(4):
            possible = all_pairs(inside[image], 2 + box, self_pairs=self_pairs)
            assert len(set(pairs[image][box])) == len(pairs[image][box]) and set(pairs[image][box]) <= set(possible)
            if drop == "pairs":
                assert len(pairs[image][box]) == min(20, len(possible))
    loss = structured_consistency(
        student, teacher, owner, boxes=4, pairs=20, generator=seeded(), valid=valid if padded else None, **how
    )
    assert_same(loss, plain_loss(student, teacher, pairs, 4), student)


def test_with_enough_pairs_it_is_eq_8_over_whole_boxes_whatever_the_seed() -> None:
    student, teacher = predictions(1).requires_grad_(), predictions(2)
    owner = pasted(Boxes(num_boxes=5, area=(0.4, 0.4)))
    pairs = [[all_pairs(owner[b], n, self_pairs=True) for n in range(5)] for b in range(IMAGES)]
    most = max(len(of_box) for of_image in pairs for of_box in of_image)
    expected = plain_loss(student, teacher, pairs, 5)
    for seed in (0, 1):
        loss = structured_consistency(student, teacher, owner, boxes=5, pairs=most, generator=seeded(seed))
        torch.testing.assert_close(loss, expected)
    largest = math.isqrt(most)
    bounded = structured_consistency(student, teacher, owner, boxes=5, pairs=10**6, largest=largest, generator=seeded())
    assert_same(bounded, expected, student)
    expected = expected.detach()
    fewer = structured_consistency(student, teacher, owner, boxes=5, pairs=most // 4, generator=seeded())
    assert not torch.isclose(fewer, expected, rtol=1e-6)


def test_boxes_that_are_covered_or_have_one_pixel_add_0_and_still_count() -> None:
    student, teacher = (predictions(seed, (1, CLASSES, 4, 4)) for seed in (1, 2))
    # In the order of pasting: 0 is covered by 1, 2 is one pixel, 3 is the only one with a difference.
    corners = torch.tensor([[[0, 0, 2, 2], [0, 0, 2, 2], [3, 3, 4, 4], [2, 0, 4, 2]]])
    _, owner = paint(corners, 4, 4, "union")
    assert set(owner.flatten().tolist()) == {-1, 1, 2, 3}

    def loss(boxes: int) -> float:
        return structured_consistency(
            student, teacher, owner, boxes=boxes, pairs=100, generator=seeded(), num_boxes=4
        ).item()

    assert loss(1) > 1e-4
    assert loss(2) == pytest.approx(loss(1) / 2, rel=1e-9)
    equal = torch.where(owner.unsqueeze(1) == 1, teacher, student)
    with_covered = structured_consistency(equal, teacher, owner, boxes=4, pairs=100, generator=seeded())
    assert with_covered.item() == pytest.approx(loss(1) / 4, rel=1e-9)


def test_without_any_visible_pixel_it_is_a_differentiable_zero() -> None:
    student, teacher = predictions(1).requires_grad_(), predictions(2)
    nothing = torch.zeros(IMAGES, SIZE, SIZE, dtype=torch.bool)
    owner = pasted(Boxes(num_boxes=3))
    loss = structured_consistency(student, teacher, owner, boxes=3, pairs=5, generator=seeded(), valid=nothing)
    loss.backward()
    assert loss.item() == 0.0 and torch.equal(student.grad, torch.zeros_like(student))


def test_the_last_boxes_are_those_of_owner_max_unless_their_number_is_given() -> None:
    student, teacher = predictions(1), predictions(2)
    owner = pasted(Boxes(num_boxes=6))
    last = structured_consistency(student, teacher, owner, boxes=2, pairs=9, generator=seeded())
    same = structured_consistency(student, teacher, owner, boxes=2, num_boxes=6, pairs=9, generator=seeded())
    assert torch.equal(last, same)
    # More than there are: all of them, and their number divides.
    whole, too_many = (
        structured_consistency(student, teacher, owner, boxes=boxes, pairs=2000, generator=seeded()) for boxes in (6, 9)
    )
    torch.testing.assert_close(whole, too_many)


def test_vectors_of_zeros_have_no_similarity_and_no_gradient() -> None:
    student, teacher = predictions(1), predictions(2)
    student[:, :, 0] = 0
    student.requires_grad_()
    owner = torch.zeros(IMAGES, SIZE, SIZE, dtype=torch.int16)
    structured_consistency(student, teacher, owner, boxes=1, pairs=300, generator=seeded()).backward()
    assert student.grad.isfinite().all() and not student.grad[:, :, 0].any() and student.grad[:, :, 1].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_it_is_computed_in_single_precision_at_least(dtype: torch.dtype) -> None:
    student, teacher = (predictions(seed).to(dtype).requires_grad_(seed == 1) for seed in (1, 2))
    owner = pasted(Boxes(num_boxes=3))
    loss = structured_consistency(student, teacher, owner, boxes=3, pairs=50, generator=seeded())
    loss.backward()
    assert loss.dtype == torch.float32 and student.grad.dtype == dtype
    doubles = (each.detach().double().requires_grad_() for each in (student, teacher))
    exact = structured_consistency(*doubles, owner, boxes=3, pairs=50, generator=seeded())
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)


def subset_counts(population: int, size: int, draws: int) -> dict[tuple[int, ...], int]:
    """Return how often each subset is drawn."""
    members, counts = draw_subsets(torch.full((draws,), population), size, seeded(7))
    rows, times = torch.unique(torch.where(counts, members, -1), dim=0, return_counts=True)
    return dict(zip(map(tuple, rows.tolist()), times.tolist(), strict=True))


@pytest.mark.parametrize(("population", "size"), [(5, 1), (5, 3), (6, 5), (9, 2), (7, 4)])
def test_every_subset_is_equally_likely(population: int, size: int) -> None:
    subsets = math.comb(population, size)
    counts = subset_counts(population, size, 400 * subsets)
    assert len(counts) == subsets and all(row == tuple(sorted(set(row))) for row in counts)
    assert min(row[0] for row in counts) >= 0 and max(row[-1] for row in counts) == population - 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_members_of_a_large_population_are_equally_likely_and_never_repeat() -> None:
    population, size = 160_000_000, 9000
    members, counts = draw_subsets(torch.full((8,), population), size, seeded(3))
    assert counts.all() and (members.diff(dim=1) > 0).all()
    bins = torch.bincount((members.flatten() * 40) // population, minlength=40)
    assert len(bins) == 40 and stats.chisquare(bins.numpy()).pvalue > 1e-3


@pytest.mark.parametrize("population", [0, 1, 4, 5])
def test_a_population_that_is_not_larger_than_the_subset_is_kept_whole(population: int) -> None:
    members, counts = draw_subsets(torch.tensor([[population]]), 5, seeded())
    assert members[counts].tolist() == list(range(population)) and not members[~counts].any()


def test_the_draw_is_seeded() -> None:
    population = torch.full((2, 3), 1000)
    first, again, other = (draw_subsets(population, 10, seeded(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len({tuple(row) for row in first.flatten(0, 1).tolist()}) == 6  # each row has a draw of its own


def test_no_value_is_read_back_from_the_device() -> None:
    """Fake tensors have shapes and no values: an operator that reads values raises."""
    real = pasted(Boxes(num_boxes=6))
    with FakeTensorMode() as mode:
        with pytest.raises(DynamicOutputShapeException):
            mode.from_tensor(real).nonzero()
        student, teacher, owner = (mode.from_tensor(each) for each in (predictions(1), predictions(2), real))
        student.requires_grad_()
        for drop in ("pairs", "pixels"):
            loss = structured_consistency(
                student, teacher, owner, boxes=4, pairs=20, generator=seeded(), valid=owner > -2, drop=drop
            )
            loss.backward()
        assert loss.shape == () and student.grad.shape == student.shape


class LargestOutput(TorchDispatchMode):
    """The number of elements of the largest tensor that an operator returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(each, torch.Tensor):
                self.largest = max(self.largest, each.numel())
        return result


def test_no_tensor_is_larger_than_the_predictions() -> None:
    size = 64
    student, teacher = (predictions(seed, (1, CLASSES, size, size)).requires_grad_(seed == 1) for seed in (1, 2))
    owner = torch.zeros(1, size, size, dtype=torch.int16)  # one box, and a similarity matrix of size^4 numbers
    with LargestOutput() as outputs:
        structured_consistency(student, teacher, owner, boxes=1, pairs=100, generator=seeded()).backward()
    assert outputs.largest == CLASSES * size**2


def test_the_papers_boxes_cover_half_of_the_image_and_its_last_ones_are_hardly_covered() -> None:
    boxes, size, images = ManyBoxes(), 128, 200
    owner = pasted(boxes, size, images)
    assert abs((owner >= 0).double().mean().item() - 0.50) < 0.01
    visible = BoxPixels.of(owner, 16, boxes.num_boxes).visible
    assert (visible > 0).double().mean() > 0.999
    whole = boxes.area[0] / boxes.num_boxes * size**2
    assert abs(visible.double().mean().item() / whole - 0.82) < 0.02  # derived in the material: 82 % of the last 16
