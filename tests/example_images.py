"""Images for tests of operators, and the tolerance of their results."""

from __future__ import annotations

import torch


def example_images(number: int, height: int = 41, width: int = 53, seed: int = 0) -> torch.Tensor:
    """Return images with smooth, noisy, saturated, dark and grey regions."""
    torch_rng = torch.Generator().manual_seed(seed)
    noise = torch.rand(number, 3, height, width, generator=torch_rng)
    smooth = torch.nn.functional.interpolate(noise[..., ::8, ::8], size=(height, width), mode="bilinear")
    images = 0.8 * smooth + 0.2 * noise
    images[..., :5] = (noise[..., :5] > 0.5).float()
    images[..., 5:10] *= 0.05
    images[..., 10:15] = images[:, :1, :, 10:15]
    return (images * 255).round().to(torch.uint8)


def in_steps(images: torch.Tensor) -> torch.Tensor:
    """Scale images from 0 to 1 to the 256 steps."""
    return images * 255


def assert_near(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Raise an AssertionError unless `actual` is `expected` rounded to the nearest step, up to single precision."""
    assert actual.dtype == torch.uint8
    assert (actual.double() - expected.double()).abs().max() <= 0.5 + 1e-2
