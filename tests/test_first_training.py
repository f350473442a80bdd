"""A stranger who unpacked nothing but the official archives: `doctor`, then one command to a first training."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import trees

from assay.commands import run

# A tiny network and a few steps at a small crop; everything else is the data set's preset.
SMALL = {
    "net.encoder.arch": "tiny",
    "net.encoder.weights": "none",
    "net.head.channels": "8",
    "recipe.steps": "2",
    "recipe.labeled_batch": "2",
    "recipe.unlabeled_batch": "2",
    "recipe.augment.crop": "32,32",
    "recipe.evaluation.mode": "whole",
}
# Archives | data set | the doctor's numbers once its masks are made.
CASES = {
    "voc": ("voc", "train 8 of the official 1464, train_aug 16 of the official 10582, val 3 of the official 1449"),
    "voc and sbd": ("voc", "train 8 of the official 1464, train_aug 16 of the official 10582"),
    "cityscapes": ("cityscapes", "train 8 of the official 2975, val 3 of the official 500, train_extra 3 of the"),
    "coco": ("coco", "train 8 of the official 118287, val 2 of the official 5000"),
    "ade20k": ("ade20k", "train 8 of the official 20210, val 2 of the official 2000"),
    "camvid": ("camvid", "train 8 of the official 367, val 2 of the official 101"),
}
WITHOUT_MASKS = ("voc and sbd", "coco")  # the doctor names a command that makes them


def lines_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run a command that must succeed, and return its lines."""
    capsys.readouterr()
    code = run(arguments)
    output = capsys.readouterr()
    assert code == 0, output.err
    return output.out.splitlines()


def settings(changes: Mapping[str, str]) -> list[str]:
    """Return flags for a small network and training, and for further changes."""
    return [part for path, value in (SMALL | changes).items() for part in ("--set", f"{path}={value}")]


def unpack(archives: str, data: Path) -> None:
    """Write the trees of archives. SBD is of use beside VOC, here without SegmentationClassAug, which is no archive."""
    for name in archives.split(" and "):
        trees.TREES[name](data)
    if "sbd" in archives:
        shutil.rmtree(data / "VOCdevkit" / "VOC2012" / "SegmentationClassAug")


def doctor(name: str, data: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the doctor's line of a data set."""
    lines = lines_of(["doctor", "--data-root", str(data)], capsys)
    (line,) = (line for line in lines if line.split()[1:2] == [f"{name}:"])
    return line


@pytest.mark.parametrize("archives", CASES)
def test_from_the_official_archives_to_a_first_training(
    archives: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where there are no studies for the doctor to read
    name, numbers = CASES[archives]
    if name == "coco" and importlib.util.find_spec("pycocotools") is None:
        pytest.skip("COCO's annotations are drawn with pycocotools: pip install '.[coco]'")
    data = tmp_path / "data"
    unpack(archives, data)
    if archives in WITHOUT_MASKS:
        line = doctor(name, data, capsys)
        assert numbers not in line
        lines_of(shlex.split(line.partition("`python -m assay ")[2].partition("`")[0]), capsys)
    line = doctor(name, data, capsys)
    assert line.startswith(f"  partial  {name}: ") and numbers in line
    train = [
        "train",
        "--method",
        "supervised",
        "--data",
        name,
        "--data-root",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    assert any("mIoU" in line for line in lines_of([*train, *settings({})], capsys))


def test_sbd_is_read_without_making_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack("voc and sbd", tmp_path / "data")
    train = ["train", "--method", "supervised", "--data", "voc", "--data-root", str(tmp_path / "data")]
    changes = settings({"data.source.masks": "sbd"})
    assert any("mIoU" in line for line in lines_of([*train, "--out", str(tmp_path / "out"), *changes], capsys))


@pytest.mark.parametrize("masks", ["none", "coarse"])
def test_unlabelled_images_of_train_extra_and_images_of_half_the_size(
    masks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack("cityscapes", tmp_path / "data")
    source = {"data.source.train_extra_masks": masks, "data.source.resize": "32,64"}
    split = {"data.split.labeled": "2", "data.split.unlabeled": "train_extra"}
    train = ["train", "--method", "mean_teacher", "--data", "cityscapes", "--data-root", str(tmp_path / "data")]
    assert any("mIoU" in line for line in lines_of([*train, "--out", str(tmp_path), *settings(source | split)], capsys))


def test_from_a_folder_of_ones_own_images_to_a_first_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack("folder", tmp_path / "data")
    train = ["train", "--method", "supervised", "--data", "folder", "--data-root", str(tmp_path / "data")]
    own = settings({"data.source.path": "mine", "data.source.num_labels": "3"})
    assert any("mIoU" in line for line in lines_of([*train, "--out", str(tmp_path / "results"), *own], capsys))
