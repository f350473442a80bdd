"""The trees in official layouts: every image of every pool is read, with the classes that its mask's values mean."""

from __future__ import annotations

import subprocess
import sys
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
