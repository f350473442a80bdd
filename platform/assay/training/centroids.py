"""The centroids of the labelled images for class-uniform sampling: found once per training, by all ranks together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from assay.collectives import gather_objects, rank, world_size
from assay.data.class_uniform import Centroids, centroids_of
from assay.data.reading import read
from assay.errors import AssayError
from assay.experiment import Data, Runtime
from assay.places import Places
from assay.resolve import Resolved


def centroids_for(resolved: Resolved, places: Places, runtime: Runtime) -> Centroids | None:
    """Return the centroids of an experiment's labelled images, sorted by id; None without class-uniform sampling.

    Each rank reads its share of the images, in as many threads as it has for loading or computing.
    """
    data = resolved.experiment.data
    if data.sampling is None:
        return None
    ids = tuple(sorted(resolved.images.labeled))
    threads = max(runtime.loader_workers, runtime.threads)
    try:
        share: list[np.ndarray] | AssayError = find_centroids(data, ids[rank() :: world_size()], places, threads)
    except AssayError as error:
        share = error  # raised on all ranks below: a rank that raised it alone would leave the others waiting
    by_image: list[np.ndarray] = [np.empty(0)] * len(ids)
    for index, of_rank in enumerate(gather_objects(share)):
        if isinstance(of_rank, AssayError):
            raise of_rank
        by_image[index :: world_size()] = of_rank
    return Centroids.gather(by_image, data.source.classes(), data.sampling)


def find_centroids(data: Data, ids: tuple[str, ...], places: Places, threads: int) -> list[np.ndarray]:
    """Return the centroids (N x 3: class, row, column) in each image's mask."""
    assert data.sampling is not None
    tile, num_classes = data.sampling.tile, data.source.num_classes()

    def find(image_id: str) -> np.ndarray:
        _, mask = read(data.source, image_id, places)
        return centroids_of(mask, num_classes, tile)

    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(find, ids))
