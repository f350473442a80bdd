"""Normalisation with ImageNet's mean and standard deviation, which pretrained encoders expect."""

from __future__ import annotations

import torch

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's images, RGB, on the scale 0 to 1
STD = (0.229, 0.224, 0.225)
MEAN_COLOUR = (124, 116, 104)  # MEAN in 8 bits, which normalising turns into (nearly) 0


def normalize(images: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return images (... x 3 x H x W, uint8) minus the mean, divided by the standard deviation, on their device."""
    mean = torch.tensor(MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(3, 1, 1)
    # Single precision until the end, because half precision cannot hold the mean's last digits.
    return images.to(torch.float32).sub_(mean * 255).div_(std * 255).to(dtype)
