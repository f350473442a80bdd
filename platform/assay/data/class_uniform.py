"""Class-uniform sampling of labelled images (Zhu et al., as in their code): part of an epoch shows each class equally.

An image is cut into tiles. For each class in a tile, the centre of the class's pixels is recorded: its centroid. A
class-uniform position of the stream takes one centroid of its class, and the crop contains this point.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np

from assay.data.draws import order
from assay.data.streams import Stream
from assay.errors import UserError
from assay.values import Value, param

Point = tuple[int, int]  # row and column in the image


class ClassUniform(Value):
    """Class-uniform sampling: a share of each epoch's positions goes to all classes in equal parts."""

    name = "class_uniform"

    share: float = param(default=0.5, above=0, high=1, help="share of the labelled positions drawn by class")
    tile: int = param(
        default=1024,
        low=1,
        help="side, in pixels of the mask as read, of the tiles that give one centroid of each class",
    )


def centroids_of(mask: np.ndarray, num_classes: int, tile: int) -> np.ndarray:
    """Return the centroids in a mask (H x W, uint8) as N x 3: class, row and column.

    A centroid is the mean position rounded down, which need not lie on the class. Tiles at the right and at the bottom
    may be smaller; the authors' code leaves these out, which are in no image of Cityscapes with its tile of 1024.
    """
    tiles = [
        np.array((0, top, left)) + _centroids_of_tile(mask[top : top + tile, left : left + tile], num_classes)
        for top in range(0, mask.shape[0], tile)
        for left in range(0, mask.shape[1], tile)
    ]
    return np.concatenate(tiles)


def _centroids_of_tile(patch: np.ndarray, num_classes: int) -> np.ndarray:
    rows, columns = (np.arange(size) for size in patch.shape)
    by_row = _count_by_line(patch, rows[:, None], num_classes)
    by_column = _count_by_line(patch, columns, num_classes)
    totals = by_row.sum(axis=0)
    present = np.flatnonzero(totals)
    row = rows @ by_row[:, present] // totals[present]
    column = columns @ by_column[:, present] // totals[present]
    return np.stack((present, row, column), axis=1)


def _count_by_line(patch: np.ndarray, lines: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the number of pixels of each class in each line, as lines x classes; `lines` numbers the pixels' lines."""
    bins = patch + 256 * lines
    return np.bincount(bins.ravel(), minlength=256 * lines.size).reshape(-1, 256)[:, :num_classes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Centroids:
    """The centroids in the labelled images, and the share of positions that are drawn from them."""

    share: float
    points: Mapping[int, np.ndarray]  # by class that occurs: N x 3, image (its index among the sorted ids), row, column
    missing: tuple[str, ...]  # the names of the classes without pixels

    @classmethod
    def gather(cls, by_image: list[np.ndarray], classes: tuple[str, ...], sampling: ClassUniform) -> Centroids:
        """Return the centroids of all images, given those of each; raise a UserError if no class occurs."""
        images = np.repeat(np.arange(len(by_image)), [len(each) for each in by_image])
        rows = np.concatenate(by_image)
        table = np.stack((images, rows[:, 1], rows[:, 2]), axis=1).astype(np.int32)
        points = {index: table[rows[:, 0] == index] for index in range(len(classes))}
        present = {index: of_class for index, of_class in points.items() if len(of_class)}
        if not present:
            raise UserError(
                "data.sampling=class_uniform needs labelled pixels, and every pixel of the labelled images is ignored;"
                " set data.sampling=none, or choose other images."
            )
        missing = tuple(name for index, name in enumerate(classes) if index not in present)
        return cls(share=sampling.share, points=present, missing=missing)

    def notes(self) -> tuple[str, ...]:
        """Return a remark about classes that are never drawn."""
        if not self.missing:
            return ()
        return (
            f"data.sampling: no labelled image has a pixel of {', '.join(self.missing)}; class-uniform positions are"
            f" shared by the other {len(self.points)} classes",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassUniformStream(Stream):
    """An endless sequence of images and points, of which a share goes to all classes in equal parts.

    An epoch has its share of class-uniform positions (their number is rounded so that it is right on average) in a new
    order. They take the classes in turns, and each class its centroids in a new order for every pass. The other
    positions pass through all images in turn.
    """

    centroids: Centroids

    def image_id(self, position: int) -> str:
        image, _ = self._image_and_point(position)
        return image

    def point(self, position: int) -> Point | None:
        _, point = self._image_and_point(position)
        return point

    def _image_and_point(self, position: int) -> tuple[str, Point | None]:
        size = len(self.ids)
        epoch, index = divmod(position, size)
        slot = int(_slots(size, self.seed, self.name, epoch)[index])
        first, end = self._uniform_before(epoch), self._uniform_before(epoch + 1)
        if slot < end - first:
            return self._centroid(first + slot)
        return super().image_id(epoch * size - first + slot - (end - first)), None

    def _uniform_before(self, epoch: int) -> int:
        """Return the number of class-uniform positions in the epochs before this one."""
        return math.floor(epoch * (self.centroids.share * len(self.ids)))

    def _centroid(self, number: int) -> tuple[str, Point]:
        """Return the number-th class-uniform draw."""
        classes = sorted(self.centroids.points)
        turn, index = divmod(number, len(classes))
        points = self.centroids.points[classes[index]]
        epoch, at = divmod(turn, len(points))
        image, row, column = points[_order_of_class(len(points), self.seed, self.name, classes[index], epoch)[at]]
        return self.ids[int(image)], (int(row), int(column))


@functools.lru_cache(maxsize=4)
def _slots(size: int, seed: int, name: str, epoch: int) -> np.ndarray:
    """Return the order of one epoch's positions, of which the first ones are class-uniform."""
    return order(size, seed, "slots", name, epoch)


@functools.lru_cache(maxsize=128)
def _order_of_class(size: int, seed: int, name: str, class_id: int, epoch: int) -> np.ndarray:
    """Return the order of one pass through a class's centroids."""
    return order(size, seed, "centroids", name, class_id, epoch)
