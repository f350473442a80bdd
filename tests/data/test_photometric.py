"""The operators of strong views against torchvision's, and their draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from example_images import assert_near, example_images, in_steps
from torchvision.transforms.v2 import functional as tv

from assay.data import photometric
from assay.data.normalize import IMAGENET
from assay.data.photometric import (
    OPERATORS,
    StrongDraw,
    apply_strong,
    blur,
    draw_strong,
    equalize,
    grey,
    jitter,
    solarize,
)
from assay.data.views import Strong


def draws_of(operator: str, number: int, seed: int = 0) -> list[StrongDraw]:
    only = Strong(**{name: float(name == operator) for name in OPERATORS}, hue=0.5)
    rng = np.random.default_rng(seed)
    return [draw_strong(rng, only) for _ in range(number)]


def jitter_by_torchvision(image: torch.Tensor, draw: StrongDraw) -> torch.Tensor:
    image = tv.adjust_brightness(image, draw.brightness)
    image = tv.adjust_contrast(image, draw.contrast)
    image = tv.adjust_saturation(image, draw.saturation)
    return tv.adjust_hue(image, draw.hue)


def test_jitter_equals_torchvisions_four_operators_one_after_the_other():
    images, draws = example_images(24), draws_of("jitter", 24)
    expected = torch.stack([jitter_by_torchvision(i / 255, d) for i, d in zip(images, draws, strict=True)])
    assert_near(jitter(images, draws), in_steps(expected))


@pytest.mark.parametrize("hue", [-0.5, -1 / 3, -0.2, 0.0, 0.01, 1 / 6, 0.25, 0.5])
def test_hue_turns_every_colour_as_torchvision_does(hue: float):
    levels = torch.tensor([0, 1, 2, 60, 127, 128, 200, 254, 255], dtype=torch.uint8)
    colours = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 27, 27)
    turned = jitter(colours, [StrongDraw(operator="jitter", hue=hue)])
    assert_near(turned, in_steps(tv.adjust_hue(colours / 255, hue)))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("brightness", tv.adjust_brightness),
        ("contrast", tv.adjust_contrast),
        ("saturation", tv.adjust_saturation),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.3, 2.0])
def test_each_operator_of_jitter_equals_torchvisions(name, reference, factor):
    images = example_images(2)
    actual = jitter(images, [StrongDraw(operator="jitter", **{name: factor})] * 2)
    assert_near(actual, in_steps(reference(images / 255, factor)))


def test_jitter_without_change_changes_nothing():
    images = example_images(3)
    assert torch.equal(jitter(images, [StrongDraw(operator="jitter")] * 3), images)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 21])
def test_blur_equals_torchvisions(kernel: int):
    images = example_images(4)
    sigmas = (0.1, 0.7, 1.3, 2.0)
    draws = [StrongDraw(operator="blur", kernel=kernel, sigma=sigma) for sigma in sigmas]
    expected = [tv.gaussian_blur(i / 255, [kernel] * 2, [s, s]) for i, s in zip(images, sigmas, strict=True)]
    assert_near(blur(images, draws), in_steps(torch.stack(expected)))


@pytest.mark.parametrize(("size", "kernel"), [((1, 9), 1), ((2, 9), 3), ((9, 3), 5)])
def test_a_small_image_limits_the_kernel(size: tuple[int, int], kernel: int):
    images = example_images(1, 20, 20)[..., : size[0], : size[1]]
    expected = tv.gaussian_blur(images / 255, [kernel] * 2, [1.0, 1.0])
    assert_near(blur(images, [StrongDraw(operator="blur", kernel=7, sigma=1.0)]), in_steps(expected))


def test_grey_equals_torchvisions():
    images = example_images(3)
    result = grey(images, draws_of("grey", 3))
    assert_near(result, in_steps(tv.rgb_to_grayscale(images / 255, num_output_channels=3)))
    assert result.shape == images.shape


def test_equalize_equals_torchvisions_one_by_one():
    images = example_images(4)
    images[0] = 77  # one colour
    assert torch.equal(equalize(images, draws_of("equalize", 4)), torch.stack([tv.equalize(i) for i in images]))


def test_solarize_equals_torchvisions_for_every_value():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(1, 3, 1, 1)
    assert torch.equal(solarize(images, draws_of("solarize", 1)), tv.solarize(images, 128))


@pytest.mark.parametrize("size", [(16, 16), (41, 53), (300, 310)])
def test_an_image_does_not_depend_on_the_others_nor_on_their_order(size: tuple[int, int]):
    images = example_images(12, *size)
    rng = np.random.default_rng(3)
    draws = [draw_strong(rng, Strong(equalize=0.5, solarize=0.5)) for _ in range(12)]
    assert {draw.operator for draw in draws} == set(OPERATORS)
    together = apply_strong(images, draws)
    alone = torch.cat([apply_strong(images[i : i + 1], draws[i : i + 1]) for i in range(12)])
    assert torch.equal(together, alone)
    permutation = rng.permutation(12).tolist()
    assert torch.equal(together[permutation], apply_strong(images[permutation], [draws[i] for i in permutation]))


@pytest.mark.parametrize("operator", ["jitter", "blur"])
def test_a_batch_gives_the_results_of_single_images(operator: str):
    images = example_images(6)
    draws = [
        StrongDraw(operator=operator, hue=0.1 * i, contrast=0.5 + 0.2 * i, kernel=5, sigma=0.3 + 0.2 * i)
        for i in range(6)
    ]
    function = {"jitter": jitter, "blur": blur}[operator]
    alone = torch.cat([function(images[i : i + 1], draws[i : i + 1]) for i in range(6)])
    assert torch.equal(function(images, draws), alone)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("operator", ["jitter", "blur"])
def test_rows_that_are_processed_at_once_do_not_matter(operator: str, rows: int, monkeypatch: pytest.MonkeyPatch):
    images = example_images(2)
    draws = [StrongDraw(operator=operator, hue=0.1, contrast=0.7, brightness=1.2, kernel=7, sigma=1.5)] * 2
    function = {"jitter": jitter, "blur": blur}[operator]
    whole = function(images, draws)
    monkeypatch.setattr(photometric, "BAND_VALUES", rows * images.numel() // images.shape[-2])
    assert torch.equal(function(images, draws), whole)


def test_each_image_gets_its_own_operator():
    images = example_images(5)
    draws = [StrongDraw(operator=name, kernel=3, hue=0.3) for name in OPERATORS]
    functions = (jitter, blur, grey, equalize, solarize)
    result = apply_strong(images, draws)
    for index, function in enumerate(functions):
        one = slice(index, index + 1)
        assert torch.equal(result[one], function(images[one], draws[one]))
        assert not torch.equal(result[one], images[one])


SIZES = ((41, 53), (41, 20), (17, 53), (30, 31), (30, 31), (2, 9))  # the first image has no padding


def padded_images() -> torch.Tensor:
    """Return images of these sizes, padded with the mean colour at the right and at the bottom."""
    images = example_images(len(SIZES))
    for image, (height, width) in zip(images, SIZES, strict=True):
        outside = torch.ones(image.shape[1:], dtype=torch.bool)
        outside[:height, :width] = False
        image[:, outside] = torch.tensor(IMAGENET.padding, dtype=torch.uint8).unsqueeze(1)
    return images


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_leaves_padding_out_which_stays_the_mean_colour(operator: str):
    images, draws = padded_images(), draws_of(operator, len(SIZES), seed=2)
    result = apply_strong(images, draws, SIZES)
    assert result.dtype == torch.uint8 and result.shape == images.shape
    for index, (height, width) in enumerate(SIZES):
        rectangle = images[index : index + 1, :, :height, :width].contiguous()
        alone = apply_strong(rectangle, draws[index : index + 1])
        assert torch.equal(result[index : index + 1, :, :height, :width], alone)
        assert torch.equal(result[index, :, height:], images[index, :, height:])
        assert torch.equal(result[index, :, :, width:], images[index, :, :, width:])
    with_padding = apply_strong(images, draws)
    assert torch.equal(result[0], with_padding[0])
    # Solarising has no statistics, and leaves the mean colour as it is.
    assert torch.equal(result[1:], with_padding[1:]) == (operator == "solarize")


def test_the_weak_images_are_not_changed():
    images = example_images(5)
    before = images.clone()
    apply_strong(images, [StrongDraw(operator=name, kernel=1, hue=0.2) for name in OPERATORS]).zero_()
    blur(images, [StrongDraw(operator="blur", kernel=1)] * 5).zero_()
    assert torch.equal(images, before)


def test_operators_are_drawn_by_weight():
    rng = np.random.default_rng(0)
    names = [draw_strong(rng, Strong()).operator for _ in range(6000)]
    shares = [names.count(name) / 6000 for name in OPERATORS]
    np.testing.assert_allclose(shares, [0.20, 1 / 3, 1 / 3, 1 / 15, 1 / 15], atol=0.02)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_with_weight_zero_are_never_drawn(operator: str):
    assert {draw.operator for draw in draws_of(operator, 300)} == {operator}


def test_parameters_fill_their_ranges():
    strong = Strong(brightness=0.1, contrast=0.2, saturation=0.3, hue=0.4, blur_sigma=(0.5, 1.5), blur_kernels=(3, 9))
    rng = np.random.default_rng(0)
    draws = [draw_strong(rng, strong) for _ in range(1000)]
    ranges = {
        "brightness": (0.9, 1.1),
        "contrast": (0.8, 1.2),
        "saturation": (0.7, 1.3),
        "hue": (-0.4, 0.4),
        "sigma": (0.5, 1.5),
    }
    for name, (low, high) in ranges.items():
        values = np.array([getattr(draw, name) for draw in draws])
        counts, _ = np.histogram(values, bins=4, range=(low, high))
        assert counts.sum() == 1000 and np.abs(counts - 250).max() < 5 * np.sqrt(250)
    assert abs(np.mean([draw.kernel == 3 for draw in draws]) - 0.5) < 0.06
    assert {draw.kernel for draw in draws} == {3, 9}


def test_the_operator_does_not_change_how_many_numbers_are_drawn():
    next_numbers = set()
    for operator in OPERATORS:
        rng = np.random.default_rng(1)
        draw_strong(rng, Strong(**{name: float(name == operator) for name in OPERATORS}))
        next_numbers.add(rng.random())
    assert len(next_numbers) == 1


def test_only_the_given_generator_is_used():
    np_before, torch_before = np.random.get_state()[1].tobytes(), torch.get_rng_state()
    first = [draw_strong(np.random.default_rng(seed), Strong()) for seed in range(20)]
    images = torch.zeros(20, 3, 8, 8, dtype=torch.uint8)
    apply_strong(images, first)
    assert first == [draw_strong(np.random.default_rng(seed), Strong()) for seed in range(20)]
    assert np.random.get_state()[1].tobytes() == np_before
    assert torch.equal(torch.get_rng_state(), torch_before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_an_accelerator_and_a_cpu_give_the_same_results():
    images = example_images(12)
    rng = np.random.default_rng(3)
    draws = [draw_strong(rng, Strong(equalize=0.5, solarize=0.5)) for _ in range(12)]
    difference = apply_strong(images.cuda(), draws).cpu().int() - apply_strong(images, draws).int()
    assert difference.abs().max() <= 1
