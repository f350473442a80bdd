"""README's section on a user's own images: its commands, on a folder with its layout."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import damage
import numpy as np
import pytest
from exported import predict_alone
from PIL import Image

from assay.commands import run
from assay.store.local import LocalStore

README = Path(__file__).parents[1] / "README.md"
# The training's own settings are for photographs and a GPU.
QUICK = [
    *("--set", "net.encoder.arch=tiny", "--set", "net.head.channels=8", "--set", "recipe.steps=3"),
    *("--set", "recipe.augment.crop=16,16", "--set", "recipe.labeled_batch=2", "--set", "recipe.unlabeled_batch=2"),
]


def section() -> str:
    text = README.read_text(encoding="utf-8")
    begin = text.index("## Your own images\n")
    return text[begin : text.index("\n## ", begin)]


def commands() -> list[list[str]]:
    """Return the words of each command, without the program's name."""
    (block,) = re.findall(r"```bash\n(.*?)```", section(), flags=re.DOTALL)
    lines = block.replace("\\\n", " ").splitlines()
    assert all(line.startswith("assay ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def write_photos(root: Path) -> None:
    """Write images and masks into the folders that the section names."""
    assert all(f"{folder}/*." in section() for folder in ("photos/images", "photos/masks", "photos/unlabeled"))
    for index in range(6):
        damage.write_pair(root / "photos", f"view {index}")
    (root / "photos/masks/view 5.png").unlink()
    for index in range(3):
        damage.replace(root / f"photos/unlabeled/more {index}.jpg", (root / "photos/images/view 0.jpg").read_bytes())


def test_from_a_folder_to_an_exported_network_in_four_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    propose, train, show, export = commands()
    assert run(propose) == 0
    proposal = capsys.readouterr().out
    assert f"python -m assay {shlex.join(train)}\n" in proposal
    assert run([*train, *QUICK]) == 0
    output = capsys.readouterr().out
    (key,) = LocalStore(tmp_path / "results" / "store").keys()
    assert key in output and "4 labelled, 8 unlabelled, 1 validation images" in output
    assert run([word.replace("KEY", key) for word in show]) == 0
    assert "mIoU" in capsys.readouterr().out
    assert run([word.replace("KEY", key) for word in export]) == 0
    assert "results/export/KEY/" in section()
    photo = np.asarray(Image.open(tmp_path / "photos/images/view 1.jpg")).transpose(2, 0, 1)[None]
    classes = predict_alone(tmp_path / "results" / "export" / key, photo, tmp_path)
    assert classes.shape == (1, damage.HEIGHT, damage.WIDTH) and set(np.unique(classes)) <= set(range(damage.CLASSES))
