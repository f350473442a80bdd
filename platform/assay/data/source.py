"""What a data set has to answer. A new one is one file in `sources/` and one name in `sources/__init__.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.errors import UserError
from assay.places import Places
from assay.values import Value

IGNORE = 255  # in labels and pseudo-labels: this pixel counts for nothing


class DataMissing(UserError):
    """The data cannot be read here: says what was looked for, where, what was found, and where to get it."""


class DataBroken(UserError):
    """A file of the data set is there and cannot be used: says which one, and why."""


class Source(Value):
    """A data set: which images it has, and how one of them is read.

    Reading is a function of (places, image id) and never changes anything; nothing is ever downloaded.
    """

    def classes(self) -> tuple[str, ...]:
        """The names of the classes; a mask holds their positions, or IGNORE."""
        raise NotImplementedError

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """A colour for each class, as the data set's owner draws it."""
        raise NotImplementedError

    def pools(self) -> tuple[str, ...]:
        """The sets of images by name: the default training pool first, 'val' among them."""
        raise NotImplementedError

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        """The ids of a pool's images, in a fixed order. Raises DataMissing where they cannot be listed."""
        raise NotImplementedError

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """An image (H x W x 3, uint8, RGB) and its mask (H x W, uint8). Raises DataBroken for a bad file."""
        raise NotImplementedError

    def image_id(self, entry: str) -> str:
        """The id that an entry of a published list means: lists differ in folders and suffixes."""
        return entry

    def lies_below_data_root(self) -> bool:
        """Whether it cannot be read without the folder of data sets."""
        return True

    def fingerprint(self, places: Places) -> str | None:
        """What tells this data from other data with the same ids; None where the ids say it all."""
        return None

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        """What must be said of a pool wherever it is used, such as that images of it are not here."""
        return ()

    def describe_labeled(self, labeled: tuple[str, ...], places: Places) -> dict[str, Any]:
        """What else a result should record about the labelled images."""
        return {}

    def num_classes(self) -> int:
        """How many classes a network has to tell apart."""
        return len(self.classes())
