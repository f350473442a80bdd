"""The distortion of weak views, against a reference by pixel, and the views that it changes."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from helpers import small
from torchvision.transforms.v2 import functional as tv

from assay.data.batch import Batch
from assay.data.normalize import IMAGENET
from assay.data.photometric import DistortDraw, apply_distort, draw_distort
from assay.data.views import Distort, JitterBlur, Views
from assay.data.weak_views import apply_weak_view, draw_weak_view
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import BatchPlan, on_device

DISTORT = "recipe__augment__distort"


def example_images(number: int) -> torch.Tensor:
    """Return noise with some grey, black, white and fully saturated pixels."""
    images = torch.randint(0, 256, (number, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[..., 0] = images[:, :1, :, 0]
    images[..., 1, 1], images[..., 1, 2] = 0, 255
    images[:, 1:, 2] = 0
    return images


def distort_by_pixel(image: torch.Tensor, draw: DistortDraw) -> torch.Tensor:
    """Distort one pixel after the other through HSV."""

    def change_contrast(pixel: list[float]) -> list[float]:
        return [min(value * draw.contrast, 255.0) for value in pixel]

    result = image.double()
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            pixel = [min(max(float(value) + draw.brightness, 0.0), 255.0) for value in image[:, y, x]]
            pixel = pixel if draw.contrast_last else change_contrast(pixel)
            hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in pixel))
            hue, saturation = (hue + draw.hue) % 1, min(saturation * draw.saturation, 1)
            pixel = [255 * channel for channel in colorsys.hsv_to_rgb(hue, saturation, value)]
            result[:, y, x] = torch.tensor(change_contrast(pixel) if draw.contrast_last else pixel)
    return result


def test_distortion_equals_distortion_by_pixel_through_hsv() -> None:
    rng = np.random.default_rng(0)
    images, draws = example_images(24), [draw_distort(rng, Distort(hue=0.5)) for _ in range(24)]
    assert {draw.contrast_last for draw in draws} == {draw.changes_colours for draw in draws} == {False, True}
    expected = torch.stack([distort_by_pixel(image, draw) for image, draw in zip(images, draws, strict=True)])
    assert (apply_distort(images, draws).double() - expected).abs().max() <= 0.5 + 1e-2


@pytest.mark.parametrize(
    "changed", [{"brightness": -20.5}, {"contrast": 1.4}, {"saturation": 1.5}, {"saturation": 0.5}, {"hue": -0.1}]
)
@pytest.mark.parametrize("last", [False, True])
def test_each_of_the_four_changes_alone_equals_the_reference(changed: dict[str, float], last: bool) -> None:
    (image,) = example_images(1)
    draw = DistortDraw(**changed, contrast_last=last)
    distorted = apply_distort(image[None], [draw])[0]
    assert (distorted.double() - distort_by_pixel(image, draw)).abs().max() <= 0.5 + 1e-2
    assert not torch.equal(distorted, image)


def test_a_chance_of_zero_changes_nothing() -> None:
    images = example_images(3)
    draws = [draw_distort(np.random.default_rng(seed), Distort(chance=0.0)) for seed in range(3)]
    assert torch.equal(apply_distort(images, draws), images)


def test_an_image_does_not_depend_on_the_others() -> None:
    images, rng = example_images(12), np.random.default_rng(3)
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
        experiment.data.source,
        images,
        views,
        experiment.recipe,
        places=Places(),
        normalization=IMAGENET,
        seed=experiment.seed,
    )


def first_batch(of: BatchPlan) -> Batch:
    return on_device(of.micro_batch(0, 0), of.views, of.recipe.augment, device=torch.device("cpu"))


def test_labelled_and_unlabelled_weak_views_are_distorted_and_nothing_else() -> None:
    plain, distorted = first_batch(plan()), first_batch(plan(**{DISTORT: "distort"}))
    assert not torch.equal(plain.labeled.weak, distorted.labeled.weak)
    assert not torch.equal(plain.unlabeled[0].weak, distorted.unlabeled[0].weak)
    assert torch.equal(plain.labeled.strong, distorted.labeled.strong)
    assert torch.equal(plain.unlabeled[0].strong[0], distorted.unlabeled[0].strong[0])
    assert torch.equal(plain.labeled.label, distorted.labeled.label)


def test_padding_keeps_the_mean_colour() -> None:
    batch = first_batch(plan(recipe__augment__scales=(0.5, 0.5), **{DISTORT: "distort"}))
    assert batch.unlabeled[0].weak[:, :, 8:].abs().max() < 0.02


def test_draws_depend_on_the_position_of_an_image_in_its_stream() -> None:
    raw = plan(**{DISTORT: "distort"}).micro_batch(4, 0)
    assert raw.labeled.distort != raw.unlabeled[0].distort
    assert len(set(raw.labeled.distort)) == 8
    assert plan(**{DISTORT: "distort"}).micro_batch(4, 0).labeled.distort == raw.labeled.distort


def test_an_experiment_without_distortion_keeps_its_key() -> None:
    plain, places = small("mkd"), Places()
    assert "distort" not in resolve(plain, places).identity["recipe"]["augment"]
    assert resolve(small("mkd", **{DISTORT: "distort"}), places).key != resolve(plain, places).key


def test_jitter_and_blur_equal_torchvisions_and_a_plain_gaussian_filter() -> None:
    images, rng = example_images(6), np.random.default_rng(5)
    draws = [draw_weak_view(rng, JitterBlur()) for _ in range(6)]
    changed = apply_weak_view(images, draws)
    for image, draw, result in zip(images, draws, changed, strict=True):
        pixels = tv.adjust_brightness(image / 255, draw.brightness)
        pixels = tv.adjust_saturation(tv.adjust_contrast(pixels, draw.contrast), draw.saturation)
        pixels = tv.adjust_hue(pixels, draw.hue)
        expected = tv.gaussian_blur(pixels, [11, 11], [draw.sigma] * 2) * 255
        assert (result - expected).abs().max() < 2, "each of the two rounds to whole steps"


def test_jitter_blurs_draws_cover_its_ranges_evenly() -> None:
    rng = np.random.default_rng(0)
    draws = [draw_weak_view(rng, JitterBlur()) for _ in range(4000)]
    ranges = dict.fromkeys(("brightness", "contrast", "saturation"), (0.75, 1.25))
    for name, (low, high) in {**ranges, "hue": (-0.25, 0.25), "sigma": (0.15, 1.3)}.items():
        counts, _ = np.histogram([getattr(draw, name) for draw in draws], bins=4, range=(low, high))
        assert counts.sum() == 4000 and np.abs(counts - 1000).max() < 5 * np.sqrt(1000), name


def test_every_weak_view_is_jittered_and_blurred() -> None:
    plain, changed = first_batch(plan()), first_batch(plan(**{DISTORT: "jitter_blur"}))
    assert (plain.labeled.weak != changed.labeled.weak).flatten(1).any(1).all()
    assert (plain.unlabeled[0].weak != changed.unlabeled[0].weak).flatten(1).any(1).all()
    assert torch.equal(plain.labeled.label, changed.labeled.label)
