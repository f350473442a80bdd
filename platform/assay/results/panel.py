"""A few validation images with truth and prediction: the value, and the NumPy archive that stores it with a result.

The archive has three arrays for each image, which may differ in size: `image0`, `truth0`, `prediction0`, `image1`, …
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Sequence

import numpy as np

IGNORE = 255  # the truth of pixels that do not count
MOST_CLASSES = 253  # the two values above them are white and hatching in a picture
WHITE = 255  # fills images up to the size of the largest one
_ARRAYS = ("image", "truth", "prediction")

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
        """Return whether the other panel has the same images and truths."""
        return np.array_equal(self.images, other.images) and np.array_equal(self.truths, other.truths)


def encode(images: Iterable[np.ndarray], truths: Iterable[np.ndarray], predictions: Iterable[np.ndarray]) -> bytes:
    """Return the archive of some images, their truths and their predictions."""
    arrays: dict[str, np.ndarray] = {}
    for index, triple in enumerate(zip(images, truths, predictions, strict=True)):
        arrays |= {f"{name}{index}": array for name, array in zip(_ARRAYS, triple, strict=True)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_arrays(data: bytes) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Return the images, the truths and the predictions of an archive, each array at its own size."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        count = sum(name.startswith("image") for name in archive)
        images, truths, predictions = ([archive[f"{name}{index}"] for index in range(count)] for name in _ARRAYS)
    return images, truths, predictions


def decode(data: bytes, palette: Iterable[Sequence[int]], classes: Sequence[str]) -> Panel | None:
    """Return the panel of an archive; None where the archive holds no image."""
    images, truths, predictions = read_arrays(data)
    if not images:
        return None
    return Panel(
        images=_stacked(images, fill=WHITE),
        truths=_stacked(truths, fill=IGNORE),
        predictions=_stacked(predictions, fill=IGNORE),
        palette=[(red, green, blue) for red, green, blue in palette],
        classes=classes,
    )


def _stacked(arrays: Sequence[np.ndarray], *, fill: int) -> np.ndarray:
    """Return arrays of several heights and widths as one array; `fill` pads the smaller ones."""
    height, width = (max(array.shape[axis] for array in arrays) for axis in (0, 1))
    stacked = np.full((len(arrays), height, width, *arrays[0].shape[2:]), fill, dtype=np.uint8)
    for index, array in enumerate(arrays):
        stacked[index, : array.shape[0], : array.shape[1]] = array
    return stacked
