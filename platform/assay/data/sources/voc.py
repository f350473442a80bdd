"""PASCAL VOC 2012, with the fine masks or with the augmented ones (SegmentationClassAug)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.data.lists import read_list
from assay.data.source import DataMissing, Source
from assay.data.sources.files import listed, read_pair, size_notes, stem_of
from assay.places import Places
from assay.values import param

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
FINE, AUG = "SegmentationClass", "SegmentationClassAug"
SIZES = {"train": 1464, "train_aug": 10582, "val": 1449}
_LISTS = Path("ImageSets") / "Segmentation"
HOME = (
    "VOC's home is host.robots.ox.ac.uk/pascal/VOC; SegmentationClassAug comes from the SBD data set of Hariharan et"
    " al. in the form that DeepLab's authors published."
)


class VOC(Source):
    """`<data root>/VOCdevkit/VOC2012/{JPEGImages,SegmentationClass,SegmentationClassAug,ImageSets/Segmentation}`."""

    name = "voc"
    masks: Literal["aug", "fine"] = param(
        default="aug", help="aug: SegmentationClassAug; fine: SegmentationClass for the 1464 images that have one"
    )

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_colour(index) for index in range(len(CLASSES)))

    def pools(self) -> tuple[str, ...]:
        return tuple(SIZES)

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        root = _root(places)
        ids = _listed_ids(root, pool) if _names(root, pool) != root / AUG else _augmented_ids(root, pool)
        return _checked(root, ids, pool, self.masks)

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        root = _root(places)
        return read_pair(
            root / "JPEGImages" / f"{image_id}.jpg",
            root / _mask_folder(root, self.masks, image_id) / f"{image_id}.png",
            num_classes=len(CLASSES),
        )

    def image_id(self, entry: str) -> str:
        return stem_of(entry)

    def fingerprint(self, places: Places) -> str | None:
        """Validation on other masks than VOC's own gives other numbers."""
        replaced = len(_val_of_aug(_root(places)))
        return f"{replaced} validation masks of {AUG}" if replaced else None

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        where, found = _names(_root(places), pool), len(self.ids(pool, places))
        return size_notes(f"VOC {pool}", found=found, official=SIZES[pool], where=where, home=HOME)

    def describe_labeled(self, labeled: tuple[str, ...], places: Places) -> dict[str, Any]:
        """How many labelled images have one of the 1464 fine masks: lists differ in this more than in anything."""
        root = _root(places)
        if not (root / _LISTS / "train.txt").is_file():
            return {}
        return {"fine_labeled": len(set(labeled) & _members(root, "train"))}


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
        f"VOC: looked for a folder JPEGImages in {', '.join(map(str, tried))} and found none (17125 images expected);"
        f" name the folder above it with --data-root or ASSAY_DATA. {HOME}"
    )


def _names(root: Path, pool: str) -> Path:
    """What says which images a pool has: its list; for train_aug, which VOC's owner does not list, else its masks."""
    path = root / _LISTS / f"{pool}.txt"
    return path if pool != "train_aug" or path.is_file() else root / AUG


@functools.lru_cache(maxsize=16)
def _listed_ids(root: Path, pool: str) -> tuple[str, ...]:
    path = root / _LISTS / f"{pool}.txt"
    if not path.is_file():
        raise DataMissing(f"VOC {pool}: the list {path} ({SIZES[pool]} images) is missing. {HOME}")
    return tuple(sorted({stem_of(entry) for entry in read_list(path)}))


@functools.lru_cache(maxsize=8)
def _augmented_ids(root: Path, pool: str) -> tuple[str, ...]:
    with_mask = _files(root, AUG)
    if not with_mask:
        raise DataMissing(f"VOC {pool}: no masks in {root / AUG} ({SIZES[pool]} expected beside val's). {HOME}")
    return tuple(sorted(set(with_mask) - set(_listed_ids(root, "val"))))


@functools.lru_cache(maxsize=16)
def _members(root: Path, pool: str) -> frozenset[str]:
    return frozenset(_listed_ids(root, pool))


def _files(root: Path, folder: str) -> dict[str, Path]:
    return listed(root / folder, (".jpg",) if folder == "JPEGImages" else (".png",))


@functools.lru_cache(maxsize=8)
def _val_of_aug(root: Path) -> frozenset[str]:
    """Validation images whose mask stands among the augmented ones only."""
    return frozenset((_members(root, "val") - set(_files(root, FINE))) & set(_files(root, AUG)))


def _mask_folder(root: Path, masks: str, image_id: str) -> str:
    """Decided by the lists rather than by what lies here, so that one value means the same labels everywhere."""
    if image_id in _members(root, "val"):
        return AUG if image_id in _val_of_aug(root) else FINE
    return FINE if masks == "fine" and image_id in _members(root, "train") else AUG


@functools.lru_cache(maxsize=16)
def _checked(root: Path, ids: tuple[str, ...], pool: str, masks: str) -> tuple[str, ...]:
    """All ids, once it is known that each has an image and the mask that will be read."""
    wanted: dict[str, list[str]] = {"JPEGImages": list(ids), FINE: [], AUG: []}
    for image_id in ids:
        wanted[_mask_folder(root, masks, image_id)].append(image_id)
    for folder, names in wanted.items():
        there = _files(root, folder)
        missing = [each for each in names if each not in there]
        if missing:
            cure = f" data.source.masks=fine reads {FINE}." if (pool, folder) == ("train", AUG) else ""
            raise DataMissing(
                f"VOC {pool}: looked for {len(names)} files in {root / folder}, found {len(names) - len(missing)};"
                f" the first that is missing is {missing[0]}.{cure} {HOME}"
            )
    return ids
