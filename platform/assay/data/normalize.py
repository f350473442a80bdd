"""Normalisation of images with the mean and standard deviation that an encoder expects."""

from __future__ import annotations

import dataclasses

import torch

Colour = tuple[float, float, float]  # red, green, blue


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normalization:
    """The mean and the standard deviation of a network's images, RGB, on the scale 0 to 1."""

    mean: Colour
    std: Colour

    @property
    def padding(self) -> tuple[int, int, int]:
        """The colour in 8 bits that normalising turns into 0, or as near to 0 as 8 bits allow."""
        red, green, blue = (round(255 * value) for value in self.mean)
        return red, green, blue


IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # of ImageNet's images
HALF = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))  # the interval from -1 to 1
# (x - 127) / 128 of 8-bit values x, as TensorFlow's EfficientNet-Lite was trained; timm rounds both to 0.5.
EFFICIENTNET_LITE = Normalization(mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def normalize(images: torch.Tensor, normalization: Normalization, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return images (... x 3 x H x W, uint8) minus the mean, divided by the standard deviation, on their device."""
    mean = torch.tensor(normalization.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(normalization.std, device=images.device).view(3, 1, 1)
    # Single precision until the end, because half precision cannot hold the mean's last digits.
    return images.to(torch.float32).sub_(mean * 255).div_(std * 255).to(dtype)


def renormalize(images: torch.Tensor, before: Normalization, after: Normalization) -> torch.Tensor:
    """Return images (... x 3 x H x W) that were normalised with `before` as if normalised with `after`."""
    mean, std, new_mean, new_std = (
        images.new_tensor(values).view(3, 1, 1) for values in (before.mean, before.std, after.mean, after.std)
    )
    return (images * std + (mean - new_mean)) / new_std
