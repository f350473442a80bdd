"""The one way in which training, evaluation and predictions read an image: from the cache where there is one."""

from __future__ import annotations

import functools

import numpy as np

from assay.data.cache import ImageCache
from assay.data.source import Source
from assay.places import Places


def read(source: Source, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
    """Read an image (H x W x 3, uint8, RGB) and its mask (H x W, uint8), which may be read-only.

    From the cache, only those pixels are read that are used. The pixels are the same with and without it.
    """
    if places.cache is None:
        return source.read(image_id, places)
    return _cache(source, places).read(image_id)


@functools.lru_cache(maxsize=16)
def _cache(source: Source, places: Places) -> ImageCache:
    assert places.cache is not None
    return ImageCache(source, places, places.cache)
