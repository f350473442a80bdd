"""Normalisation with the mean and the standard deviation of an encoder."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from assay.data.normalize import EFFICIENTNET_LITE, HALF, IMAGENET, Normalization, normalize, renormalize

ALL = pytest.mark.parametrize("normalization", [IMAGENET, HALF, EFFICIENTNET_LITE])


def every_value() -> torch.Tensor:
    return torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(2, 3, 1, 1)


@ALL
def test_normalisation_equals_torchvisions_on_the_scale_0_to_1(normalization: Normalization) -> None:
    expected = tv.normalize(every_value().float() / 255, list(normalization.mean), list(normalization.std))
    torch.testing.assert_close(normalize(every_value(), normalization), expected, rtol=0, atol=1e-5)


def test_efficientnet_lite_has_tensorflows_integers_exactly() -> None:
    assert torch.equal(normalize(every_value(), EFFICIENTNET_LITE), (every_value().float() - 127) / 128)


@ALL
def test_paddings_colour_becomes_nearly_zero(normalization: Normalization) -> None:
    image = torch.tensor(normalization.padding, dtype=torch.uint8).view(3, 1, 1)
    assert normalize(image, normalization).abs().max() <= 0.5 / 255 / min(normalization.std) * 1.0001


def test_imagenets_padding_is_the_mean_colour_and_efficientnet_lites_is_exactly_zero() -> None:
    assert IMAGENET.padding == (124, 116, 104)
    padding = torch.tensor(EFFICIENTNET_LITE.padding, dtype=torch.uint8).view(3, 1, 1)
    assert not normalize(padding, EFFICIENTNET_LITE).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    assert torch.equal(normalize(every_value(), IMAGENET, dtype), normalize(every_value(), IMAGENET).to(dtype))


def test_the_argument_is_not_changed() -> None:
    images = torch.full((1, 3, 2, 2), 9, dtype=torch.uint8)
    normalize(images, IMAGENET)
    assert (images == 9).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_that_were_normalised_otherwise_are_converted(dtype: torch.dtype) -> None:
    converted = renormalize(normalize(every_value(), IMAGENET, dtype), IMAGENET, EFFICIENTNET_LITE)
    torch.testing.assert_close(converted, normalize(every_value(), EFFICIENTNET_LITE, dtype), rtol=0, atol=1e-6)
