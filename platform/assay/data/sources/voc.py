"""PASCAL VOC 2012, with the fine masks, with the augmented ones (SegmentationClassAug), or with those of SBD."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from assay.data.lists import read_list
from assay.data.source import DataMissing
from assay.data.sources.archive import Archive
from assay.data.sources.files import files_by_stem, read_image, read_pair, require_equal_sizes, stem_of
from assay.data.sources.palette import voc_palette
from assay.data.sources.sbd import HOME as SBD_HOME
from assay.data.sources.sbd import SUFFIX, read_sbd_mask, sbd_files, sbd_folder
from assay.places import Places
from assay.terminal import command_line
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


class VOC(Archive):
    """`<data root>/VOCdevkit/VOC2012/{JPEGImages,SegmentationClass,SegmentationClassAug,ImageSets/Segmentation}`.

    The pool train_aug is the union of VOC's train and SBD without VOC's val: 1464 + 9118 = 10,582 images. SBD's own
    lists (8498 and 2857 images) do not follow VOC's: 11,355 - 9118 = 2237 of its images are also in VOC's train or
    val. Each counts once, and those in val stay out.

    With masks = sbd, the 1464 images of train have VOC's fine masks and the others SBD's, which have no ignored
    outlines. The command ``python -m assay masks voc`` writes the same labels as SegmentationClassAug. Public scripts
    that build this folder from the two archives do so as well: they convert SBD's masks and copy all of VOC's over
    them. The archive of the folder that is passed around was not compared; its files have other sizes, so another key.
    """

    name = "voc"
    title = "VOC"
    home = HOME
    sizes = SIZES
    folders = ("VOCdevkit/VOC2012", "VOC2012", "voc")
    markers = ("JPEGImages",)
    masks: Literal["aug", "fine", "sbd"] = param(
        default="aug",
        help="aug: SegmentationClassAug; fine: SegmentationClass for the 1464 images that have one, else"
        " SegmentationClassAug; sbd: SegmentationClass for these, else SBD's .mat files",
    )

    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return voc_palette(len(CLASSES))

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        root, added = self.root(places), self._added_masks(places)
        from_masks = self.place(pool, places) == added
        ids = _union(root, added, pool, places.data) if from_masks else _listed_ids(root, pool)
        return _require_files(root, ids, pool, self.masks, added, places.data)

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        if mask.suffix != SUFFIX:
            return read_pair(image, mask, num_classes=len(CLASSES))
        pixels, labels = read_image(image), read_sbd_mask(mask, num_classes=len(CLASSES))
        require_equal_sizes(image, pixels, mask, labels)
        return pixels, labels

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        root = self.root(places)
        folder = _mask_folder(root, self.masks, self._added_masks(places), image_id)
        suffix = ".png" if folder.parent == root else SUFFIX
        return root / "JPEGImages" / f"{image_id}.jpg", folder / f"{image_id}{suffix}"

    def fingerprint(self, places: Places) -> str | None:
        """Return the number of augmented validation masks: VOC's own masks would give other numbers."""
        replaced = len(_val_with_augmented_mask_only(self.root(places)))
        return f"{replaced} validation masks of {AUG}" if replaced else None

    def place(self, pool: str, places: Places) -> Path:
        """Return the list that defines a pool. VOC has no list of train_aug: without one, its masks count."""
        path = self.root(places) / _LISTS / f"{pool}.txt"
        return path if pool != "train_aug" or path.is_file() else self._added_masks(places)

    def describe_labeled(self, labeled: tuple[str, ...], places: Places) -> dict[str, Any]:
        """Return the number of labelled images with one of the 1464 fine masks; published lists differ most in it."""
        root = self.root(places)
        if not (root / _LISTS / "train.txt").is_file():
            return {}
        return {"fine_labeled": len(set(labeled) & _members(root, "train"))}

    def _added_masks(self, places: Places) -> Path:
        """Return the folder of the masks of train_aug's images outside train."""
        return sbd_folder(places.data) if self.masks == "sbd" else self.root(places) / AUG


@functools.lru_cache(maxsize=16)
def _listed_ids(root: Path, pool: str) -> tuple[str, ...]:
    path = root / _LISTS / f"{pool}.txt"
    if not path.is_file():
        raise DataMissing(f"VOC {pool}: the list {path} ({SIZES[pool]} images) is missing. {HOME}")
    return tuple(sorted({stem_of(entry) for entry in read_list(path)}))


@functools.lru_cache(maxsize=8)
def _union(root: Path, added: Path, pool: str, data: Path) -> tuple[str, ...]:
    """Return the images with an added mask, and with SBD's those of train, without those of val."""
    with_mask = set(_files(added))
    if not with_mask:
        cure = SBD_HOME if added != root / AUG else f"{_cure(data)} {HOME}"
        raise DataMissing(f"VOC {pool}: no masks in {added} ({SIZES[pool]} expected beside val's). {cure}")
    if added != root / AUG:
        with_mask |= _members(root, "train")
    return tuple(sorted(with_mask - set(_listed_ids(root, "val"))))


@functools.lru_cache(maxsize=16)
def _members(root: Path, pool: str) -> frozenset[str]:
    return frozenset(_listed_ids(root, pool))


def _files(folder: Path) -> dict[str, Path]:
    if folder.name in (FINE, AUG):
        return files_by_stem(folder, (".png",))
    return files_by_stem(folder, (".jpg",)) if folder.name == "JPEGImages" else sbd_files(folder)


@functools.lru_cache(maxsize=8)
def _val_with_augmented_mask_only(root: Path) -> frozenset[str]:
    """Return the validation images that have an augmented mask but no fine one."""
    return frozenset((_members(root, "val") - set(_files(root / FINE))) & set(_files(root / AUG)))


def _mask_folder(root: Path, masks: str, added: Path, image_id: str) -> Path:
    """Return the folder of an image's mask.

    For training images the lists decide and not the files, so that one value means the same labels on every machine.
    """
    if image_id in _members(root, "val"):
        return root / (AUG if image_id in _val_with_augmented_mask_only(root) else FINE)
    return root / FINE if masks != "aug" and image_id in _members(root, "train") else added


def _cure(data: Path) -> str:
    command = command_line(["python", "-m", "assay", "masks", "voc", "--data-root", str(data)])
    return (
        f"Make {AUG} from the archives of VOC and SBD with `{command}`; data.source.masks=sbd reads these archives"
        f" themselves, and data.source.masks=fine reads {FINE} for the images of train."
    )


@functools.lru_cache(maxsize=16)
def _require_files(root: Path, ids: tuple[str, ...], pool: str, masks: str, added: Path, data: Path) -> tuple[str, ...]:
    """Return the ids if each has an image and the mask that will be read; raise DataMissing otherwise."""
    required: dict[Path, list[str]] = {root / "JPEGImages": list(ids)}
    for image_id in ids:
        required.setdefault(_mask_folder(root, masks, added, image_id), []).append(image_id)
    for folder, stems in required.items():
        files = _files(folder)
        missing = [stem for stem in stems if stem not in files]
        if missing:
            cure = f" {_cure(data)}" if folder == root / AUG else ""
            home = HOME if folder.parent == root else SBD_HOME
            raise DataMissing(
                f"VOC {pool}: expected {len(stems)} files in {folder}, found {len(stems) - len(missing)};"
                f" the first missing one is {missing[0]}.{cure} {home}"
            )
    return ids
