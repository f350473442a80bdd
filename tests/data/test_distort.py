"""The distortion of weak views against pixels taken one at a time, and where it reaches."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from helpers import small

from assay.data.photometric import DistortDraw, apply_distort, draw_distort
from assay.data.views import Distort, Views
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import BatchPlan, on_device

DISTORT = "recipe__augment__distort"


def pictures(number: int) -> torch.Tensor:
    """Noise, and some grey, black, white and fully saturated pixels."""
    images = torch.randint(0, 256, (number, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[..., 0] = images[:, :1, :, 0]
    images[..., 1, 1], images[..., 1, 2] = 0, 255
    images[:, 1:, 2] = 0
    return images


def slowly(image: torch.Tensor, draw: DistortDraw) -> torch.Tensor:
    """One pixel after the other, through HSV."""

    def contrasted(pixel: list[float]) -> list[float]:
        return [min(value * draw.contrast, 255.0) for value in pixel]

    found = image.double()
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            pixel = [min(max(float(value) + draw.brightness, 0.0), 255.0) for value in image[:, y, x]]
            pixel = pixel if draw.contrast_last else contrasted(pixel)
            hue, saturation, value = colorsys.rgb_to_hsv(*(each / 255 for each in pixel))
            hue, saturation = (hue + draw.hue) % 1, min(saturation * draw.saturation, 1)
            pixel = [255 * each for each in colorsys.hsv_to_rgb(hue, saturation, value)]
            found[:, y, x] = torch.tensor(contrasted(pixel) if draw.contrast_last else pixel)
    return found


def test_images_are_distorted_as_pixel_by_pixel_through_hsv() -> None:
    rng = np.random.default_rng(0)
    images, draws = pictures(24), [draw_distort(rng, Distort(hue=0.5)) for _ in range(24)]
    assert {draw.contrast_last for draw in draws} == {draw.changes_colours for draw in draws} == {False, True}
    expected = torch.stack([slowly(image, draw) for image, draw in zip(images, draws, strict=True)])
    assert (apply_distort(images, draws).double() - expected).abs().max() <= 0.5 + 1e-2


@pytest.mark.parametrize(
    "changed", [{"brightness": -20.5}, {"contrast": 1.4}, {"saturation": 1.5}, {"saturation": 0.5}, {"hue": -0.1}]
)
@pytest.mark.parametrize("last", [False, True])
def test_each_of_the_four_alone_is_that_of_the_plain_reference(changed: dict[str, float], last: bool) -> None:
    (image,) = pictures(1)
    draw = DistortDraw(**changed, contrast_last=last)
    found = apply_distort(image[None], [draw])[0]
    assert (found.double() - slowly(image, draw)).abs().max() <= 0.5 + 1e-2
    assert not torch.equal(found, image)


def test_what_was_not_drawn_changes_nothing() -> None:
    images = pictures(3)
    drawn = [draw_distort(np.random.default_rng(seed), Distort(chance=0.0)) for seed in range(3)]
    assert torch.equal(apply_distort(images, drawn), images)


def test_an_image_does_not_depend_on_the_others() -> None:
    images, rng = pictures(12), np.random.default_rng(3)
    draws = [draw_distort(rng, Distort()) for _ in range(12)]
    alone = torch.cat([apply_distort(images[i : i + 1], draws[i : i + 1]) for i in range(12)])
    assert torch.equal(apply_distort(images, draws), alone)


def test_chances_and_amounts_are_those_of_the_value() -> None:
    rng = np.random.default_rng(0)
    draws = [draw_distort(rng, Distort(chance=0.25)) for _ in range(4000)]
    ranges = {"brightness": (-32, 0, 32), "contrast": (0.5, 1, 1.5), "saturation": (0.5, 1, 1.5), "hue": (-0.1, 0, 0.1)}
    for name, (low, middle, high) in ranges.items():
        values = np.array([getattr(draw, name) for draw in draws])
        done = values[values != middle]
        assert abs(len(done) / len(draws) - 0.25) < 0.03
        counts, _ = np.histogram(done, bins=4, range=(low, high))
        assert counts.sum() == len(done) and np.abs(counts - len(done) / 4).max() < 5 * np.sqrt(len(done) / 4)
    assert abs(np.mean([draw.contrast_last for draw in draws]) - 0.5) < 0.04


def plan(**changes: object) -> BatchPlan:
    experiment = small(recipe__labeled_batch=8, recipe__unlabeled_batch=8, **changes)
    images = resolve(experiment, Places()).images
    views = Views(labeled_strong=True, unlabeled=1, strong=1)
    return BatchPlan.make(
        experiment.data.source, images, views, experiment.recipe, places=Places(), seed=experiment.seed
    )


def test_weak_views_are_distorted_labelled_ones_too_and_nothing_else_is() -> None:
    of = {name: plan(**changes) for name, changes in {"plain": {}, "distorted": {DISTORT: "distort"}}.items()}
    batch = {
        name: on_device(each.micro_batch(0, 0), each.views, each.recipe.augment, device=torch.device("cpu"))
        for name, each in of.items()
    }
    plain, distorted = batch["plain"], batch["distorted"]
    assert not torch.equal(plain.labeled.weak, distorted.labeled.weak)
    assert not torch.equal(plain.unlabeled[0].weak, distorted.unlabeled[0].weak)
    assert torch.equal(plain.labeled.strong, distorted.labeled.strong)
    assert torch.equal(plain.unlabeled[0].strong[0], distorted.unlabeled[0].strong[0])
    assert torch.equal(plain.labeled.label, distorted.labeled.label)


def test_padding_keeps_the_colour_that_is_nothing_once_normalised() -> None:
    of = plan(recipe__augment__scales=(0.5, 0.5), **{DISTORT: "distort"})
    batch = on_device(of.micro_batch(0, 0), of.views, of.recipe.augment, device=torch.device("cpu"))
    assert batch.unlabeled[0].weak[:, :, 8:].abs().max() < 0.02


def test_draws_belong_to_an_images_place_in_its_stream() -> None:
    raw = plan(**{DISTORT: "distort"}).micro_batch(4, 0)
    assert raw.labeled.distort != raw.unlabeled[0].distort
    assert len(set(raw.labeled.distort)) == 8
    assert plan(**{DISTORT: "distort"}).micro_batch(4, 0).labeled.distort == raw.labeled.distort


def test_an_experiment_without_distortion_keeps_its_key() -> None:
    plain, places = small("mkd"), Places()
    assert "distort" not in resolve(plain, places).identity["recipe"]["augment"]
    assert resolve(small("mkd", **{DISTORT: "distort"}), places).key != resolve(plain, places).key
