"""A user's own images in folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from assay.data.source import DataBroken, DataMissing
from assay.data.sources import Folder
from assay.errors import FieldError
from assay.places import Places


def write(root: Path, stem: str, label: int = 1, size: int = 4) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size)).save(root / "images" / f"{stem}.png")
    Image.new("L", (size, size), label).save(root / "masks" / f"{stem}.png")


def without_pools(tmp_path: Path, count: int, name: str = "mine") -> Places:
    """Write images without folders for train and val."""
    for index in range(count):
        write(tmp_path / name, f"p{index:03}")
    return Places(data=tmp_path)


def test_folders_of_train_and_val_are_the_pools(tmp_path):
    write(tmp_path / "mine" / "train", "a")
    write(tmp_path / "mine" / "train", "b")
    write(tmp_path / "mine" / "val", "a", label=0)
    source, places = Folder(path="mine"), Places(data=tmp_path)
    assert source.ids("train", places) == ("train/a", "train/b")
    assert source.ids("val", places) == ("val/a",)
    assert (source.read("train/a", places)[1] == 1).all()
    assert (source.read("val/a", places)[1] == 0).all()


def test_train_without_val_is_missing(tmp_path):
    write(tmp_path / "mine" / "train", "a")
    with pytest.raises(DataMissing, match=r"mine val: no images in .*mine.val.images"):
        Folder(path="mine").ids("train", Places(data=tmp_path))


@pytest.mark.parametrize(("share", "count"), [(0.2, 8), (0.5, 20), (0.001, 1), (0.999, 39)])
def test_a_share_is_held_out_if_there_are_no_pools(tmp_path, share, count):
    places = without_pools(tmp_path, 40)
    source = Folder(path="mine", val_share=share)
    train, val = source.ids("train", places), source.ids("val", places)
    assert len(val) == count
    stems = {image_id.partition("/")[2] for image_id in train + val}
    assert len(stems) == len(train) + len(val) == 40


def test_the_held_out_images_are_not_simply_the_first_or_last(tmp_path):
    val = Folder(path="mine", val_share=0.5).ids("val", without_pools(tmp_path, 40))
    indices = [int(image_id[-3:]) for image_id in val]
    assert min(indices) < 10
    assert max(indices) > 30


def test_a_larger_share_holds_a_smaller_one(tmp_path):
    places = without_pools(tmp_path, 40)
    small, large = (Folder(path="mine", val_share=share).ids("val", places) for share in (0.1, 0.4))
    assert set(small) < set(large)


def test_one_more_image_moves_at_most_one_other(tmp_path):
    before = set(Folder(path="one").ids("val", without_pools(tmp_path, 40, "one")))
    after = set(Folder(path="two").ids("val", without_pools(tmp_path, 41, "two")))
    assert len(before - after) <= 1


def test_one_image_is_too_few(tmp_path):
    with pytest.raises(DataMissing, match="cannot be both"):
        Folder(path="mine").ids("train", without_pools(tmp_path, 1))


def test_a_path_may_lie_outside_the_data_root(tmp_path, monkeypatch):
    without_pools(tmp_path, 5)
    elsewhere = Places(data=tmp_path / "data")
    assert len(Folder(path=str(tmp_path / "mine")).ids("train", elsewhere)) == 4
    monkeypatch.chdir(tmp_path)
    assert len(Folder(path="mine").ids("train", elsewhere)) == 4


def test_a_folder_below_the_data_root_has_priority(tmp_path, monkeypatch):
    without_pools(tmp_path / "here", 5)
    monkeypatch.chdir(tmp_path / "here")
    assert len(Folder(path="mine").ids("train", without_pools(tmp_path / "data", 10))) == 8


def test_a_path_must_be_named():
    with pytest.raises(DataMissing, match=r"data\.source\.path must name a folder"):
        Folder().ids("train", Places())


def test_a_mask_may_not_hold_more_classes_than_declared(tmp_path):
    write(tmp_path / "mine" / "train", "a", label=2)
    write(tmp_path / "mine" / "val", "a")
    places = Places(data=tmp_path)
    assert (Folder(path="mine", num_labels=3).read("train/a", places)[1] == 2).all()
    with pytest.raises(DataBroken, match=r"holds class 2, but the data set has 2 classes \(0-1, 255 = ignore\)"):
        Folder(path="mine").read("train/a", places)


def test_there_must_be_one_name_per_class():
    assert Folder(num_labels=2, class_names=("road", "rest")).classes() == ("road", "rest")
    assert Folder(num_labels=3).num_classes() == 3
    with pytest.raises(FieldError, match="class_names must have 3 entries, got 2"):
        Folder(num_labels=3, class_names=("road", "rest"))


@pytest.mark.parametrize("count", [1, 256])
def test_the_number_of_classes_must_leave_the_id_of_ignore_free(count):
    with pytest.raises(FieldError, match=r"num_labels must be in \[2, 255\]"):
        Folder(num_labels=count)


def test_255_classes_have_255_colours():
    assert len(set(Folder(num_labels=255).palette())) == 255
