"""COCO 2017 with 81 classes: background and 80 kinds of things."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from assay.data.source import DataMissing
from assay.data.sources.archive import Archive, Files
from assay.data.sources.files import image_mask_pairs, read_pair, stem_of
from assay.data.sources.palette import voc_palette
from assay.places import Places
from assay.terminal import command_line

# The ids of the 80 categories of things: 1-90 without ten that the owner never used.
CATEGORY_IDS = tuple(sorted({*range(1, 91)} - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}))
CATEGORIES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
CLASSES = ("background", *CATEGORIES)
SIZES = {"train": 118287, "val": 5000}
HOME = "COCO's home is cocodataset.org: train2017.zip, val2017.zip, annotations_trainval2017.zip."


class COCO(Archive):
    """`<root>/{train2017,val2017}/*.jpg` and `<root>/masks/{train2017,val2017}/*.png`; 118,287 and 5000 images.

    Images may also lie in `images/`, and all masks in `masks/` itself, as UniMatch's authors publish them. A mask
    holds 0 for the background, 1-80 for the categories in the order of their ids, and 255 = ignore. The command
    ``python -m assay masks coco`` makes the masks from the annotations, by the rule that `assay.commands.masks` states;
    masks from elsewhere may follow another rule where objects overlap, and then have other sizes, so another key.

    The palette is VOC's, which goes on for 81 colours; COCO has no official one.
    """

    name = "coco"
    title = "COCO"
    home = HOME
    sizes = SIZES
    folders = ("coco", "COCO", "coco2017", "COCO2017")
    markers = ("train2017", "images/train2017")

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return voc_palette(len(CLASSES))

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        return read_pair(image, mask, num_classes=len(CLASSES))

    def image_id(self, entry: str) -> str:
        """Return the name of the image's file, which is its id with leading zeros; ids of train and val differ."""
        stem = stem_of(entry)
        return stem.zfill(12) if stem.isdigit() else stem

    def place(self, pool: str, places: Places) -> Path:
        return images_folder(self.root(places), pool)

    def pool_files(self, root: Path, pool: str) -> Files:
        return _pool_files(root, pool)


def images_folder(root: Path, pool: str) -> Path:
    """Return the folder of a pool's images."""
    folder = root / f"{pool}2017"
    return folder if folder.is_dir() else root / "images" / folder.name


def masks_folder(root: Path, pool: str) -> Path:
    """Return the folder of a pool's masks."""
    folder = root / "masks" / f"{pool}2017"
    return folder if folder.is_dir() else folder.parent


@functools.lru_cache(maxsize=8)
def _pool_files(root: Path, pool: str) -> Files:
    name, images = f"COCO {pool} ({SIZES[pool]} images)", images_folder(root, pool)
    if not images.is_dir():
        raise DataMissing(f"{name}: there is no folder {images}. {HOME}")
    command = command_line(["python", "-m", "assay", "masks", "coco", "--data-root", str(root)])
    cure = f"Make the masks from the annotations with `{command}`."
    return image_mask_pairs(images, masks_folder(root, pool), name=name, home=f"{cure} {HOME}")
