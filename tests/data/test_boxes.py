"""CutMix boxes: their shares, positions and painting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.boxes import draw_boxes, largest_box, paint
from assay.data.views import Boxes


def paint_by_pixel(boxes: np.ndarray, height: int, width: int, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mask and owners, computed pixel by pixel and box by box."""
    mask = np.zeros((len(boxes), height, width), dtype=bool)
    owner = np.full((len(boxes), height, width), -1, dtype=np.int16)
    for image, y, x in np.ndindex(mask.shape):
        for index, (top, left, bottom, right) in enumerate(boxes[image]):
            if top <= y < bottom and left <= x < right:
                owner[image, y, x] = index
                mask[image, y, x] = not mask[image, y, x] if rule == "toggle" else True
    return mask, owner


def draw_many(number: int, height: int, width: int, boxes: Boxes, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([draw_boxes(rng, height, width, boxes) for _ in range(number)])


def mean_share(boxes: Boxes, number: int, size: int = 128) -> float:
    mask, _ = paint(torch.from_numpy(draw_many(number, size, size, boxes)), size, size, boxes.rule)
    return mask.float().mean().item()


@pytest.mark.parametrize("rule", ["union", "toggle"])
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    num_boxes=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_painting_equals_painting_by_pixel(rule, height, width, num_boxes, seed):
    boxes = draw_many(3, height, width, Boxes(num_boxes=num_boxes, area=(0.3, 1.0)), seed)
    mask, owner = paint(torch.from_numpy(boxes), height, width, rule)
    expected_mask, expected_owner = paint_by_pixel(boxes, height, width, rule)
    assert np.array_equal(mask.numpy(), expected_mask)
    assert np.array_equal(owner.numpy(), expected_owner)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    num_boxes=st.integers(1, 40),
    area=st.tuples(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0)).map(lambda ends: tuple(sorted(ends))),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_box_lies_inside_and_covers_a_pixel(height, width, num_boxes, area, seed):
    boxes = Boxes(num_boxes=num_boxes, area=area)
    top, left, bottom, right = draw_boxes(np.random.default_rng(seed), height, width, boxes).T
    assert len(top) == num_boxes
    assert (top >= 0).all() and (top < bottom).all() and (bottom <= height).all()
    assert (left >= 0).all() and (left < right).all() and (right <= width).all()


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    num_boxes=st.integers(1, 40),
    area=st.tuples(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0)).map(lambda ends: tuple(sorted(ends))),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_box_is_larger_than_the_largest_one(height, width, num_boxes, area):
    boxes = Boxes(num_boxes=num_boxes, area=area)
    top, left, bottom, right = draw_many(20, height, width, boxes).reshape(-1, 4).T
    assert ((bottom - top) * (right - left)).max() <= largest_box(height, width, boxes)


@pytest.mark.parametrize(("size", "largest"), [(32, 25), (896, 19000)])
def test_the_largest_box_is_close_to_its_share_of_the_image(size: int, largest: int):
    boxes = Boxes(num_boxes=32, area=(0.75, 0.75))
    drawn = draw_many(300, size, size, boxes).reshape(-1, 4)
    areas = (drawn[:, 2] - drawn[:, 0]) * (drawn[:, 3] - drawn[:, 1])
    assert areas.max() <= largest_box(size, size, boxes) <= largest


@pytest.mark.parametrize(("share", "num_boxes"), [(0.5, 1), (0.5, 3), (0.75, 32)])
def test_each_box_covers_its_share_of_a_large_image(share: float, num_boxes: int):
    size = 20000  # so large that rounding a side by half a pixel does not matter
    boxes = draw_many(20, size, size, Boxes(num_boxes=num_boxes, area=(share, share))).astype(np.float64)
    shares = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) / size**2
    np.testing.assert_allclose(shares, share / num_boxes, rtol=2e-3)


def test_shares_are_uniform_in_their_range():
    size = 20000
    boxes = draw_many(3000, size, size, Boxes(area=(0.2, 0.6))).astype(np.float64)[:, 0]
    shares = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / size**2
    counts, _ = np.histogram(shares, bins=4, range=(0.2, 0.6))
    assert np.abs(counts - 750).max() < 5 * np.sqrt(750)


def test_height_shares_are_log_uniform():
    size = 20000
    boxes = draw_many(3000, size, size, Boxes(area=(0.25, 0.25))).astype(np.float64)[:, 0]
    u = np.log((boxes[:, 2] - boxes[:, 0]) / size) / np.log(0.25)
    counts, _ = np.histogram(u, bins=4, range=(0, 1))
    assert np.abs(counts - 750).max() < 5 * np.sqrt(750)


def test_every_position_inside_is_equally_likely():
    boxes = draw_many(8000, 8, 8, Boxes(area=(0.25, 0.25)))[:, 0]
    four_high = boxes[boxes[:, 2] - boxes[:, 0] == 4]
    counts = np.bincount(four_high[:, 0], minlength=5)
    expected = len(four_high) / 5
    assert len(counts) == 5 and len(four_high) > 500
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("boxes", "share"),
    [
        (Boxes(num_boxes=32, area=(0.5, 0.5)), 0.38),
        (Boxes(num_boxes=32, area=(0.75, 0.75)), 0.50),
        (Boxes(num_boxes=3, area=(0.25, 0.5), rule="toggle"), 0.25),
        (Boxes(num_boxes=1, area=(0.5, 0.5)), 0.50),
        (Boxes(num_boxes=32, area=(0.5, 0.5), rule="toggle"), 0.30),
    ],
)
def test_the_papers_boxes_cover_the_known_share(boxes: Boxes, share: float):
    assert abs(mean_share(boxes, number=1000) - share) < 0.01


def test_the_owner_of_a_pixel_is_the_box_pasted_last():
    boxes = torch.tensor([[[0, 0, 4, 4], [1, 1, 3, 3], [2, 0, 3, 4]]])
    _, owner = paint(boxes, 4, 5, "union")
    assert owner[0].tolist() == [[0, 0, 0, 0, -1], [0, 1, 1, 0, -1], [2, 2, 2, 2, -1], [0, 0, 0, 0, -1]]


def test_a_pixel_under_two_toggling_boxes_is_outside_the_mask():
    boxes = torch.tensor([[[0, 0, 2, 2], [1, 1, 3, 3]]])
    mask, owner = paint(boxes, 3, 3, "toggle")
    assert mask[0].int().tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    assert owner[0, 1, 1] == 1


def test_types_are_those_of_box_maps():
    mask, owner = paint(torch.tensor([[[0, 0, 1, 1]]]), 2, 2, "union")
    assert mask.dtype == torch.bool and owner.dtype == torch.int16


def test_area_and_size_do_not_change_how_many_numbers_are_drawn():
    next_numbers = set()
    for area, size in (((0.1, 0.1), 10), ((0.2, 1.0), 999)):
        rng = np.random.default_rng(1)
        draw_boxes(rng, size, size, Boxes(num_boxes=5, area=area))
        next_numbers.add(rng.random())
    assert len(next_numbers) == 1


def test_only_the_given_generator_is_used():
    np_before, torch_before = np.random.get_state()[1].tobytes(), torch.get_rng_state()
    boxes = draw_boxes(np.random.default_rng(2), 50, 60, Boxes(num_boxes=4))
    paint(torch.from_numpy(boxes)[None], 50, 60, "toggle")
    assert np.array_equal(boxes, draw_boxes(np.random.default_rng(2), 50, 60, Boxes(num_boxes=4)))
    assert np.random.get_state()[1].tobytes() == np_before
    assert torch.equal(torch.get_rng_state(), torch_before)
