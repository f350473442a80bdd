"""CamVid: street scenes of 480 x 360 with eleven classes, in the layout of the SegNet authors' selection."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from assay.data.source import DataMissing, Source
from assay.data.sources.files import image_mask_pairs, pool_of, read_pair, size_notes, stem_of
from assay.places import Places

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
UNLABELLED = 11
SIZES = {"train": 367, "val": 101}
HOME = "CamVid's home is the University of Cambridge's Machine Intelligence Laboratory (mi.eng.cam.ac.uk)."


class CamVid(Source):
    """`<data root>/camvid/{train,val}/{images/*.jpg,masks/*.png}`; 367 and 101 images."""

    name = "camvid"

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return PALETTE

    def pools(self) -> tuple[str, ...]:
        return tuple(SIZES)

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        return tuple(f"{pool}/{stem}" for stem in _pairs(_root(places), pool))

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        return read_pair(image, mask, num_classes=len(CLASSES), ignored_class=UNLABELLED)

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        pool, _, stem = image_id.partition("/")
        return _pairs(_root(places), pool)[stem]

    def image_id(self, entry: str) -> str:
        return f"{pool_of(entry)}/{stem_of(entry)}"

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        place, size = _root(places) / pool / "images", len(self.ids(pool, places))
        return size_notes(f"CamVid {pool}", size=size, official_size=SIZES[pool], place=place, home=HOME)


def _root(places: Places) -> Path:
    candidates = (places.data / "camvid", places.data / "CamVid", places.data)
    for root in candidates:
        if (root / "train" / "images").is_dir():
            return root
    raise DataMissing(
        f"CamVid: no folder train/images ({SIZES['train']} images) in {', '.join(map(str, candidates))};"
        f" name the folder above it with --data-root or ASSAY_DATA. {HOME}"
    )


@functools.lru_cache(maxsize=8)
def _pairs(root: Path, pool: str) -> dict[str, tuple[Path, Path]]:
    name = f"CamVid {pool} ({SIZES[pool]} images)"
    return image_mask_pairs(root / pool / "images", root / pool / "masks", name=name, home=HOME)
