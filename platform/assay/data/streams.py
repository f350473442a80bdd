"""Endless sequences of images, as functions of a seed and a position.

Position p of a stream falls into pass p // n over its n images, and every pass has an order of its own.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from assay.data.draws import order


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """An endless sequence of images, a new order for every pass. Equal for all methods of one seed."""

    name: str
    ids: tuple[str, ...]
    seed: int

    def image_id(self, position: int) -> str:
        """The image at a position."""
        passes, place = divmod(position, len(self.ids))
        return self.ids[int(_order(len(self.ids), self.seed, self.name, passes)[place])]


_ORDERS: dict[tuple[int, int, str, int], np.ndarray] = {}


def _order(num_images: int, seed: int, name: str, passes: int) -> np.ndarray:
    """The order of one pass; the last few are kept, since neighbours ask for the same."""
    address = (num_images, seed, name, passes)
    if address not in _ORDERS:
        while len(_ORDERS) > 16:
            _ORDERS.pop(next(iter(_ORDERS)))
        _ORDERS[address] = order(num_images, seed, "order", name, passes)
    return _ORDERS[address]
