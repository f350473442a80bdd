"""Drawn images: sizes, independence of images, exact masks, and the conditions that make the task a fair one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from assay.data.draws import generator
from assay.data.sources import textures
from assay.data.sources.textures import Textures
from assay.errors import FieldError
from assay.places import Places

NOWHERE = Places()
BOTH_WORLDS = pytest.mark.parametrize("world", [0, 1])


def many(source: Textures, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    pairs = [source.read(image_id, NOWHERE) for image_id in source.ids("train", NOWHERE)[:count]]
    return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])


def surface(world: int, name: str, index: int) -> np.ndarray:
    """Return a texture's values over 64 x 64 pixels, eight periods wide."""
    _, texture = textures._WORLDS[world][name]
    across, along = np.mgrid[0:64, 0:64] * 2 * np.pi / 8
    return texture(across, along, generator(0, "test", index))


def test_an_image_and_its_mask_have_the_given_size():
    image, mask = Textures(size=40).read("train-000003", NOWHERE)
    assert (image.shape, image.dtype) == ((40, 40, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((40, 40), np.uint8)


def test_pools_hold_the_given_numbers_of_images_and_share_none():
    source = Textures(num_train=5, num_val=3)
    train, val = source.ids("train", NOWHERE), source.ids("val", NOWHERE)
    assert train == tuple(f"train-{index:06}" for index in range(5))
    assert val == tuple(f"val-{index:06}" for index in range(3))


def test_an_image_does_not_depend_on_images_drawn_before():
    first = Textures().read("train-000007", NOWHERE)
    textures._draw.cache_clear()
    for image_id in ("val-000001", "train-000008"):
        Textures().read(image_id, NOWHERE)
    again = Textures(num_train=8).read("train-000007", NOWHERE)
    assert first[0] is not again[0]
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_images_differ_between_ids_seeds_and_worlds():
    sources = [Textures(), Textures(seed=1), Textures(world=1)]
    ids = ("train-000000", "train-000001", "val-000000")
    images = [source.read(image_id, NOWHERE)[0] for source in sources for image_id in ids]
    assert all((one != other).mean() > 0.5 for one, other in itertools.combinations(images, 2))


def test_a_reader_cannot_change_the_cached_image():
    image, mask = Textures().read("train-000000", NOWHERE)
    for array in (image, mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@BOTH_WORLDS
def test_every_class_is_drawn_and_none_fills_the_image(world):
    source = Textures(world=world)
    _, masks = many(source, 200)
    shares = np.bincount(masks.ravel(), minlength=source.num_classes()) / masks.size
    assert len(shares) == source.num_classes() == 6
    assert shares[0] < 0.75
    assert shares[1:].min() > 0.05


@BOTH_WORLDS
def test_the_mask_is_exact(world, monkeypatch):
    for constant, value in (("PIXEL_NOISE", 0.0), ("SLOPE", 0.0), ("CONTRAST", (0.0, 0.0))):
        monkeypatch.setattr(textures, constant, value)
    for index in range(20):
        image, mask = textures._draw.__wrapped__(world, 32, 0, "train", index)
        ground, objects = np.unique(image[mask == 0], axis=0), np.unique(image[mask > 0], axis=0)
        assert len(ground) <= 1 and len(objects) <= textures.OBJECTS[1]
        assert not {tuple(colour) for colour in ground} & {tuple(colour) for colour in objects}


@BOTH_WORLDS
def test_colour_does_not_tell_the_class_of_an_object(world):
    images, masks = many(Textures(world=world), 400)
    learned, held_out = (slice(0, 200), slice(200, 400))
    colours = [images[learned][masks[learned] == label].mean(axis=0) for label in range(1, 6)]
    objects = masks[held_out] > 0
    distance = ((images[held_out][objects][:, None, :] - np.array(colours)) ** 2).sum(-1)
    accuracy = (distance.argmin(-1) + 1 == masks[held_out][objects]).mean()
    assert accuracy < 0.3  # one of five is 0.2


@BOTH_WORLDS
def test_textures_have_similar_strengths(world):
    for name, (_, texture) in textures._WORLDS[world].items():
        if texture is not None:
            values = surface(world, name, 0)
            assert values.min() >= -1 and values.max() <= 1 and np.ptp(values) > 1.3, name
            assert 0.5 < values.std() < 0.85, name


def test_grey_images_keep_the_textures(monkeypatch):
    monkeypatch.setattr(textures, "SLOPE", 0.0)
    down, right = np.mgrid[-16:16, -16:16] + 0.5
    shares = []
    for index in range(300):
        colours = textures._surface(generator(0, "grey", index), textures._rows, down, right, 32)
        grey = colours @ np.array([0.2989, 0.587, 0.114])
        shares.append(grey.std() / np.sqrt(colours.var(axis=(0, 1)).sum()))
    assert (
        np.quantile(shares, 0.05) > 0.25 and np.median(shares) > 0.5
    )  # a neutral contrast has 0.577, a blue one 0.114


def test_rows_and_columns_differ_by_their_direction_alone():
    rows, columns = surface(0, "rows", 0), surface(0, "columns", 0)
    np.testing.assert_allclose(rows, columns.T)
    assert np.ptp(rows, axis=1).max() < 1e-9 and np.ptp(rows, axis=0).min() > 1.9


def test_a_mirror_image_keeps_the_class_because_diagonals_run_both_ways():
    drawn = [surface(1, "diagonals", index) for index in range(20)]
    falling = [np.allclose(values[1:, 1:], values[:-1, :-1]) for values in drawn]
    rising = [np.allclose(values[1:, :-1], values[:-1, 1:]) for values in drawn]
    assert any(falling) and any(rising) and all(a != b for a, b in zip(falling, rising, strict=True))


def test_the_two_worlds_share_neither_names_nor_colours_of_the_palette():
    one, other = Textures(world=0), Textures(world=1)
    assert not set(one.classes()[1:]) & set(other.classes()[1:])
    assert len(set(one.palette() + other.palette())) == 12


def test_a_third_world_is_refused():
    with pytest.raises(FieldError, match="world must be one of 0, 1"):
        Textures(world=2)
