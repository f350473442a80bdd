"""The interface of data sets. A new data set is one file in `sources/` and one name in `sources/__init__.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import UserError
from assay.places import Places
from assay.values import Value

IGNORE = 255  # in labels and pseudo-labels: the pixel counts in no loss and in no metric


class DataMissing(UserError):
    """Data that are not on this machine. The text names the files, the folders searched, and the data set's home."""


class DataBroken(UserError):
    """A file of the data set that cannot be used. The text names the file and the reason."""


class Source(Value):
    """A data set: the ids of its images, and a reader.

    Reading depends on (places, image id) alone, changes nothing, and never downloads anything.
    """

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes. A mask holds their positions, or IGNORE."""
        raise NotImplementedError

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """Return a colour for each class, as the data set's owner draws it."""
        raise NotImplementedError

    def pools(self) -> tuple[str, ...]:
        """Return the names of the sets of images: first the default training pool, and 'val' among the others."""
        raise NotImplementedError

    def pool_of_rest(self, pool: str) -> str:
        """Return the pool from which `rest` leaves out the labelled images of `pool`: itself, or one that is larger."""
        return pool

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        """Return the ids of a pool's images, in a fixed order; raise DataMissing if they cannot be listed."""
        raise NotImplementedError

    def official_size(self, pool: str) -> int | None:
        """Return the number of images that the owner's archives hold of a pool; None if there is no such number."""
        return None

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """Read an image (H x W x 3, uint8, RGB) and its mask (H x W, uint8); raise DataBroken for a bad file.

        The mask of an image without labels is IGNORE everywhere.
        """
        raise NotImplementedError

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        """Return the files that `read` opens: the image's, then its mask's if it has one; none for drawn images."""
        return ()

    def image_id(self, entry: str) -> str:
        """Return the id of an entry of a published list. Lists differ in folders and suffixes."""
        return entry

    def lies_below_data_root(self) -> bool:
        """Return True if reading needs the folder of data sets."""
        return True

    def fingerprint(self, places: Places) -> str | None:
        """Return a text that differs for other data with the same files; None if ids and files suffice."""
        return None

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        """Return remarks that belong beside every use of a pool, such as that some of its images are missing."""
        return ()

    def describe_labeled(self, labeled: tuple[str, ...], places: Places) -> dict[str, Any]:
        """Return further facts about the labelled images, for results to record."""
        return {}

    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.classes())
