"""ADE20K in the form of the scene parsing challenge of 2016: 150 classes."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from assay.data.source import IGNORE
from assay.data.sources.archive import Archive, Files
from assay.data.sources.files import image_mask_pairs, read_pair
from assay.data.sources.palette import voc_palette
from assay.places import Places

CLASSES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand",
    "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table",
    "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower",
    "book", "hill", "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat",
    "bar", "arcade machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight",
    "booth", "television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator",
    "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer",
    "plaything", "swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle",
    "oven", "ball", "food", "step", "tank", "trade name", "microwave", "pot", "animal", "bicycle", "lake",
    "dishwasher", "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan",
    "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip
SIZES = {"train": 20210, "val": 2000}
HOME = "ADE20K's home is sceneparsing.csail.mit.edu: ADEChallengeData2016.zip."
_FOLDERS = {"train": "training", "val": "validation"}


class ADE20K(Archive):
    """`<data root>/ADEChallengeData2016/{images,annotations}/{training,validation}`; 20,210 and 2000 images.

    A mask of the archive holds 0 for other objects, which becomes IGNORE, and 1-150 for the classes. The palette is
    VOC's, which goes on for 150 colours, without its black.
    """

    name = "ade20k"
    title = "ADE20K"
    home = HOME
    sizes = SIZES
    folders = ("ADEChallengeData2016", "ade20k/ADEChallengeData2016", "ade20k", "ADE20K")
    markers = ("images/training",)

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return voc_palette(len(CLASSES), first=1)

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        pixels, labels = read_pair(image, mask, num_classes=len(CLASSES) + 1)
        return pixels, np.where(labels == IGNORE, labels, labels - np.uint8(1))  # 0 - 1 is 255, which is IGNORE

    def place(self, pool: str, places: Places) -> Path:
        return self.root(places) / "images" / _FOLDERS[pool]

    def pool_files(self, root: Path, pool: str) -> Files:
        return _pool_files(root, pool)


@functools.lru_cache(maxsize=8)
def _pool_files(root: Path, pool: str) -> Files:
    images, masks = (root / kind / _FOLDERS[pool] for kind in ("images", "annotations"))
    return image_mask_pairs(images, masks, name=f"ADE20K {pool} ({SIZES[pool]} images)", home=HOME)
