"""Hashes of files: they tell versions of a data set apart, and nothing else moves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.contents import hash_contents, hash_sizes
from assay.data.source import DataBroken
from assay.data.sources import Folder, Textures
from assay.data.splits import Split, split
from assay.places import Places

STEMS = ("a", "b", "c")


def write(root: Path, *, size: int = 4, colour: int = 0) -> Places:
    for stem in STEMS:
        for folder, pixels in (
            ("images", np.full((size, size, 3), colour, np.uint8)),
            ("masks", np.zeros((size, size))),
        ):
            suffix = ".bmp" if folder == "images" else ".png"  # equal sizes for all colours
            path = root / "mine" / folder / f"{stem}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return Places(data=root)


def ids(places: Places) -> list[str]:
    return [image_id for pool in ("train", "val") for image_id in Folder(path="mine").ids(pool, places)]


def test_sizes_distinguish_folders_with_the_same_file_names_wherever_they_lie(tmp_path):
    mine, same, other = (write(tmp_path / name, size=size) for name, size in (("x", 4), ("y", 4), ("z", 40)))
    hashes = [hash_sizes(Folder(path="mine"), ids(places), places) for places in (mine, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_order_of_ids_does_not_matter_and_every_id_does(tmp_path):
    places = write(tmp_path)
    assert hash_sizes(Folder(path="mine"), ids(places)[::-1], places) == hash_sizes(
        Folder(path="mine"), ids(places), places
    )
    assert hash_sizes(Folder(path="mine"), ids(places)[:2], places) != hash_sizes(
        Folder(path="mine"), ids(places), places
    )


def test_only_contents_distinguish_files_of_one_size(tmp_path):
    mine, other = write(tmp_path / "x", colour=1), write(tmp_path / "y", colour=2)
    sizes = [hash_sizes(Folder(path="mine"), ids(places), places) for places in (mine, other)]
    contents = [hash_contents(Folder(path="mine"), ids(places), places) for places in (mine, other)]
    assert sizes[0] == sizes[1]
    assert contents[0] != contents[1]


def test_drawn_images_have_no_files(tmp_path):
    assert hash_sizes(Textures(), Textures().ids("train", Places()), Places()) is None
    assert split(Textures(), Split(), Places()).describe("val").keys() == {"count", "hash"}


def test_a_split_describes_the_files_of_each_part(tmp_path):
    places = write(tmp_path)
    before = split(Folder(path="mine"), Split(labeled="1"), places).describe("labeled")
    (labeled,) = split(Folder(path="mine"), Split(labeled="1"), places).labeled
    for path in Folder(path="mine").files(labeled, places):
        Image.new("L" if path.parent.name == "masks" else "RGB", (50, 50)).save(path.with_suffix(".new"), "PNG")
        path.with_suffix(".new").replace(path)
    after = split(Folder(path="mine"), Split(labeled="1"), places).describe("labeled")
    assert before["hash"] == after["hash"]
    assert before["files"] != after["files"]


def test_a_file_that_vanished_is_named(tmp_path):
    places = write(tmp_path)
    names = ids(places)
    (tmp_path / "mine" / "masks" / "b.png").unlink()
    with pytest.raises(DataBroken, match=r"b\.png is missing"):
        hash_sizes(Folder(path="mine"), names, places)
