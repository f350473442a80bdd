"""PASCAL VOC 2012, with the fine masks or with the augmented ones (SegmentationClassAug)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.data.source import DataMissing, Source
from assay.data.sources.files import listed, read_pair
from assay.places import Places
from assay.values import param

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
HOME = (
    "VOC's home is host.robots.ox.ac.uk/pascal/VOC; SegmentationClassAug comes from the SBD data set of Hariharan et"
    " al. in the form that DeepLab's authors published."
)


class VOC(Source):
    """`<data root>/VOCdevkit/VOC2012/{JPEGImages,SegmentationClass,SegmentationClassAug,ImageSets/Segmentation}`."""

    name = "voc"
    masks: Literal["aug", "fine"] = param(default="aug", help="SegmentationClassAug, or SegmentationClass")

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_colour(index) for index in range(len(CLASSES)))

    def pools(self) -> tuple[str, ...]:
        return ("train", "train_aug", "val")

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        root = _root(places)
        if pool != "train_aug":
            return _checked(root, _listed_ids(root, pool), pool)
        if (root / _LISTS / "train_aug.txt").is_file():
            return _checked(root, _listed_ids(root, pool), pool)
        with_mask = listed(root / "SegmentationClassAug", (".png",))
        if not with_mask:
            raise DataMissing(
                f"VOC train_aug: no masks in {root / 'SegmentationClassAug'} (10582 expected beside val's). {HOME}"
            )
        return _checked(root, tuple(sorted(set(with_mask) - set(_listed_ids(root, "val")))), pool)

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        root = _root(places)
        folder = "SegmentationClass"
        if self.masks == "aug" and (root / "SegmentationClassAug" / f"{image_id}.png").is_file():
            folder = "SegmentationClassAug"
        return read_pair(
            root / "JPEGImages" / f"{image_id}.jpg",
            root / folder / f"{image_id}.png",
            num_classes=len(CLASSES),
        )

    def image_id(self, entry: str) -> str:
        return Path(entry.split()[0]).stem

    def facts(self, labeled: tuple[str, ...], places: Places) -> dict[str, Any]:
        """How many labelled images have one of the 1464 fine masks: lists differ in this more than in anything."""
        return {"fine_labeled": len(set(labeled) & set(_listed_ids(_root(places), "train")))}


_LISTS = Path("ImageSets") / "Segmentation"


def _colour(index: int) -> tuple[int, int, int]:
    """VOC's palette: the bits of the index, three by three, from the colours' highest bits down."""
    colour = [0, 0, 0]
    for level in range(8):
        for channel in range(3):
            colour[channel] |= (index >> (3 * level + channel) & 1) << (7 - level)
    return colour[0], colour[1], colour[2]


def _root(places: Places) -> Path:
    tried = (places.data / "VOCdevkit" / "VOC2012", places.data / "VOC2012", places.data / "voc", places.data)
    for root in tried:
        if (root / "JPEGImages").is_dir():
            return root
    raise DataMissing(
        f"VOC: looked for a folder JPEGImages in {', '.join(map(str, tried))} and found none; name the folder above it"
        f" with --data-root or ASSAY_DATA. {HOME}"
    )


@functools.lru_cache(maxsize=16)
def _listed_ids(root: Path, pool: str) -> tuple[str, ...]:
    path = root / _LISTS / f"{pool}.txt"
    if not path.is_file():
        raise DataMissing(f"VOC {pool}: the list {path} is missing. {HOME}")
    return tuple(sorted(Path(line.split()[0]).stem for line in path.read_text().splitlines() if line.strip()))


@functools.lru_cache(maxsize=16)
def _checked(root: Path, ids: tuple[str, ...], pool: str) -> tuple[str, ...]:
    """All ids, once it is known that each has an image and a mask."""
    images = listed(root / "JPEGImages")
    masks = set(listed(root / "SegmentationClass", (".png",))) | set(listed(root / "SegmentationClassAug", (".png",)))
    for kind, there, folder in (
        ("images", set(images), "JPEGImages"),
        ("masks", masks, "SegmentationClass(Aug)"),
    ):
        missing = [each for each in ids if each not in there]
        if missing:
            raise DataMissing(
                f"VOC {pool}: {len(missing)} of {len(ids)} {kind} are not in {root / folder}, the first is"
                f" {missing[0]}. {HOME}"
            )
    return ids
