"""`assay masks`: masks made once, an interruption, and masks of another origin."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import COCO as IDS
from trees import _coco_instances as coco_instances
from trees import write_coco, write_sbd, write_voc

from assay.commands import run
from assay.data.sources import COCO, VOC
from assay.places import Places

has_pycocotools = pytest.mark.skipif(
    importlib.util.find_spec("pycocotools") is None,
    reason="COCO's annotations are drawn with pycocotools: pip install '.[coco]'",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_coco(tmp_path)


def make(data: Path, *more: str) -> int:
    return run(["masks", "coco", "--data-root", str(data), *more])


def test_without_pycocotools_the_error_names_its_installation(root, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert make(root) == 2
    assert capsys.readouterr().err.endswith("install it with pip install '.[coco]'.\n")


@has_pycocotools
def test_every_image_gets_a_mask_and_the_data_set_reads_them(tmp_path, root, capsys):
    assert make(tmp_path) == 0
    assert f"train2017: 8 masks in {root / 'masks' / 'train2017'}, 8 of them new" in capsys.readouterr().out
    places = Places(data=tmp_path)
    assert (COCO().ids("train", places), COCO().ids("val", places)) == (IDS["train"], IDS["val"])
    labels = set(np.unique(COCO().read(IDS["train"][0], places)[1]).tolist())
    assert labels == {0, 1, 2, 255}  # a large person, a small bicycle on it, and a crowd behind both
    assert set(np.unique(COCO().read(IDS["train"][1], places)[1]).tolist()) == {0}
    for index, image_id in ((0, IDS["train"][0]), (4, IDS["train"][4])):
        height, width = 40 + 2 * index, 60
        mask = np.zeros((height, width), dtype=np.uint8)
        for shape, label in zip(reversed(coco_instances(int(image_id), height, width)), (255, 1, 2), strict=True):
            if shape["iscrowd"]:
                mask[: height // 2] = label
            else:
                left, top, _, _, right, bottom, *_ = (int(number) for number in shape["segmentation"][0])
                mask[top:bottom, left:right] = label
        np.testing.assert_array_equal(COCO().read(image_id, places)[1], mask)


@has_pycocotools
def test_a_run_that_was_interrupted_makes_only_the_missing_masks(tmp_path, root, capsys):
    assert make(tmp_path) == 0
    folder = root / "masks" / "train2017"
    first, second = (folder / f"{image_id}.png" for image_id in IDS["train"][:2])
    expected = first.read_bytes()
    first.unlink()
    Image.new("L", (1, 1)).save(second)
    replaced = second.read_bytes()
    capsys.readouterr()
    assert make(tmp_path) == 0
    assert "train2017: 8 masks in" in (output := capsys.readouterr().out) and "1 of them new" in output
    assert first.read_bytes() == expected and second.read_bytes() == replaced
    assert not [path for path in folder.iterdir() if path.suffix not in (".png", ".json")]


@has_pycocotools
@pytest.mark.parametrize("below", ["masks/val2017", "masks"])
def test_masks_of_two_origins_are_never_mixed(tmp_path, root, capsys, below):
    ready = root / below / f"{IDS['val'][0]}.png"
    ready.parent.mkdir(parents=True)
    Image.new("L", (60, 40)).save(ready)
    assert make(tmp_path) == 2
    assert f"{ready.parent} holds masks that this command did not make" in capsys.readouterr().err
    assert make(tmp_path, "--to", str(tmp_path / "mine")) == 0
    assert sorted(path.name for path in ready.parent.iterdir()) == [ready.name]
    annotations = root / "annotations" / "instances_val2017.json"
    annotations.write_text(json.dumps(json.loads(annotations.read_text()), indent=1))
    capsys.readouterr()
    assert make(tmp_path, "--to", str(tmp_path / "mine")) == 2
    assert "holds masks made from other files or by another rule" in capsys.readouterr().err


@has_pycocotools
def test_missing_and_damaged_annotations_are_one_line(tmp_path, root, capsys):
    path = root / "annotations" / "instances_train2017.json"
    content = path.read_text()
    path.write_text(content[:-100])
    assert make(tmp_path) == 2
    path.unlink()
    assert make(tmp_path) == 2
    damaged, missing = capsys.readouterr().err.splitlines()
    assert str(path) in damaged and "copy it again" in damaged
    assert f"{path} are missing; unpack annotations_trainval2017.zip in {root}" in missing


def test_the_masks_of_voc_are_its_own_fine_ones_and_sbds_for_the_others(tmp_path, capsys):
    root = write_voc(tmp_path)
    write_sbd(tmp_path)
    ready = root / "SegmentationClassAug"
    assert run(["masks", "voc", "--data-root", str(tmp_path)]) == 2
    assert f"{ready} holds masks that this command did not make" in capsys.readouterr().err
    shutil.rmtree(ready)
    assert run(["masks", "voc", "--data-root", str(tmp_path)]) == 0
    assert "SegmentationClassAug: 19 masks in" in capsys.readouterr().out
    places = Places(data=tmp_path)
    for pool in VOC().pools():
        assert VOC().ids(pool, places) == VOC(masks="sbd").ids(pool, places)
        for image_id in VOC().ids(pool, places):
            np.testing.assert_array_equal(
                VOC().read(image_id, places)[1], VOC(masks="sbd").read(image_id, places)[1], strict=True
            )
    assert run(["masks", "voc", "--data-root", str(tmp_path)]) == 0
    assert "0 of them new" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["voc", pytest.param("coco", marks=has_pycocotools)])
def test_other_images_beside_the_folder_of_masks_are_no_hindrance(tmp_path, root, name):
    write_voc(tmp_path)
    write_sbd(tmp_path)
    target = tmp_path / "targets" / "mine"
    for folder in (target.parent, root) if name == "voc" else (target, target.parent, root):
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (1, 1)).save(folder / "plot.png")
    assert run(["masks", name, "--data-root", str(tmp_path), "--to", str(target)]) == 0
    assert len(list(target.rglob("*.png"))) == (19 if name == "voc" else 11)


def test_without_sbd_the_masks_of_voc_cannot_be_made(tmp_path, capsys):
    write_voc(tmp_path)
    assert run(["masks", "voc", "--data-root", str(tmp_path)]) == 2
    assert "benchmark.tgz" in capsys.readouterr().err
