"""The trees in official layouts: every image of every pool is read, with the classes that its mask's values mean."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trees

from assay.data.source import IGNORE, Source
from assay.data.sources import ADE20K, VOC, CamVid, Cityscapes, Folder
from assay.places import Places

# Data set | its trees | number of images of each pool | classes in all masks together.
CASES: list[tuple[Source, tuple[str, ...], dict[str, int], set[int]]] = [
    (VOC(), ("voc",), {"train": 8, "train_aug": 16, "val": 3}, {0, 1, 15, 20, IGNORE}),
    (VOC(masks="fine"), ("voc",), {"train": 8, "train_aug": 16, "val": 3}, {0, 1, 15, 20, IGNORE}),
    (VOC(masks="sbd"), ("voc", "sbd"), {"train": 8, "train_aug": 16, "val": 3}, {0, 1, 15, 20, IGNORE}),
    (Cityscapes(), ("cityscapes",), {"train": 8, "val": 3, "train_extra": 3}, {0, 2, 8, 10, 13, IGNORE}),
    (ADE20K(), ("ade20k",), {"train": 8, "val": 2}, {0, 2, 149, IGNORE}),
    (CamVid(), ("camvid",), {"train": 8, "val": 2}, {0, 1, 3, 8, IGNORE}),
    (
        Folder(path="mine", num_labels=3),
        ("folder",),
        {"train": 8, "unlabeled": 4, "all": 12, "val": 2},
        {0, 1, 2, IGNORE},
    ),
]


@pytest.mark.parametrize(("source", "names", "sizes", "classes"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_every_image_is_read_with_the_classes_of_its_mask(
    source: Source, names: tuple[str, ...], sizes: dict[str, int], classes: set[int], tmp_path: Path
) -> None:
    for name in names:
        trees.TREES[name](tmp_path)
    places = Places(data=tmp_path)
    ids = {pool: source.ids(pool, places) for pool in source.pools()}
    assert {pool: len(of_pool) for pool, of_pool in ids.items()} == sizes
    found: set[int] = set()
    for image_id in {image_id for of_pool in ids.values() for image_id in of_pool}:
        image, mask = source.read(image_id, places)
        assert image.shape == (*mask.shape, 3) and image.dtype == mask.dtype == np.uint8
        assert all(path.is_file() for path in source.files(image_id, places))
        found |= set(np.unique(mask).tolist())
    assert found == classes


# Data set | its trees | the name of an image | the labels drawn into it | the classes of labels, where they differ.
DRAWN: list[tuple[Source, str, str, Callable[[str], np.ndarray], dict[int, int]]] = [
    (VOC(masks="aug"), "voc", trees.VOC_TRAIN[0], trees._voc_mask, {}),
    (VOC(masks="aug"), "voc", trees.SBD_TRAIN[0], trees._voc_mask, {}),
    (VOC(masks="fine"), "voc", trees.VOC_VAL[0], lambda name: trees._with_outline(trees._voc_mask(name)), {}),
    (VOC(masks="sbd"), "voc sbd", trees.VOC_TRAIN[1], lambda name: trees._with_outline(trees._voc_mask(name)), {}),
    (VOC(masks="sbd"), "voc sbd", trees.SBD_TRAIN[1], trees._voc_mask, {}),
    (
        Cityscapes(),
        "cityscapes",
        trees.CITYSCAPES["val"][1],
        lambda name: trees._regions(name, 64, 128, (7, 11, 21, 23, 26), background=4),
        {7: 0, 11: 2, 21: 8, 23: 10, 26: 13, 4: IGNORE},
    ),
    (
        ADE20K(),
        "ade20k",
        trees.ADE20K["training"][3],
        lambda name: trees._regions(name, 48, 64, (1, 3, 150), background=0),
        {1: 0, 3: 2, 150: 149, 0: IGNORE},
    ),
    (
        CamVid(),
        "camvid",
        trees.CAMVID["val"][1],
        lambda name: trees._regions(name, 36, 48, (0, 1, 3, 8), background=11),
        {11: IGNORE},
    ),
    (
        Folder(path="mine", num_labels=3),
        "folder",
        trees.FOLDER["labelled"][4],
        lambda name: trees._regions(name, 40, 48, (1, 2), background=0),
        {},
    ),
]


@pytest.mark.parametrize(
    ("source", "names", "name", "draw", "classes"), DRAWN, ids=lambda value: getattr(value, "name", "")
)
def test_an_image_is_read_with_the_mask_that_was_drawn_for_it(
    source: Source,
    names: str,
    name: str,
    draw: Callable[[str], np.ndarray],
    classes: dict[int, int],
    tmp_path: Path,
) -> None:
    for tree in names.split():
        trees.TREES[tree](tmp_path)
    places = Places(data=tmp_path)
    (image_id,) = {
        each for pool in source.pools() for each in source.ids(pool, places) if each.rpartition("/")[2] == name
    }
    image, mask = source.read(image_id, places)
    labels = draw(name)
    assert mask.tolist() == [[classes.get(label, label) for label in row] for row in labels.tolist()]
    moved = (labels[:, ::-1], labels[::-1], np.roll(labels, 4, axis=0), np.roll(labels, 4, axis=1))
    assert all(_distance(image, labels) < 0.95 * _distance(image, other) for other in moved)


def _distance(image: np.ndarray, labels: np.ndarray) -> float:
    """Return how far an image is from its labels' colours in the middle of the noise: half the palette's, and 63.5."""
    colours = np.array(VOC().palette())[np.where(labels == IGNORE, 0, labels) % 21] // 2 + 63.5
    return float(np.abs(image - colours)[labels != IGNORE].mean())


def test_one_command_writes_all_trees_the_same_in_every_run(tmp_path: Path) -> None:
    script = [sys.executable, trees.__file__, str(tmp_path / "first")]
    subprocess.run(script, env={"PYTHONPATH": "platform:."}, cwd=Path(trees.__file__).parents[1], check=True)
    for write in trees.TREES.values():
        write(tmp_path / "second")
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "first", tmp_path / "second")
    )
    # SciPy writes the time into the head of a MATLAB file.
    assert first.keys() == second.keys()
    assert all(first[path] == second[path] for path in first if path.suffix != ".mat")
