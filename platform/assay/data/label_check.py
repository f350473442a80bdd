"""A look at the first masks of a split, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from assay.data.source import IGNORE, DataBroken, Source
from assay.data.splits import SplitResult
from assay.places import Places


def require_labels(source: Source, images: SplitResult, places: Places) -> None:
    """Raise DataBroken where no labelled image or no validation image has a pixel with a class.

    Masks are read until one has such a pixel: as a rule one image of each part.
    """
    for name, ids in (("labelled", images.labeled), ("validation", images.val)):
        if ids and not any(_has_labels(source, image_id, places) for image_id in ids):
            raise DataBroken(
                f"every pixel in the masks of all {len(ids)} {name} images is {IGNORE}, which means ignore"
                f"{_first(source, ids, places)}; masks must hold class ids."
            )


def _has_labels(source: Source, image_id: str, places: Places) -> bool:
    return bool((source.read(image_id, places)[1] != IGNORE).any())


def _first(source: Source, ids: Sequence[str], places: Places) -> str:
    files = source.files(ids[0], places)
    return f" (the first mask is {files[-1]})" if files else ""
