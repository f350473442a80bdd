"""PASCAL VOC 2012, with the fine masks or with the augmented ones (SegmentationClassAug)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.data.lists import read_list
from assay.data.source import DataMissing, Source
from assay.data.sources.files import files_by_stem, read_pair, size_notes, stem_of
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
        ids = _augmented_ids(root, pool) if _pool_place(root, pool) == root / AUG else _listed_ids(root, pool)
        return _require_files(root, ids, pool, self.masks)

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        return read_pair(image, mask, num_classes=len(CLASSES))

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        root = _root(places)
        mask = root / _mask_folder(root, self.masks, image_id) / f"{image_id}.png"
        return root / "JPEGImages" / f"{image_id}.jpg", mask

    def image_id(self, entry: str) -> str:
        return stem_of(entry)

    def fingerprint(self, places: Places) -> str | None:
        """Return the number of augmented validation masks: VOC's own masks would give other numbers."""
        replaced = len(_val_with_augmented_mask_only(_root(places)))
        return f"{replaced} validation masks of {AUG}" if replaced else None

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        place, size = _pool_place(_root(places), pool), len(self.ids(pool, places))
        return size_notes(f"VOC {pool}", size=size, official_size=SIZES[pool], place=place, home=HOME)

    def describe_labeled(self, labeled: tuple[str, ...], places: Places) -> dict[str, Any]:
        """Return the number of labelled images with one of the 1464 fine masks; published lists differ most in it."""
        root = _root(places)
        if not (root / _LISTS / "train.txt").is_file():
            return {}
        return {"fine_labeled": len(set(labeled) & _members(root, "train"))}


def _colour(index: int) -> tuple[int, int, int]:
    """Return a colour of VOC's palette: groups of three bits of the index fill the channels from the highest bit."""
    colour = [0, 0, 0]
    for level in range(8):
        for channel in range(3):
            colour[channel] |= (index >> (3 * level + channel) & 1) << (7 - level)
    return colour[0], colour[1], colour[2]


def _root(places: Places) -> Path:
    candidates = (places.data / "VOCdevkit" / "VOC2012", places.data / "VOC2012", places.data / "voc", places.data)
    for root in candidates:
        if (root / "JPEGImages").is_dir():
            return root
    raise DataMissing(
        f"VOC: no folder JPEGImages (17125 images) in {', '.join(map(str, candidates))};"
        f" name the folder above it with --data-root or ASSAY_DATA. {HOME}"
    )


def _pool_place(root: Path, pool: str) -> Path:
    """Return the list that defines a pool. VOC has no list of train_aug: without one, its folder of masks counts."""
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
    return files_by_stem(root / folder, (".jpg",) if folder == "JPEGImages" else (".png",))


@functools.lru_cache(maxsize=8)
def _val_with_augmented_mask_only(root: Path) -> frozenset[str]:
    """Return the validation images that have an augmented mask but no fine one."""
    return frozenset((_members(root, "val") - set(_files(root, FINE))) & set(_files(root, AUG)))


def _mask_folder(root: Path, masks: str, image_id: str) -> str:
    """Return the folder of an image's mask.

    For training images the lists decide and not the files, so that one value means the same labels on every machine.
    """
    if image_id in _members(root, "val"):
        return AUG if image_id in _val_with_augmented_mask_only(root) else FINE
    return FINE if masks == "fine" and image_id in _members(root, "train") else AUG


@functools.lru_cache(maxsize=16)
def _require_files(root: Path, ids: tuple[str, ...], pool: str, masks: str) -> tuple[str, ...]:
    """Return the ids if each has an image and the mask that will be read; raise DataMissing otherwise."""
    required: dict[str, list[str]] = {"JPEGImages": list(ids), FINE: [], AUG: []}
    for image_id in ids:
        required[_mask_folder(root, masks, image_id)].append(image_id)
    for folder, stems in required.items():
        files = _files(root, folder)
        missing = [stem for stem in stems if stem not in files]
        if missing:
            cure = f" data.source.masks=fine reads {FINE}." if (pool, folder) == ("train", AUG) else ""
            raise DataMissing(
                f"VOC {pool}: expected {len(stems)} files in {root / folder}, found {len(stems) - len(missing)};"
                f" the first missing one is {missing[0]}.{cure} {HOME}"
            )
    return ids
