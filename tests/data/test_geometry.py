"""Scale, crop and flip: aligned labels, padding, and uniform draws."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from assay.data import geometry as crops
from assay.data.geometry import Geometry, draw_geometry
from assay.data.normalize import IMAGENET, normalize
from assay.data.source import IGNORE
from assay.data.views import Augment

apply_geometry = functools.partial(crops.apply_geometry, padding=IMAGENET.padding)

COLOURS = np.array([[20, 200, 40], [220, 30, 90], [60, 70, 240], [240, 240, 10]], dtype=np.uint8)


def noise(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.integers(0, 4, (height, width), dtype=np.uint8)


def blocks(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return large blocks of class colours, from which the mask can be read off the image."""
    coarse = np.random.default_rng(seed).integers(0, 4, (height // 20 + 1, width // 20 + 1))
    mask = coarse.repeat(20, 0).repeat(20, 1)[:height, :width].astype(np.uint8)
    return COLOURS[mask], mask


def whole(height: int, width: int, **changes: object) -> Geometry:
    content = {"top": 0, "left": 0, "height": height, "width": width} | {
        "resized_height": height,
        "resized_width": width,
        "flip": False,
    }
    return Geometry(**(content | changes))


def draws(augment: Augment, height: int, width: int, number: int) -> list[Geometry]:
    rng = np.random.default_rng(0)
    return [draw_geometry(rng, height, width, augment) for _ in range(number)]


@given(
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    crop=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    scales=st.tuples(st.floats(0.01, 8), st.floats(0.01, 8)).map(lambda ends: tuple(sorted(ends))),
    fit=st.none() | st.integers(1, 600),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_rectangle_lies_inside_and_fits_the_crop(size, crop, scales, fit, seed):
    augment = Augment(crop=crop, scales=scales, fit=fit)
    geometry = draw_geometry(np.random.default_rng(seed), *size, augment)
    assert 0 <= geometry.top <= geometry.top + geometry.height <= size[0] and geometry.height >= 1
    assert 0 <= geometry.left <= geometry.left + geometry.width <= size[1] and geometry.width >= 1
    assert 1 <= geometry.resized_height <= crop[0]
    assert 1 <= geometry.resized_width <= crop[1]


@given(scale=st.floats(0.1, 4), crop=st.integers(1, 300), size=st.integers(1, 400), seed=st.integers(0, 1000))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_applied_scale_is_the_drawn_one_up_to_rounding(scale, crop, size, seed):
    augment = Augment(crop=(crop, crop), scales=(scale, scale))
    geometry = draw_geometry(np.random.default_rng(seed), size, size, augment)
    if geometry.resized_height < crop:
        assert geometry.height == size
        assert geometry.resized_height == max(1, round(size * scale))
    else:
        assert abs(geometry.height - crop / scale) <= 0.5 or geometry.height in (1, size)


@pytest.mark.parametrize("seed", range(12))
def test_labels_and_pixels_stay_aligned(seed: int):
    image, mask = blocks(150, 220, seed)
    augment = Augment(crop=(96, 112), scales=(0.4, 2.5))
    geometry = draw_geometry(np.random.default_rng(seed), 150, 220, augment)
    cropped, label, valid = apply_geometry(image, mask, geometry, augment.crop)
    distance = (cropped.unsqueeze(0).int() - torch.from_numpy(COLOURS).int().view(4, 3, 1, 1)).abs().sum(1)
    nearest_class = distance.argmin(dim=0)
    near_border = torch.zeros_like(valid)
    for dy, dx in ((0, 1), (1, 0)):
        changes = label != label.roll((dy, dx), (0, 1))
        near_border |= changes | changes.roll((-dy, -dx), (0, 1))
    inner = valid & ~near_border
    assert inner.float().mean() > 0.2
    assert torch.equal(nearest_class[inner], label[inner].long())


@pytest.mark.parametrize("scale", [0.25, 0.3, 0.5, 0.7, 1.5, 2.0])
@pytest.mark.parametrize("flip", [False, True])
def test_image_and_labels_are_not_shifted_by_part_of_a_pixel(scale: float, flip: bool):
    ramp = np.arange(240, dtype=np.uint8)[None].repeat(240, 0)
    side = round(200 * scale)
    geometry = whole(200, 200, top=20, left=20, resized_height=side, resized_width=side, flip=flip)
    for mask in (ramp, ramp.T):
        image = np.stack([mask] * 3, axis=2)
        cropped, label, _ = apply_geometry(image, mask, geometry, (side, side))
        shift = (cropped[0].double() - label.double()).mean().abs()  # in pixels of the source
        assert shift <= 0.51


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_resizing_the_rectangle_equals_cropping_the_resized_image(factor: float):
    image, mask = noise(80, 120)
    side = int(40 * factor)
    geometry = whole(40, 40, top=20, left=30, resized_height=side, resized_width=side)
    cropped, label, _ = apply_geometry(image, mask, geometry, (side, side))
    size = [int(80 * factor), int(120 * factor)]
    top, left = int(20 * factor), int(30 * factor)
    resized = tv.resize(torch.from_numpy(image).permute(2, 0, 1), size, antialias=True)
    expected = resized[:, top : top + side, left : left + side]
    inner = slice(1, -1)  # the outermost pixels depend on pixels across the rectangle's border
    difference = cropped[:, inner, inner].int() - expected[:, inner, inner].int()
    assert difference.abs().max() <= 1
    rows = ((np.arange(side) + 0.5) / factor).astype(int)
    assert np.array_equal(label.numpy(), mask[20:60, 30:70][rows[:, None], rows])


def test_a_scale_of_one_without_crop_and_flip_changes_nothing():
    image, mask = noise(30, 40)
    augment = Augment(crop=(30, 40), scales=(1.0, 1.0), flip=0)
    geometry = draw_geometry(np.random.default_rng(0), 30, 40, augment)
    cropped, label, valid = apply_geometry(image, mask, geometry, augment.crop)
    assert np.array_equal(cropped.permute(1, 2, 0).numpy(), image)
    assert np.array_equal(label.numpy(), mask)
    assert valid.all()


def test_a_flip_mirrors_image_labels_and_valid_pixels():
    image, mask = noise(30, 40)
    straight = apply_geometry(image, mask, whole(30, 40), (30, 40))
    mirrored = apply_geometry(image, mask, whole(30, 40, flip=True), (30, 40))
    for one, other in zip(straight, mirrored, strict=True):
        assert torch.equal(one.flip(-1), other)


@pytest.mark.parametrize("flip", [False, True])
def test_small_images_are_padded_at_the_right_and_at_the_bottom(flip: bool):
    image, mask = noise(20, 30)
    cropped, label, valid = apply_geometry(image, mask, whole(20, 30, flip=flip), (25, 40))
    expected = torch.zeros(25, 40, dtype=torch.bool)
    expected[:20, :30] = True
    assert torch.equal(valid, expected)
    assert (label[~expected] == IGNORE).all() and (label[expected] != IGNORE).all()
    assert normalize(cropped, IMAGENET)[:, ~expected].abs().max() < 0.01


def test_ignored_labels_are_no_padding():
    image, mask = noise(10, 10)
    mask[:5] = IGNORE
    _, label, valid = apply_geometry(image, mask, whole(10, 10), (10, 10))
    assert valid.all() and (label[:5] == IGNORE).all()


def test_fitting_keeps_the_ratio():
    augment = Augment(crop=(50, 50), fit=50, scales=(1.0, 1.0))
    geometry = draw_geometry(np.random.default_rng(0), 100, 200, augment)
    assert (geometry.height, geometry.width) == (100, 200)
    assert (geometry.resized_height, geometry.resized_width) == (25, 50)


def test_fitting_and_scaling_are_multiplied():
    augment = Augment(crop=(50, 50), fit=50, scales=(2.0, 2.0))
    geometry = draw_geometry(np.random.default_rng(0), 100, 200, augment)
    assert (geometry.height, geometry.width) == (100, 100)
    assert (geometry.resized_height, geometry.resized_width) == (50, 50)


def test_a_tiny_scale_leaves_a_pixel():
    image, mask = noise(3, 500)
    augment = Augment(crop=(8, 8), scales=(0.001, 0.001))
    geometry = draw_geometry(np.random.default_rng(0), 3, 500, augment)
    _, _, valid = apply_geometry(image, mask, geometry, augment.crop)
    assert valid.sum() == 1


def test_scales_of_a_range_are_uniform():
    heights = [each.resized_height for each in draws(Augment(crop=(400, 400), scales=(0.5, 2.0)), 200, 200, 3000)]
    counts, _ = np.histogram(heights, bins=4, range=(100, 400))
    assert np.abs(counts - 750).max() < 5 * np.sqrt(750)


def test_scales_of_a_list_are_drawn_from_the_list():
    augment = Augment(crop=(400, 400), scales=(0.5, 1.0, 1.75), scale_draw="list")
    heights = [each.resized_height for each in draws(augment, 200, 200, 900)]
    sizes, counts = np.unique(heights, return_counts=True)
    assert sizes.tolist() == [100, 200, 350]
    assert np.abs(counts - 300).max() < 5 * np.sqrt(300)


def test_every_position_is_equally_likely():
    geometries = draws(Augment(crop=(10, 20), scales=(1.0, 1.0)), 14, 27, 4000)
    for side, positions in (("top", 5), ("left", 8)):
        counts = np.bincount([getattr(geometry, side) for geometry in geometries])
        assert len(counts) == positions
        assert np.abs(counts - 4000 / positions).max() < 5 * np.sqrt(4000 / positions)


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_flips_are_as_frequent_as_their_chance(chance: float, share: float):
    flips = np.mean([each.flip for each in draws(Augment(flip=chance), 10, 10, 2000)])
    assert abs(flips - share) < 0.05


def test_the_augmentation_does_not_change_how_many_numbers_are_drawn():
    next_numbers = set()
    for augment in (Augment(), Augment(fit=10, flip=0, scales=(1.0, 2.0, 3.0), scale_draw="list")):
        rng = np.random.default_rng(1)
        draw_geometry(rng, 50, 60, augment)
        next_numbers.add(rng.random())
    assert len(next_numbers) == 1


@given(
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    crop=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    scale=st.floats(0.1, 4),
    position=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_rectangle_contains_a_given_point(size, crop, scale, position, seed):
    augment = Augment(crop=crop, scales=(scale, scale))
    row, column = int(position[0] * size[0]), int(position[1] * size[1])
    rng, free = np.random.default_rng(seed), np.random.default_rng(seed)
    geometry = draw_geometry(rng, *size, augment, point=(row, column))
    without_point = draw_geometry(free, *size, augment)
    assert geometry.top <= row < geometry.top + geometry.height
    assert geometry.left <= column < geometry.left + geometry.width
    assert 0 <= geometry.top <= size[0] - geometry.height and 0 <= geometry.left <= size[1] - geometry.width
    moved = {"top": without_point.top, "left": without_point.left}
    assert dataclasses.replace(geometry, **moved) == without_point
    assert rng.random() == free.random()


def test_every_position_that_contains_the_point_is_equally_likely():
    rng = np.random.default_rng(0)
    augment = Augment(crop=(10, 10), scales=(1.0, 1.0))
    drawn = [draw_geometry(rng, 40, 40, augment, point=(20, 3)) for _ in range(4000)]
    for side, first, positions in (("top", 11, 10), ("left", 0, 4)):
        counts = np.bincount([getattr(geometry, side) - first for geometry in drawn])
        assert len(counts) == positions
        assert np.abs(counts - 4000 / positions).max() < 5 * np.sqrt(4000 / positions)


def test_only_the_given_generator_is_used():
    image, mask = noise(50, 60)
    np_before, torch_before = np.random.get_state()[1].tobytes(), torch.get_rng_state()
    geometry = draw_geometry(np.random.default_rng(2), 50, 60, Augment())
    apply_geometry(image, mask, geometry, (64, 64))
    assert geometry == draw_geometry(np.random.default_rng(2), 50, 60, Augment())
    assert np.random.get_state()[1].tobytes() == np_before
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.filterwarnings("error")
def test_read_only_and_mirrored_arrays_are_accepted_and_not_changed():
    image, mask = noise(20, 20)
    before = image.copy()
    image.setflags(write=False)
    cropped, _, _ = apply_geometry(image[:, ::-1], mask[:, ::-1], whole(20, 20), (20, 20))
    cropped.zero_()
    assert np.array_equal(image, before)


def test_results_are_contiguous_and_of_the_documented_types():
    image, mask = noise(20, 20)
    results = apply_geometry(image, mask, whole(20, 20, flip=True), (24, 24))
    assert [each.dtype for each in results] == [torch.uint8, torch.uint8, torch.bool]
    assert [tuple(each.shape) for each in results] == [(3, 24, 24), (24, 24), (24, 24)]
    assert all(each.is_contiguous() for each in results)
