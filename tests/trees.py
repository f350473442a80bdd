"""Small data sets in the layouts of their owners' archives: ``python tests/trees.py DIR [NAME ...]`` writes them.

Folders, file names, image formats and the values of masks are those of the official archives; the images are drawn and
few, and the same in every run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from assay.data.sources import VOC
from assay.data.sources.coco import CATEGORIES, CATEGORY_IDS

Palette = Sequence[tuple[int, int, int]]

VOC_TRAIN = tuple(f"2007_{number:06}" for number in (32, 39, 63, 68, 121, 170, 241, 243))
VOC_VAL = tuple(f"2007_{number:06}" for number in (33, 42, 61))
SBD_TRAIN = tuple(
    f"2008_{number:06}" for number in (2, 3, 7, 8, 9, 15, 16, 19)
)  # neither in VOC's train nor in its val
CITYSCAPES = {
    "train": tuple(f"{city}_{number:06}_000019" for city in ("aachen", "zurich") for number in range(4)),
    "val": tuple(f"{city}_000000_000576" for city in ("frankfurt", "lindau", "munster")),
    "train_extra": ("bad-honnef_000000_000000", "troisdorf_000000_000073", "wurzburg_000000_000000"),
}
COCO = {
    "train": tuple(f"{number:012}" for number in (9, 25, 30, 34, 36, 42, 49, 61)),
    "val": ("000000000139", "000000000285"),
}
ADE20K = {
    "training": tuple(f"ADE_train_{number:08}" for number in range(1, 9)),
    "validation": tuple(f"ADE_val_{number:08}" for number in range(1, 3)),
}
CAMVID = {
    "train": tuple(f"0001TP_{number:06}" for number in range(6690, 6930, 30)),
    "val": ("0016E5_07959", "0016E5_07961"),
}
FOLDER = {
    "labelled": tuple(f"photo {number}" for number in range(1, 11)),
    "unlabelled": tuple(f"more {number}" for number in range(1, 5)),
}


def write_voc(data: Path) -> Path:
    """Write VOC 2012: images, fine masks with ignored outlines and a palette, lists, and SegmentationClassAug."""
    root = data / "VOCdevkit" / "VOC2012"
    lists = {"train": VOC_TRAIN, "val": VOC_VAL, "trainval": tuple(sorted(VOC_TRAIN + VOC_VAL))}
    for name, ids in lists.items():
        _write_text(root / "ImageSets" / "Segmentation" / f"{name}.txt", "".join(f"{image_id}\n" for image_id in ids))
    for image_id in (*VOC_TRAIN, *VOC_VAL, *SBD_TRAIN):
        mask = _voc_mask(image_id)
        _save(root / "JPEGImages" / f"{image_id}.jpg", _photograph(image_id, mask, VOC().palette()))
        _save(root / "SegmentationClassAug" / f"{image_id}.png", mask)
        if image_id not in SBD_TRAIN:
            _save(root / "SegmentationClass" / f"{image_id}.png", _with_outline(mask), palette=VOC().palette())
    return root


def write_sbd(data: Path) -> Path:
    """Write SBD as benchmark.tgz unpacks it. Its lists do not follow VOC's: some of its images are in VOC's val."""
    root = data / "benchmark_RELEASE" / "dataset"
    lists = {"train": (*VOC_TRAIN[:3], *VOC_VAL[:1], *SBD_TRAIN[:5]), "val": (*VOC_VAL[1:2], *SBD_TRAIN[5:])}
    for name, ids in lists.items():
        _write_text(root / f"{name}.txt", "".join(f"{image_id}\n" for image_id in sorted(ids)))
        for image_id in ids:
            mask = _voc_mask(image_id)
            _save(root / "img" / f"{image_id}.jpg", _photograph(image_id, mask, VOC().palette()))
            _write_mat(root / "cls" / f"{image_id}.mat", mask)
    return root


def write_cityscapes(data: Path) -> Path:
    """Write Cityscapes: fine masks of train and val, coarse ones of all pools, and the four files of each mask."""
    root = data / "cityscapes"
    for pool, ids in CITYSCAPES.items():
        for image_id in ids:
            labels = _regions(image_id, 64, 128, (7, 11, 21, 23, 26), background=4)
            city = f"{pool}/{image_id.split('_')[0]}"
            image = root / "leftImg8bit" / city / f"{image_id}_leftImg8bit.png"
            _save(image, _photograph(image_id, labels, VOC().palette()))
            for kind in ("gtCoarse",) if pool == "train_extra" else ("gtFine", "gtCoarse"):
                _write_cityscapes_mask(root / kind / city / f"{image_id}_{kind}", labels)
    return root


def write_coco(data: Path) -> Path:
    """Write COCO 2017: images and instance annotations, with overlaps, a crowd, and an image without annotations."""
    root = data / "coco"
    for pool, ids in COCO.items():
        images, annotations = [], []
        for index, image_id in enumerate(ids):
            height, width = 40 + 2 * index, 60
            instances = [] if index == 1 else _coco_instances(int(image_id), height, width)
            mask = _regions(image_id, height, width, (1, 2, 3), background=0)
            photograph = _photograph(image_id, mask, VOC().palette())
            _save(root / f"{pool}2017" / f"{image_id}.jpg", photograph[..., 0] if index == 2 else photograph)
            images.append({"id": int(image_id), "file_name": f"{image_id}.jpg", "height": height, "width": width})
            annotations += instances
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in zip(CATEGORY_IDS, CATEGORIES, strict=True)],
        }
        _write_text(root / "annotations" / f"instances_{pool}2017.json", json.dumps(content))
    return root


def write_ade20k(data: Path) -> Path:
    """Write ADE20K as ADEChallengeData2016.zip unpacks it."""
    root = data / "ADEChallengeData2016"
    for folder, ids in ADE20K.items():
        for image_id in ids:
            mask = _regions(image_id, 48, 64, (1, 3, 150), background=0)
            _save(root / "images" / folder / f"{image_id}.jpg", _photograph(image_id, mask, VOC().palette()))
            _save(root / "annotations" / folder / f"{image_id}.png", mask)
    return root


def write_camvid(data: Path) -> Path:
    """Write CamVid in the selection of SegNet's authors, where class 11 has no label."""
    root = data / "camvid"
    for pool, ids in CAMVID.items():
        for image_id in ids:
            mask = _regions(image_id, 36, 48, (0, 1, 3, 8), background=11)
            _save(root / pool / "images" / f"{image_id}.jpg", _photograph(image_id, mask, VOC().palette()))
            _save(root / pool / "masks" / f"{image_id}.png", mask)
    return root


def write_folder(data: Path) -> Path:
    """Write a user's own images: some with masks of three classes, and some without masks."""
    root = data / "mine"
    for image_id in (*FOLDER["labelled"], *FOLDER["unlabelled"]):
        mask = _regions(image_id, 40, 48, (1, 2), background=0)
        is_labelled = image_id in FOLDER["labelled"]
        folder = root / ("images" if is_labelled else "unlabeled")
        _save(folder / f"{image_id}.jpg", _photograph(image_id, mask, VOC().palette()))
        if is_labelled:
            _save(root / "masks" / f"{image_id}.png", mask)
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "voc": write_voc,
    "sbd": write_sbd,
    "cityscapes": write_cityscapes,
    "coco": write_coco,
    "ade20k": write_ade20k,
    "camvid": write_camvid,
    "folder": write_folder,
}


def _regions(name: str, height: int, width: int, labels: Sequence[int], *, background: int) -> np.ndarray:
    """Return a mask with one rectangle for each label, placed by the image's name."""
    rng = np.random.default_rng(list(name.encode()))
    mask = np.full((height, width), background, dtype=np.uint8)
    for label in labels:
        top, left = int(rng.integers(0, height // 2)), int(rng.integers(0, width // 2))
        mask[top : top + height // 2, left : left + width // 2] = label
    return mask


def _voc_mask(image_id: str) -> np.ndarray:
    return _regions(image_id, 48, 64, (1, 15, 20), background=0)


def _with_outline(mask: np.ndarray) -> np.ndarray:
    """Return a mask with VOC's ignored pixels between two labels."""
    outline = np.zeros(mask.shape, dtype=bool)
    outline[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    outline[1:] |= mask[1:] != mask[:-1]
    return np.where(outline, np.uint8(255), mask)


def _photograph(name: str, mask: np.ndarray, palette: Palette) -> np.ndarray:
    """Return noise around the colours of the labels."""
    rng = np.random.default_rng(list(name.encode()))
    colours = np.array([palette[label % len(palette)] for label in range(256)], dtype=np.int64)
    noise = rng.integers(0, 64, (*mask.shape, 3))
    return np.clip(colours[mask] // 2 + 32 + noise, 0, 255).astype(np.uint8)


def _write_cityscapes_mask(stem: Path, labels: np.ndarray) -> None:
    instances = np.where(labels >= 24, labels.astype(np.int32) * 1000, labels).astype(np.uint16)
    colour = np.dstack([labels, labels, labels, np.full_like(labels, 255)])
    for tail, pixels in (("labelIds", labels), ("instanceIds", instances), ("color", colour)):
        _save(stem.with_name(f"{stem.name}_{tail}.png"), pixels)
    size = {"imgHeight": labels.shape[0], "imgWidth": labels.shape[1], "objects": []}
    _write_text(stem.with_name(f"{stem.name}_polygons.json"), json.dumps(size))


def _coco_instances(image_id: int, height: int, width: int) -> list[dict[str, Any]]:
    """Return a small and a large instance that overlap, the small one first, and a crowd behind both."""
    rng = np.random.default_rng(image_id)
    top, left = int(rng.integers(0, 6)), int(rng.integers(0, 6))
    crowd = np.zeros((height, width), dtype=bool)
    crowd[: height // 2] = True
    shapes: list[dict[str, Any]] = [
        _rectangle(CATEGORY_IDS[1], top + 8, left + 8, 10, 12),
        _rectangle(CATEGORY_IDS[0], top, left, 28, 30),
        {"category_id": 90, "iscrowd": 1, "area": float(crowd.sum()), "segmentation": _run_lengths(crowd)},
    ]
    return [{"id": 10 * image_id + index, "image_id": image_id} | shape for index, shape in enumerate(shapes)]


def _rectangle(category: int, top: int, left: int, height: int, width: int) -> dict[str, Any]:
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    points = [float(number) for corner in corners for number in corner]
    return {"category_id": category, "iscrowd": 0, "area": float(height * width), "segmentation": [points]}


def _run_lengths(pixels: np.ndarray) -> dict[str, Any]:
    """Return COCO's uncompressed run-length code: the lengths of runs down the columns, first of pixels outside."""
    flat = np.concatenate([[False], pixels.flatten(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff([0, *edges, pixels.size])
    return {"size": list(pixels.shape), "counts": [int(run) for run in runs]}


def _write_mat(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    present = np.setdiff1d(mask, [0])[:, None]
    content = {"Boundaries": np.zeros((20, 1)), "Segmentation": mask, "CategoriesPresent": present}
    savemat(path, {"GTcls": content}, do_compression=True)


def _save(path: Path, pixels: np.ndarray, palette: Palette | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([channel for colour in palette for channel in colour])
    image.save(path)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for tree in sys.argv[2:] or TREES:
        print(TREES[tree](target))
