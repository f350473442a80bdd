"""`assay splits folder`: what lies in a user's folder, what is damaged, and the command that trains on it."""

from __future__ import annotations

import shlex
from pathlib import Path

import damage
import numpy as np
import pytest
from PIL import Image

from assay.commands import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return damage.write_folder(tmp_path / "data" / "mine", train=8, val=2)


def propose(root: Path, *more: str) -> list[str]:
    return ["splits", "folder", "--data-root", str(root.parent), "--set", f"data.source.path={root.name}", *more]


def write_masks(root: Path, array: np.ndarray) -> None:
    for path in root.glob("*/masks/*.png"):
        Image.fromarray(array).save(path)


def command_in(output: str) -> list[str]:
    lines = output.splitlines()
    return shlex.split(lines[lines.index("train with:") + 1])


def test_sizes_classes_and_counts_are_those_of_the_files(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_masks(root, np.repeat(np.array([0, 2, 2, 255], np.uint8), damage.HEIGHT * damage.WIDTH // 4).reshape(20, 24))
    (root / "train/masks/0.png").unlink()
    damage.replace(root / "unlabeled/a.jpg", damage.encoded(Image.new("RGB", (50, 30)), ".jpg"))
    assert run(propose(root)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "images     9 with masks (7 to train on, 2 for validation), 2 without",
        "sizes      24 x 20 (10), 50 x 30 (1)",
        "class        pixels  masks",
        "    0       25.00 %      9",
        "    2       50.00 %      9",
        "  255       25.00 %      9  (ignored)",
    ]
    assert "note: 1 class id below 2 in no mask: 1; do the masks hold grey values in place of class ids?" in lines
    assert [line.split()[:2] for line in lines if line[:3] in ("lab", "unl", "val")] == [
        ["labeled", "7"],
        ["unlabeled", "9"],
        ["val", "2"],
    ]


def test_the_command_is_ready_to_use(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(propose(root)) == 0
    words = command_in(capsys.readouterr().out)
    assert words[:8] == ["python", "-m", "assay", "train", "--method", "supervised", "--data", "folder"]
    assert words[-2:] == ["--data-root", str(root.parent)]
    assert {"data.source.path=mine", "data.source.num_labels=3", "data.split.labeled=all"} <= set(words)
    quick = [
        *("--set", "net.encoder.arch=tiny", "--set", "net.head.channels=8", "--set", "recipe.steps=1"),
        *("--set", "recipe.augment.crop=16,16", "--set", "recipe.labeled_batch=2"),
    ]
    assert run([*words[3:], *quick, "--out", str(root.parent / "out")]) == 0


def test_the_users_own_values_stay(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--set", "data.split.labeled=1/2", "--set", "data.source.num_labels=5"]
    assert run(propose(root, *more)) == 0
    words = command_in(capsys.readouterr().out)
    assert words[5] == "cps"  # labels are left over to learn from
    assert {"data.source.num_labels=5", "data.split.labeled=1/2"} <= set(words)
    assert run(propose(root, "--set", "data.source.num_labels=2")) == 0
    assert {"data.source.num_labels=3"} <= set(command_in(capsys.readouterr().out))


def test_every_damaged_file_is_listed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(6):
        path = root / f"train/images/{index}.jpg"
        path.write_bytes(path.read_bytes()[:300])
    damage.replace(root / "val/masks/0.png", damage.encoded(Image.fromarray(damage.pixels()), ".png"))
    damage.replace(root / "unlabeled/a.jpg", b"")
    assert run(propose(root)) == 2
    output = capsys.readouterr()
    names = [*(f"train/images/{index}.jpg" for index in range(6)), "val/masks/0.png", "unlabeled/a.jpg"]
    damaged = [line for line in output.out.splitlines() if line.startswith("damaged: ")]
    assert len(damaged) == len(names)
    assert all(any(name in line for line in damaged) for name in names)
    assert output.err == "error: 8 files cannot be used; mend or remove the files listed above.\n"
    assert "train with:" not in output.out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 255), "the masks hold class 0 alone, and 255 means ignore, so there is nothing to learn; if 255 is the"),
        ((255, 255), "the masks hold no class"),
        ((0, 0), "the masks hold class 0 alone"),
    ],
)
def test_masks_of_one_class_are_no_task(
    values: tuple[int, int], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_masks(root, np.resize(np.array(values, np.uint8), (damage.HEIGHT, damage.WIDTH)))
    assert run(propose(root)) == 2
    assert message in capsys.readouterr().err


def test_an_image_with_a_hole_is_a_suspect(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "train/images/3.jpg"
    content = damage.encoded(Image.fromarray(damage.pixels(200, 200)), ".jpg", quality=95)
    middle = len(content) // 2
    damage.replace(path, content[:middle] + bytes(4096) + content[middle + 4096 :])
    Image.fromarray(damage.labels(200, 200)).save(root / "train/masks/3.png")
    assert run(propose(root)) == 0  # it is a picture, though another one
    assert f"note: 1 image with 4096 zero bytes in a row, as incomplete copies have: the first is {path};" in (
        capsys.readouterr().out
    )


def test_a_folder_without_the_layout_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    assert run(propose(tmp_path / "mine")) == 2
    error = capsys.readouterr().err
    assert "no images in" in error and "images/NAME.jpg beside masks/NAME.png" in error and error.count("\n") == 1
