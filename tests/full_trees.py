"""The official archives' file names as trees of hard links to small files, for plans with the published lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from assay.data import published
from assay.data.sources import COCO, VOC, Cityscapes
from assay.data.sources.camvid import SIZES as CAMVID_SIZES
from assay.nets.weights import PRETRAINED
from assay.places import Places

COCO_IDS = {  # made up: the published lists of COCO are not part of this project
    "train": [f"{number:012d}" for number in range(1, 4001)],
    "val": [f"{number:012d}" for number in range(500_001, 500_051)],
}
LINKS = 30_000  # of one file; ext4 allows 65,000


def write(root: Path) -> Places:
    """Write all data sets, and a file for each encoder's weights."""
    places = Places(data=root / "data", splits=root / "splits", weights=root / "weights")
    for paths in (_voc(), _cityscapes(), _coco(), _camvid()):
        _link(places.data, paths)
    for pool in ("train", "val"):
        path = places.data / "VOCdevkit/VOC2012/ImageSets/Segmentation" / f"{pool}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in _ids(f"cps/voc/{pool}.txt")))
    places.weights.mkdir(parents=True)
    for name in set(PRETRAINED.values()):
        (places.weights / f"{name}.safetensors").write_text(name)  # a plan hashes the file and reads no weights
    return places


def write_lists_of_others(places: Places) -> None:
    """Write lists that users bring, with their names, formats and numbers of images; the images are the first ones."""
    voc, cityscapes = VOC().ids("train_aug", places), Cityscapes().ids("train", places)
    for number in (662, 1323, 2646, 5291):
        _write_list(places, f"u2pl/pascal/{number}", voc[:number])
    for number in (186, 372, 744, 1488):
        paths = (f"leftImg8bit/train/{name.split('_')[0]}/{name}_leftImg8bit.png" for name in cityscapes[:number])
        _write_list(places, f"u2pl/cityscapes/{number}", paths)
    for share, number in ((512, 232), (256, 463), (128, 925), (64, 1849), (32, 3697)):
        pairs = (f"train2017/{name}.jpg masks/{name}.png" for name in COCO().ids("train", places)[:number])
        _write_list(places, f"unimatch/coco/1_{share}", pairs)


def _voc() -> Iterator[Path]:
    root = Path("VOCdevkit/VOC2012")
    train, augmented, val = (_ids(f"cps/voc/{name}.txt") for name in ("train", "train_aug", "val"))
    yield from _named(root / "JPEGImages", (*augmented, *val), ".jpg")
    yield from _named(root / "SegmentationClass", (*train, *val), ".png")
    yield from _named(root / "SegmentationClassAug", augmented, ".png")


def _cityscapes() -> Iterator[Path]:
    for pool in ("train", "val"):
        for name in _ids(f"cps/cityscapes/{pool}.txt"):
            place = Path(pool) / name.partition("_")[0] / name
            yield Path("cityscapes/leftImg8bit") / f"{place}_leftImg8bit.png"
            yield Path("cityscapes/gtFine") / f"{place}_gtFine_labelIds.png"


def _coco() -> Iterator[Path]:
    for pool, ids in COCO_IDS.items():
        yield from _named(Path("coco") / f"{pool}2017", ids, ".jpg")
        yield from _named(Path("coco/masks") / f"{pool}2017", ids, ".png")


def _camvid() -> Iterator[Path]:
    for pool, size in CAMVID_SIZES.items():
        names = [f"{number:04d}" for number in range(size)]
        yield from _named(Path("camvid") / pool / "images", names, ".jpg")
        yield from _named(Path("camvid") / pool / "masks", names, ".png")


def _ids(name: str) -> tuple[str, ...]:
    ids = published.ids_of(name)
    assert ids is not None
    return ids


def _named(folder: Path, names: Iterable[str], suffix: str) -> Iterator[Path]:
    return (folder / f"{name}{suffix}" for name in names)


def _link(root: Path, paths: Iterable[Path]) -> None:
    """Write one small file and name it by all paths below the root."""
    folders: set[Path] = set()
    for index, path in enumerate(paths):
        place = root / path
        if place.parent not in folders:
            place.parent.mkdir(parents=True, exist_ok=True)
            folders.add(place.parent)
        if index % LINKS == 0:
            place.write_bytes(b"x")
            linked = place
        else:
            os.link(linked, place)


def _write_list(places: Places, folder: str, lines: Iterable[str]) -> None:
    path = places.splits / folder / "labeled.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
