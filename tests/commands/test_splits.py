"""`assay splits`: the lists that are here, the images of a split, and the check of every file."""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.commands import run
from assay.data import published
from assay.data.contents import hash_contents
from assay.data.sources import Folder
from assay.places import Places

STEMS = tuple(f"street {number}" for number in range(10))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for stem in STEMS:
        for kind, shape in (("images", (8, 8, 3)), ("masks", (8, 8))):
            path = tmp_path / "data" / "mine" / kind / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ones(shape, np.uint8)).save(path)
    return tmp_path / "data" / "mine"


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    command = ["splits", "folder", "--verify", "--data-root", str(folder.parent), "--set", "data.source.path=mine"]
    code = run([*command, "--set", "data.split.labeled=2", *more])
    return code, capsys.readouterr().out.splitlines()


def test_all_lists_are_listed_with_their_counts_and_the_published_ones_with_origin_and_licence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("a\nb\n")
    (tmp_path / "split_0.pkl").write_bytes(pickle.dumps(np.arange(7)))
    (tmp_path / "empty.txt").write_text("")
    assert run(["splits", "--splits", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "     2  mine.txt" in lines and "     7  split_0.pkl" in lines
    assert any(line.startswith("     ?  empty.txt: ") and "is empty" in line for line in lines)
    for origin in published.origins():
        (title,) = (line for line in lines if line.startswith(f"{origin.folder}, for {origin.data}: "))
        assert all(text in title for text in (origin.authors, origin.home, origin.licence))
        for name, ids in published.lists_of(origin.folder).items():
            assert f"{len(ids):6}  {origin.folder}/{name}" in lines


def test_without_own_lists_the_folder_is_named_with_the_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["splits", "--splits", str(tmp_path / "none")]) == 0
    assert f"no list in {tmp_path / 'none'}; name the folder of your own lists" in capsys.readouterr().out


def test_verify_reads_everything_and_hashes_the_contents_of_each_part(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = verify(folder, capsys)
    places = Places(data=folder.parent)
    expected = hash_contents(Folder(path="mine"), Folder(path="mine").ids("val", places), places)
    assert code == 0 and lines[-1] == "10 images read, none damaged"
    assert f"val             2  contents {expected}" in lines
    copy = folder.parent.parent / "copy" / "mine"
    shutil.copytree(folder, copy)
    assert verify(copy, capsys) == (code, lines)
    name = next((copy / "masks").iterdir())
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(name)
    assert verify(copy, capsys)[1] != lines


def test_verify_names_every_damaged_file_and_ends_with_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncated, other_size = folder / "images" / "street 3.png", folder / "masks" / "street 5.png"
    truncated.write_bytes(truncated.read_bytes()[:40])
    Image.fromarray(np.ones((4, 4), np.uint8)).save(other_size)
    (folder / "masks" / "street 7.png").write_bytes(b"")
    code, lines = verify(folder, capsys, "--set", "data.split.unlabeled=rest")
    damaged = [line for line in lines if line.startswith("damaged: ")]
    assert code == 1 and len(damaged) == 3 and lines[-1] == "10 images read, 3 damaged"
    for name in ("images/street 3.png", "masks/street 5.png", "masks/street 7.png"):
        assert sum(name in line for line in damaged) == 1
    parts = [line for line in lines if " contents " in line]
    counts = [int(match[1]) for line in parts if (match := re.search(r"contents (\d+) damaged image", line))]
    assert sum(counts) == 3  # labelled, unlabelled and validation images are distinct here


def test_verify_without_a_data_set_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["splits", "--verify"]) == 2
    assert "--verify reads the images of one data set; name it" in capsys.readouterr().err


def test_drawn_images_are_read_and_have_no_contents_to_hash(capsys: pytest.CaptureFixture[str]) -> None:
    small = [part for text in ("num_train=8", "num_val=2") for part in ("--set", f"data.source.{text}")]
    assert run(["splits", "textures", "--verify", *small, "--set", "data.split.labeled=2"]) == 0
    assert "val             2  contents drawn, without files" in capsys.readouterr().out


def test_an_empty_file_is_refused_as_training_refuses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for pool in ("train", "val"):
        for kind in ("images", "masks"):
            path = tmp_path / "camvid" / pool / kind / "0001TP_000000.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB" if kind == "images" else "L", (4, 4)).save(path)
    (tmp_path / "camvid/train/masks/0001TP_000000.png").write_bytes(b"")
    assert run(["splits", "camvid", "--data-root", str(tmp_path), "--set", "data.split.labeled=all"]) == 2
    output = capsys.readouterr()
    assert "train/masks/0001TP_000000.png cannot be read as an image (it is empty)" in output.err
    assert output.out == ""
