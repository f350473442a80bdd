"""Panels: encoded and decoded again."""

from __future__ import annotations

import io

import numpy as np
import pytest

from assay.results.panel import IGNORE, WHITE, Panel, decode, encode

PALETTE = [[0, 0, 0], [255, 0, 0]]
CLASSES = ("ground", "disc")


def images(*sizes: tuple[int, int]) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Return drawn images of these heights and widths, with truths and predictions."""
    draw = np.random.default_rng(0)
    return (
        [draw.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes],
        [draw.integers(0, 2, size, dtype=np.uint8) for size in sizes],
        [draw.integers(0, 2, size, dtype=np.uint8) for size in sizes],
    )


def test_images_of_one_size_come_back() -> None:
    drawn = images((4, 5), (4, 5))
    panel = decode(encode(*drawn), PALETTE, CLASSES)
    assert panel is not None
    for array, expected in zip((panel.images, panel.truths, panel.predictions), drawn, strict=True):
        assert np.array_equal(array, np.stack(expected))
    assert (list(panel.palette), panel.classes) == ([(0, 0, 0), (255, 0, 0)], CLASSES)


def test_smaller_images_are_padded_with_pixels_that_do_not_count() -> None:
    drawn = images((4, 5), (2, 3))
    panel = decode(encode(*drawn), PALETTE, CLASSES)
    assert panel is not None and panel.images.shape == (2, 4, 5, 3)
    assert np.array_equal(panel.truths[1, :2, :3], drawn[1][1])
    assert (panel.images[1, 2:] == WHITE).all() and (panel.images[1, :, 3:] == WHITE).all()
    for array in (panel.truths[1], panel.predictions[1]):
        assert (array[2:] == IGNORE).all() and (array[:, 3:] == IGNORE).all()


def test_the_archive_has_three_arrays_for_each_image() -> None:
    with np.load(io.BytesIO(encode(*images((4, 5), (2, 3)))), allow_pickle=False) as archive:
        assert list(archive) == ["image0", "truth0", "prediction0", "image1", "truth1", "prediction1"]


def test_an_archive_without_images_is_no_panel() -> None:
    assert decode(encode([], [], []), PALETTE, CLASSES) is None


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    (image,), (truth,), (prediction,) = images((4, 5))
    with pytest.raises(ValueError, match="N x H x W"):
        Panel(
            images=image[None], truths=truth[None, :2], predictions=prediction[None], palette=[(0, 0, 0)], classes=["a"]
        )
