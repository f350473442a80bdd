"""The official archives' file names as trees of hard links to small files, for plans with the published lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from assay.data import published
from assay.data.sources.camvid import SIZES as CAMVID_SIZES
from assay.data.sources.cityscapes import SIZES as CITYSCAPES_SIZES
from assay.nets.weights import PRETRAINED, PUBLISHED_ELSEWHERE
from assay.places import Places

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
    for name in {*PRETRAINED.values(), *(name for name, _ in PUBLISHED_ELSEWHERE.values())}:
        (places.weights / f"{name}.safetensors").write_text(name)  # a plan hashes the file and reads no weights
    return places


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
    for number in range(CITYSCAPES_SIZES["train_extra"]):  # no list is published
        yield Path("cityscapes/leftImg8bit/train_extra/made_up") / f"made_up_{number:06d}_000000_leftImg8bit.png"


def _coco() -> Iterator[Path]:
    """Name the images of the published lists, and some that are made up for validation."""
    listed = {image_id for ids in published.lists_of("unimatch/coco").values() for image_id in ids}
    made_up = [f"{number:012d}" for number in range(600_001, 600_051)]
    for pool, ids in (("train", sorted(listed)), ("val", made_up)):
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
