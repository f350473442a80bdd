"""Endless sequences of images, as functions of a seed and a position.

Position p of a stream of n images lies in epoch p // n. Every epoch has an order of its own.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from assay.data.draws import order


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """An endless sequence of images with a new order for every epoch. It is the same for all methods with one seed."""

    name: str
    ids: tuple[str, ...]
    seed: int

    def image_id(self, position: int) -> str:
        """Return the id of the image at a position."""
        epoch, index = divmod(position, len(self.ids))
        return self.ids[int(_order(len(self.ids), self.seed, self.name, epoch)[index])]

    def point(self, position: int) -> tuple[int, int] | None:
        """Return the pixel (row, column) that the crop at a position must contain; None if any crop will do."""
        return None


_ORDERS: dict[tuple[int, int, str, int], np.ndarray] = {}


def _order(num_images: int, seed: int, name: str, epoch: int) -> np.ndarray:
    """Return the order of one epoch. The latest orders are cached, because neighbouring positions share theirs."""
    address = (num_images, seed, name, epoch)
    if address not in _ORDERS:
        while len(_ORDERS) > 16:
            _ORDERS.pop(next(iter(_ORDERS)))
        _ORDERS[address] = order(num_images, seed, "order", name, epoch)
    return _ORDERS[address]
