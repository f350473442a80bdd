"""Drawn images: sizes, independence of images, exact masks, and the difficulty of the task."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from assay.data.sources import shapes
from assay.data.sources.shapes import Shapes
from assay.errors import FieldError
from assay.places import Places

NOWHERE = Places()


def many(source: Shapes, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    pairs = [source.read(image_id, NOWHERE) for image_id in source.ids("train", NOWHERE)[:count]]
    return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])


def test_an_image_and_its_mask_have_the_given_size():
    image, mask = Shapes(size=40).read("train-000003", NOWHERE)
    assert (image.shape, image.dtype) == ((40, 40, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((40, 40), np.uint8)


def test_pools_hold_the_given_numbers_of_images_and_share_none():
    source = Shapes(num_train=5, num_val=3)
    train, val = source.ids("train", NOWHERE), source.ids("val", NOWHERE)
    assert train == tuple(f"train-{index:06}" for index in range(5))
    assert val == tuple(f"val-{index:06}" for index in range(3))


def test_an_image_does_not_depend_on_images_drawn_before():
    first = Shapes().read("train-000007", NOWHERE)
    shapes._draw.cache_clear()
    for image_id in ("val-000001", "train-000008"):
        Shapes().read(image_id, NOWHERE)
    again = Shapes(num_train=8).read("train-000007", NOWHERE)
    assert first[0] is not again[0]
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_images_differ_between_ids_seeds_and_worlds():
    sources = [Shapes(), Shapes(seed=1), Shapes(world=1)]
    ids = ("train-000000", "train-000001", "val-000000")
    images = [source.read(image_id, NOWHERE)[0] for source in sources for image_id in ids]
    assert all((one != other).mean() > 0.5 for one, other in itertools.combinations(images, 2))


def test_a_reader_cannot_change_the_cached_image():
    image, mask = Shapes().read("train-000000", NOWHERE)
    for array in (image, mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@pytest.mark.parametrize("world", [0, 1])
def test_every_class_is_drawn_and_none_fills_the_image(world):
    source = Shapes(world=world)
    _, masks = many(source, 200)
    shares = np.bincount(masks.ravel(), minlength=source.num_classes()) / masks.size
    assert len(shares) == source.num_classes() == 6
    assert shares[0] < 0.75
    assert shares[1:].min() > 0.02


@pytest.mark.parametrize("world", [0, 1])
def test_the_mean_colour_under_each_class_of_the_mask_is_the_colour_of_the_class(world):
    source = Shapes(world=world)
    images, masks = many(source, 300)
    light = np.mean(shapes.LIGHT)
    for label, colour in enumerate(source.palette()):
        mean = images[masks == label].mean(axis=0)
        assert np.abs(mean - light * np.array(colour)).max() < 12


def test_the_mask_is_exact(monkeypatch):
    for constant in ("COLOUR_SPREAD", "PIXEL_NOISE", "TEXTURE"):
        monkeypatch.setattr(shapes, constant, 0.0)
    monkeypatch.setattr(shapes, "LIGHT", (1.0, 1.0))
    palette = np.array(Shapes().palette())
    for index in range(20):
        image, mask = shapes._draw.__wrapped__(0, 32, 0, "train", index)
        np.testing.assert_array_equal(image, palette[mask])


def test_the_colour_of_a_single_pixel_does_not_decide_its_class():
    images, masks = many(Shapes(), 200)
    palette = np.array(Shapes().palette()) * np.mean(shapes.LIGHT)
    distance = ((images[..., None, :] - palette) ** 2).sum(-1)
    nearest = distance.argmin(-1)
    objects = masks > 0
    accuracy = (nearest == masks)[objects].mean()
    assert 1 / 6 < accuracy < 0.75


def test_the_two_worlds_share_neither_names_nor_colours_of_objects():
    one, other = Shapes(world=0), Shapes(world=1)
    assert not set(one.classes()[1:]) & set(other.classes()[1:])
    assert not set(one.palette()) & set(other.palette())
    assert len(set(one.palette() + other.palette())) == 12


def test_forms_of_a_world_overlap_only_in_part():
    v, u = np.mgrid[-1.1:1.1:64j, -1.1:1.1:64j]
    for world in shapes._WORLDS:
        forms = [shapes._FORMS[name](u, v) for name in world if name != "ground"]
        for one, other in itertools.combinations(forms, 2):
            assert (one & other).sum() / (one | other).sum() < 0.87


def test_a_third_world_is_refused():
    with pytest.raises(FieldError, match="world must be one of 0, 1"):
        Shapes(world=2)
