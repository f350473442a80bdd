"""The first validation images of a training with truth and prediction: how they are stored, and read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

IGNORE = 255  # pixels that count for nothing
MOST_CLASSES = 253  # the two values above are a picture's white and its hatching

Color = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """Some validation images with one network's predictions."""

    images: np.ndarray  # uint8, N x H x W x 3
    truths: np.ndarray  # uint8, N x H x W
    predictions: np.ndarray  # uint8, N x H x W
    palette: Sequence[Color]
    classes: Sequence[str]

    def __post_init__(self) -> None:
        shapes = (self.images.shape[:3], self.truths.shape, self.predictions.shape)
        if self.images.shape[3:] != (3,) or len(set(shapes)) != 1:
            raise ValueError(f"images, truths and predictions must be N x H x W (x 3), got {shapes}")
        if len(self.palette) != len(self.classes) or len(self.classes) > MOST_CLASSES:
            raise ValueError(f"{len(self.classes)} classes cannot be painted with {len(self.palette)} colours")

    def shows_the_same_as(self, other: Panel) -> bool:
        """Whether the images and truths are those of the other one."""
        return np.array_equal(self.images, other.images) and np.array_equal(self.truths, other.truths)
