"""CamVid: street scenes of 480 x 360 with eleven classes, in the layout of the SegNet authors' selection."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from assay.data.sources.archive import Archive, Files
from assay.data.sources.files import image_mask_pairs, pool_of, read_pair, stem_of
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


class CamVid(Archive):
    """`<data root>/camvid/{train,val}/{images/*.jpg,masks/*.png}`; 367 and 101 images."""

    name = "camvid"
    title = "CamVid"
    home = HOME
    sizes = SIZES
    folders = ("camvid", "CamVid")
    markers = ("train/images",)

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return PALETTE

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        return read_pair(image, mask, num_classes=len(CLASSES), ignored_class=UNLABELLED)

    def image_id(self, entry: str) -> str:
        return f"{pool_of(entry)}/{stem_of(entry)}"

    def place(self, pool: str, places: Places) -> Path:
        return self.root(places) / pool / "images"

    def pool_files(self, root: Path, pool: str) -> Files:
        return _pool_files(root, pool)


@functools.lru_cache(maxsize=8)
def _pool_files(root: Path, pool: str) -> Files:
    name = f"CamVid {pool} ({SIZES[pool]} images)"
    pairs = image_mask_pairs(root / pool / "images", root / pool / "masks", name=name, home=HOME)
    return {f"{pool}/{stem}": files for stem, files in pairs.items()}
