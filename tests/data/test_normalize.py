"""Normalisation with ImageNet's mean and standard deviation."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from assay.data.normalize import MEAN, MEAN_COLOUR, STD, normalize


def test_normalisation_equals_torchvisions_on_the_scale_0_to_1():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(2, 3, 1, 1)
    expected = tv.normalize(images.float() / 255, list(MEAN), list(STD))
    torch.testing.assert_close(normalize(images), expected, rtol=0, atol=1e-5)


def test_the_mean_colour_becomes_nearly_zero():
    image = torch.tensor(MEAN_COLOUR, dtype=torch.uint8).view(3, 1, 1)
    assert normalize(image).abs().max() < 0.5 / 255 / min(STD)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype: torch.dtype):
    images = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).repeat(3, 1, 1)
    assert torch.equal(normalize(images, dtype), normalize(images).to(dtype))


def test_the_argument_is_not_changed():
    images = torch.full((1, 3, 2, 2), 9, dtype=torch.uint8)
    normalize(images)
    assert (images == 9).all()
