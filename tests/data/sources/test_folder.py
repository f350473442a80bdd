"""A user's own images in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import QUIET
from PIL import Image

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources import Folder
from assay.data.sources.folder_contents import contents_of
from assay.data.splits import Split, split
from assay.errors import FieldError, UserError
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.resolve import resolve
from assay.store import records
from assay.store.local import LocalStore
from assay.training.session import train


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


# --- images without masks --------------------------------------------------------------------------------------------


def write_image(folder: Path, stem: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(folder / f"{stem}.png")


def with_unlabelled(root: Path) -> Places:
    """Write four images with masks, two without beside them, one with a mask for validation, and one in unlabeled/."""
    for stem in "abcd":
        write(root / "mine" / "train", stem)
    for stem in "xy":
        write_image(root / "mine" / "train" / "images", stem)
    write(root / "mine" / "val", "v")
    write_image(root / "mine" / "unlabeled", "x")
    return Places(data=root)


def ids_of(places: Places) -> dict[str, tuple[str, ...]]:
    return {pool: Folder(path="mine").ids(pool, places) for pool in Folder().pools()}


def test_images_without_masks_are_a_pool(tmp_path):
    assert ids_of(with_unlabelled(tmp_path)) == {
        "train": ("train/a", "train/b", "train/c", "train/d"),
        "unlabeled": ("train/x", "train/y", "unlabeled/x"),
        "all": ("train/a", "train/b", "train/c", "train/d", "train/x", "train/y", "unlabeled/x"),
        "val": ("val/v",),
    }


def test_an_image_without_a_mask_is_ignored_everywhere(tmp_path):
    places, source = with_unlabelled(tmp_path), Folder(path="mine")
    for image_id in source.ids("unlabeled", places):
        image, mask = source.read(image_id, places)
        assert image.shape == (4, 4, 3) and mask.dtype == np.uint8 and (mask == IGNORE).all()
        assert len(source.files(image_id, places)) == 1


def test_the_folder_of_unlabelled_images_may_have_a_folder_of_images(tmp_path):
    places = with_unlabelled(tmp_path)
    before = ids_of(places)
    (tmp_path / "mine" / "unlabeled").rename(tmp_path / "images")
    (tmp_path / "mine" / "unlabeled").mkdir()
    (tmp_path / "images").rename(tmp_path / "mine" / "unlabeled" / "images")
    contents_of.cache_clear()
    assert ids_of(places) == before


def test_images_without_masks_move_no_other_between_train_and_val(tmp_path):
    places = without_pools(tmp_path, 40)
    before = ids_of(places)
    for index in range(30):
        write_image(tmp_path / "mine" / "images", f"o{index:03}")
        write_image(tmp_path / "mine" / "unlabeled", f"p{index:03}")
    contents_of.cache_clear()
    after = ids_of(places)
    assert (after["train"], after["val"]) == (before["train"], before["val"])
    assert len(after["unlabeled"]) == 60 and set(after["all"]) == {*after["train"], *after["unlabeled"]}
    assert before["unlabeled"] == () and before["all"] == before["train"]


def test_a_mask_that_is_added_later_keeps_the_images_id(tmp_path):
    places = with_unlabelled(tmp_path)
    Image.new("L", (4, 4), 1).save(tmp_path / "mine" / "train" / "masks" / "x.png")
    assert ids_of(places)["train"] == ("train/a", "train/b", "train/c", "train/d", "train/x")


@pytest.mark.parametrize(
    ("fields", "labeled", "unlabeled"),
    [
        ({"labeled": "all", "unlabeled": "all"}, "abcd", ["train/a", "train/b", "train/c", "train/d", *"XYU"]),
        ({"labeled": "all", "unlabeled": "rest"}, "abcd", [*"XYU"]),
        ({"labeled": "all", "unlabeled": "unlabeled"}, "abcd", [*"XYU"]),
        ({"labeled": "LIST", "unlabeled": "rest"}, "ac", ["train/b", "train/d", *"XYU"]),
        ({"labeled": "LIST", "unlabeled": "train"}, "ac", ["train/a", "train/b", "train/c", "train/d"]),
    ],
)
def test_splits_of_a_folder_with_images_without_masks(fields, labeled, unlabeled, tmp_path):
    places = with_unlabelled(tmp_path)
    (tmp_path / "list.txt").write_text("a.jpg\ntrain/images/c.png\n")
    spec = Split(**{name: text.replace("LIST", str(tmp_path / "list.txt")) for name, text in fields.items()})
    images = split(Folder(path="mine"), spec, places)
    assert images.labeled == tuple(f"train/{stem}" for stem in labeled)
    names = {"X": "train/x", "Y": "train/y", "U": "unlabeled/x"}
    assert images.unlabeled == tuple(names.get(name, name) for name in unlabeled)
    assert images.val == ("val/v",)


def test_a_list_may_name_images_without_masks_by_their_folder(tmp_path):
    places = with_unlabelled(tmp_path)
    (tmp_path / "list.txt").write_text("unlabeled/x.jpg\nimages/y.png\n")
    images = split(Folder(path="mine"), Split(labeled="2", unlabeled=str(tmp_path / "list.txt")), places)
    assert images.unlabeled == ("train/y", "unlabeled/x")


@pytest.mark.parametrize("fields", [{"labeled": "LIST"}, {"labeled": "all", "labeled_pool": "all"}])
def test_a_labelled_image_needs_a_mask(fields, tmp_path):
    places = with_unlabelled(tmp_path)
    (tmp_path / "list.txt").write_text("a\nx\n")
    spec = Split(**{name: text.replace("LIST", str(tmp_path / "list.txt")) for name, text in fields.items()})
    with pytest.raises(UserError, match=r"[13] of [27] labelled images have no mask, the first is 'train/x'"):
        split(Folder(path="mine"), spec, places)


def test_the_preset_trains_on_the_same_images_as_before_where_each_has_a_mask(tmp_path):
    places = without_pools(tmp_path, 40)
    preset = starting_point("cps", "folder").data
    before = split(Folder(path="mine"), Split(labeled="1/8", unlabeled="train"), places)
    assert split(preset.source.replace(path="mine"), preset.split, places) == before


def test_forgotten_masks_are_counted_in_a_note(tmp_path):
    places = without_pools(tmp_path, 10)
    for stem in ("p003", "p007"):
        (tmp_path / "mine" / "masks" / f"{stem}.png").unlink()
    Image.new("L", (4, 4), 1).save(tmp_path / "mine" / "masks" / "other.png")
    (tmp_path / "mine" / "images" / "view.tif").touch()
    for spec in (Split(), Split(labeled="all", unlabeled="rest"), Split(unlabeled="all")):
        missing, unused, unread = split(Folder(path="mine"), spec, places).notes
        assert missing == (
            f"mine: images without a mask in {tmp_path}/mine/masks: 2 of 10, the first is p003.png; they count as"
            " unlabelled images."
        )
        assert "masks without an image" in unused and "1, the first is other.png" in unused
        assert "1 file, the first is view.tif" in unread


def test_an_image_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataBroken, match="mine has no image train/gone"):
        Folder(path="mine").read("train/gone", without_pools(tmp_path, 4))


@pytest.mark.parametrize("method", ["cps", "mkd"])
def test_methods_train_where_no_unlabelled_image_has_a_mask(method, tmp_path):
    rng = np.random.default_rng(0)
    places = with_unlabelled(tmp_path)
    shapes = {"x": (1, 1), "y": (1, 90)}
    for path in (tmp_path / "mine").rglob("*.png"):
        shape = shapes.get(path.stem, (20, 24))
        array = rng.integers(0, 2 if path.parent.name == "masks" else 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(array[..., 0] if path.parent.name == "masks" else array).save(path)
    changes = {
        "data.source.path": "mine",
        "data.split.labeled": "all",
        "data.split.unlabeled": "rest",
        "net.encoder.arch": "tiny",
        "net.head.channels": 8,
        "recipe.steps": 2,
        "recipe.augment.crop": (16, 16),
        "recipe.labeled_batch": 2,
        "recipe.unlabeled_batch": 3,
    }
    experiment = apply(starting_point(method, "folder"), overrides_of(changes, "test"))
    store, resolved = LocalStore(tmp_path / "store"), resolve(experiment, places)
    for inner in (*resolved.inputs.values(), resolved):
        result = train(inner, store, places=places, runtime=QUIET)
    assert result is not None and 0 <= result["miou"] <= 1
    lines = [line for line in records.read_metrics(store, resolved.key) if "loss" in line]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert not any("accuracy" in name for line in lines for name in line if not name.startswith("val/"))
