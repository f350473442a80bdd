"""The base of data sets in the layout of their owner's archives: root folder, pools, official sizes, and notes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from assay.data.source import DataBroken, DataMissing, Source
from assay.data.sources.files import stem_of
from assay.places import Places

Files = Mapping[str, tuple[Path, ...]]  # by image id: the image, and its mask if it has one


class Archive(Source):
    """A data set whose files lie as its owner's archives unpack them, in a folder below the data root or in it."""

    title: ClassVar[str]  # the name in messages
    home: ClassVar[str]  # a sentence on the origin, for messages
    sizes: ClassVar[Mapping[str, int]]  # the official number of images of each pool
    folders: ClassVar[tuple[str, ...]]  # the names that the root folder may have below the data root
    markers: ClassVar[tuple[str, ...]]  # folders of which the root folder holds one

    def pools(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    def official_size(self, pool: str) -> int | None:
        return self.sizes[pool]

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        return tuple(self.pool_files(self.root(places), pool))

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        root, missing = self.root(places), []
        for pool in self.pools():
            try:
                files = self.pool_files(root, pool)
            except DataMissing as error:  # another pool may hold the image
                missing.append(str(error))
                continue
            if image_id in files:
                return files[image_id]
        raise DataBroken(" ".join([f"{self.title} has no image {image_id} in {root}.", *missing]))

    def image_id(self, entry: str) -> str:
        return stem_of(entry)

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        """Return a note if a pool's size is not official: it is allowed, but its results are not comparable."""
        size = len(self.ids(pool, places))
        if size == self.sizes[pool]:
            return ()
        return (
            f"{self.title} {pool}: expected the official {self.sizes[pool]} images in"
            f" {self.place(pool, places)}, found {size}; results on these images cannot be compared with published"
            f" results. {self.home}",
        )

    def root(self, places: Places) -> Path:
        """Return the root folder; raise DataMissing with every folder that was searched."""
        return _find_root(places.data, self.title, self.folders, self.markers, self.home)

    def place(self, pool: str, places: Places) -> Path:
        """Return the folder or the list that decides which images a pool holds."""
        raise NotImplementedError

    def pool_files(self, root: Path, pool: str) -> Files:
        """Return the files of a pool's images by id, sorted; raise DataMissing where images or masks are missing.

        It is called for every image, so implementations remember their results. A data set whose pools are lists
        overrides `ids` and `files` instead.
        """
        raise NotImplementedError


@functools.lru_cache(maxsize=64)
def _find_root(data: Path, title: str, folders: tuple[str, ...], markers: tuple[str, ...], home: str) -> Path:
    """Return the first folder that holds a marker. It is remembered, because every image's files lie below it."""
    candidates = [*(data / folder for folder in folders), data]
    for root in candidates:
        if any((root / marker).is_dir() for marker in markers):
            return root
    raise DataMissing(
        f"{title}: no folder {' or '.join(markers)} in {', '.join(map(str, candidates))}; name the folder above it with"
        f" --data-root or ASSAY_DATA. {home}"
    )
