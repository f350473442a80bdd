"""Strips of validation images: the data set's colours, marked ignored pixels, and equal images only once."""

from __future__ import annotations

import base64
import dataclasses
import io

import numpy as np
import pytest
from drawn_study import draw_panel
from PIL import Image

from assay.report.strips import strips
from assay.results.panel import Panel


def pixels(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def panel(mask: np.ndarray, **changes: object) -> Panel:
    """Return a black image with this mask as truth and prediction."""
    parts = {
        "images": np.zeros((1, *mask.shape, 3), np.uint8),
        "truths": mask[None],
        "predictions": mask[None],
        "palette": ((10, 20, 30), (200, 100, 50)),
        "classes": ("ground", "thing"),
    }
    return Panel(**{**parts, **changes})


def test_image_and_truth_stand_once_above_the_predictions() -> None:
    result = strips([("a", draw_panel()), ("b", draw_panel(mistakes=0.2))])
    assert [strip.label for strip in result] == ["Image", "Truth", "a", "b"]
    assert {len(strip.uris) for strip in result} == {4}


def test_a_row_evaluated_on_other_images_gets_its_own_images() -> None:
    other = draw_panel()
    other = dataclasses.replace(other, images=other.images[::-1])
    assert [strip.label for strip in strips([("a", draw_panel()), ("b", other)])] == [
        "Image", "Truth", "a", "Image", "Truth", "b"
    ]  # fmt: skip


def test_classes_have_the_palettes_colours() -> None:
    mask = np.zeros((16, 20), np.uint8)
    mask[:, 10:] = 1
    painted = pixels(strips([("a", panel(mask))])[2].uris[0])
    assert painted.shape == (160, 200, 3)
    assert painted[80, 50].tolist() == [10, 20, 30]
    assert painted[80, 150].tolist() == [200, 100, 50]


def test_ignored_pixels_are_white_and_hatched() -> None:
    truth = pixels(strips([("a", panel(np.full((160, 160), 255, np.uint8)))])[1].uris[0])
    assert {tuple(color) for color in truth.reshape(-1, 3).tolist()} == {(255, 255, 255), (160, 160, 160)}
    assert 0.1 < (truth == 160).mean() < 0.25


def test_large_images_are_made_smaller_without_mixing_classes() -> None:
    mask = np.random.default_rng(0).integers(0, 2, (720, 960)).astype(np.uint8)
    painted = pixels(strips([("a", panel(mask))])[2].uris[0])
    assert painted.shape == (160, 213, 3)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"truths": np.zeros((1, 4, 5), np.uint8)},
        {"images": np.zeros((1, 4, 4), np.uint8)},
        {"palette": ((0, 0, 0),)},
    ],
)
def test_parts_that_do_not_belong_together_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match=r"got|painted"):
        panel(np.zeros((4, 4), np.uint8), **changes)
