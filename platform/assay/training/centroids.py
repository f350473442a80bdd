"""The centroids of the labelled images for class-uniform sampling: found once per training, by all ranks together.

With a cache of images (`data/cache.py`), they are kept in a file beside the images, for the next training.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from assay import atomic
from assay.collectives import broadcast_from_rank0, gather_objects, rank, world_size
from assay.data.cache import ImageCache
from assay.data.class_uniform import Centroids, centroids_of
from assay.data.reading import read
from assay.errors import AssayError
from assay.experiment import Data, Runtime
from assay.places import Places
from assay.resolve import Resolved

_FORMAT = 1  # of the file, and of the rule by which centroids are found

ByImage = list[np.ndarray]  # N x 3 for each image: class, row, column


def centroids_for(resolved: Resolved, places: Places, runtime: Runtime) -> Centroids | None:
    """Return the centroids of an experiment's labelled images, sorted by id; None without class-uniform sampling."""
    data = resolved.experiment.data
    if data.sampling is None:
        return None
    ids = tuple(sorted(resolved.images.labeled))
    path: Path | None = broadcast_from_rank0(lambda: _file(data, ids, places))
    by_image: ByImage | None = broadcast_from_rank0(lambda: _read(path, len(ids)))
    if by_image is None:
        by_image = _find_on_all_ranks(data, ids, places, max(runtime.loader_workers, runtime.threads))
        if path is not None and rank() == 0:
            _write(path, by_image)
    return Centroids.gather(by_image, data.source.classes(), data.sampling)


def _find_on_all_ranks(data: Data, ids: tuple[str, ...], places: Places, threads: int) -> ByImage:
    """Return the centroids of all images, of which each rank reads its share."""
    try:
        share: ByImage | AssayError = find_centroids(data, ids[rank() :: world_size()], places, threads)
    except AssayError as error:
        share = error  # raised on all ranks below: a rank that raised it alone would leave the others waiting
    by_image: ByImage = [np.empty(0)] * len(ids)
    for index, of_rank in enumerate(gather_objects(share)):
        if isinstance(of_rank, AssayError):
            raise of_rank
        by_image[index :: world_size()] = of_rank
    return by_image


def find_centroids(data: Data, ids: tuple[str, ...], places: Places, threads: int) -> ByImage:
    """Return the centroids in the masks of images."""
    assert data.sampling is not None
    tile, num_classes = data.sampling.tile, data.source.num_classes()

    def find(image_id: str) -> np.ndarray:
        _, mask = read(data.source, image_id, places)
        return centroids_of(mask, num_classes, tile)

    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(find, ids))


# --- the file ------------------------------------------------------------------------------------------------


def _file(data: Data, ids: tuple[str, ...], places: Places) -> Path | None:
    """Return the file's path, which differs for other images and for other content; None where nothing is kept."""
    if places.cache is None or data.sampling is None:
        return None
    cache = ImageCache(data.source, places, places.cache)
    state = cache.state(ids)
    if state is None:
        return None
    text = repr((_FORMAT, ids, state, data.sampling.tile))
    name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return cache.folder / f".centroids-{name}.npz"  # a hidden file is no image of the cache


def _read(path: Path | None, num_images: int) -> ByImage | None:
    """Return the content of the file; None where there is none or where it is damaged."""
    if path is None:
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            ends, rows = np.cumsum(content["counts"]), content["rows"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return np.split(rows, ends[:-1]) if len(ends) == num_images and ends[-1] == len(rows) else None


def _write(path: Path, by_image: ByImage) -> None:
    buffer = io.BytesIO()
    rows = np.concatenate(by_image).astype(np.int32)
    np.savez(buffer, counts=np.array([len(each) for each in by_image]), rows=rows)
    with contextlib.suppress(OSError):  # a full disk: they are found again by the next training
        atomic.replace(path, buffer.getvalue())
