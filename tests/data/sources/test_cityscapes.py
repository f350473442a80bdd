"""Cityscapes: the official layout, label ids and train ids, coarse masks, lists, and resizing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources import Cityscapes
from assay.errors import FieldError
from assay.places import Places
from assay.values import fields, from_json, to_json

TRAIN, VAL, EXTRA = "aachen_000000_000019", "munster_000001_000019", "bad-honnef_000000_000000"
LABEL_IDS = np.array([[7, 8, 0, 33], [4, 26, 255, 29]], dtype=np.uint8)
TRAIN_LABELS = np.array([[0, 1, IGNORE, 18], [IGNORE, 13, IGNORE, IGNORE]], dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write(root: Path, pool: str, image_id: str, kind: str = "gtFine") -> None:
    city = f"{pool}/{image_id.split('_')[0]}"
    rng = np.random.default_rng(len(image_id))
    save(root / f"leftImg8bit/{city}/{image_id}_leftImg8bit.png", rng.integers(0, 256, (2, 4, 3), dtype=np.uint8))
    masks = root / kind / city
    save(masks / f"{image_id}_{kind}_labelIds.png", LABEL_IDS)
    save(masks / f"{image_id}_{kind}_instanceIds.png", LABEL_IDS.astype(np.uint16) * 1000)
    save(masks / f"{image_id}_{kind}_color.png", np.zeros((2, 4, 4), dtype=np.uint8))
    (masks / f"{image_id}_{kind}_polygons.json").write_text("{}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "cityscapes"
    write(root, "train", TRAIN)
    write(root, "val", VAL)
    write(root, "train_extra", EXTRA, "gtCoarse")
    return root


@pytest.fixture
def places(tmp_path: Path, root: Path) -> Places:
    return Places(data=tmp_path)


def test_each_pool_holds_the_images_of_its_cities(places):
    source = Cityscapes()
    assert {pool: source.ids(pool, places) for pool in source.pools()} == {
        "train": (TRAIN,),
        "val": (VAL,),
        "train_extra": (EXTRA,),
    }


def test_label_ids_become_the_train_ids_of_the_benchmark(places):
    image, mask = Cityscapes().read(TRAIN, places)
    assert image.shape == (2, 4, 3)
    np.testing.assert_array_equal(mask, TRAIN_LABELS)


def test_every_label_id_has_the_train_id_of_the_owners_table(places, root):
    train_ids = dict(
        zip([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33], range(19), strict=True)
    )
    save(root / f"leftImg8bit/train/aachen/{TRAIN}_leftImg8bit.png", np.zeros((1, 34, 3), dtype=np.uint8))
    save(root / f"gtFine/train/aachen/{TRAIN}_gtFine_labelIds.png", np.arange(34, dtype=np.uint8)[None])
    _, mask = Cityscapes().read(TRAIN, places)
    assert mask[0].tolist() == [train_ids.get(label_id, IGNORE) for label_id in range(34)]


def test_a_label_id_that_does_not_exist_is_reported(places, root):
    save(root / f"gtFine/train/aachen/{TRAIN}_gtFine_labelIds.png", LABEL_IDS + 1)
    with pytest.raises(DataBroken, match=rf"{TRAIN}_gtFine_labelIds.png holds class 34"):
        Cityscapes().read(TRAIN, places)


def test_masks_of_train_ids_are_read_where_there_are_no_label_ids(places, root):
    path = root / f"gtFine/train/aachen/{TRAIN}_gtFine_labelTrainIds.png"
    save(path, TRAIN_LABELS)
    assert Cityscapes().files(TRAIN, places)[1].name == f"{TRAIN}_gtFine_labelIds.png"
    # Another copy of the data set, since a listing of the first is remembered.
    moved = Path(shutil.move(root.parent, root.parent.with_name("moved")))
    (moved / "cityscapes" / path.relative_to(root)).with_name(f"{TRAIN}_gtFine_labelIds.png").unlink()
    places = Places(data=moved)
    assert Cityscapes().files(TRAIN, places)[1].name == path.name
    np.testing.assert_array_equal(Cityscapes().read(TRAIN, places)[1], TRAIN_LABELS)


def test_the_field_decides_whether_more_images_have_masks(places, root):
    without, coarse = Cityscapes(), Cityscapes(train_extra_masks="coarse")
    assert len(without.files(EXTRA, places)) == 1 and len(coarse.files(EXTRA, places)) == 2
    assert (without.read(EXTRA, places)[1] == IGNORE).all()
    np.testing.assert_array_equal(coarse.read(EXTRA, places)[1], TRAIN_LABELS)
    assert len(without.files(TRAIN, places)) == 2


def test_coarse_masks_are_required_only_where_they_are_read(places, root):
    shutil.rmtree(root / "gtCoarse")
    assert Cityscapes().ids("train_extra", places) == (EXTRA,)
    with pytest.raises(DataMissing, match=rf"train_extra: 1 of 1 images .*gtCoarse.*the first .* is that of {EXTRA}"):
        Cityscapes(train_extra_masks="coarse").ids("train_extra", places)


def test_folders_of_the_archives_names_are_searched(tmp_path, root):
    for kind, archive in (("leftImg8bit", "leftImg8bit_trainvaltest"), ("gtFine", "gtFine_trainvaltest")):
        (root / archive).mkdir()
        (root / kind).rename(root / archive / kind)
    extra = root / "leftImg8bit_trainextra/leftImg8bit/train_extra"
    extra.parent.mkdir(parents=True)
    (root / "leftImg8bit_trainvaltest/leftImg8bit/train_extra").rename(extra)
    places = Places(data=tmp_path)
    assert Cityscapes().ids("train", places) == (TRAIN,)
    assert Cityscapes().ids("train_extra", places) == (EXTRA,)
    np.testing.assert_array_equal(Cityscapes().read(TRAIN, places)[1], TRAIN_LABELS)


@pytest.mark.parametrize(
    "entry",
    [
        TRAIN,
        f"/images/train/{TRAIN}.png\t/segmentation/train/{TRAIN}_gtFine.png",
        f"leftImg8bit/train/aachen/{TRAIN}_leftImg8bit.png gtFine/train/aachen/{TRAIN}_gtFine_labelTrainIds.png",
        f"leftImg8bit/train/aachen/{TRAIN}_leftImg8bit.png",
        f"{TRAIN}_gtCoarse_labelIds.png",
    ],
)
def test_entries_of_every_published_list_name_the_image(entry):
    assert Cityscapes().image_id(entry) == TRAIN


def test_images_without_a_mask_are_counted_and_the_first_is_named(places, root):
    (root / f"gtFine/train/aachen/{TRAIN}_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DataMissing, match=rf"train: 1 of 1 images .* which holds 0 masks; the first missing mask is that of {TRAIN}"
    ):
        Cityscapes().ids("train", places)


def test_an_image_in_two_cities_is_refused(places, root):
    shutil.copytree(root / "leftImg8bit/train/aachen", root / "leftImg8bit/train/aachen (copy)")
    with pytest.raises(DataBroken, match=r"in aachen and in aachen \(copy\)"):
        Cityscapes().ids("train", places)


def test_an_unknown_image_is_named(places):
    with pytest.raises(DataBroken, match="Cityscapes has no image nowhere_000000_000000 in"):
        Cityscapes().files("nowhere_000000_000000", places)


def test_a_pool_of_another_size_is_noted(places, root):
    (note,) = Cityscapes().notes("train_extra", places)
    assert f"official 19998 images in {root / 'leftImg8bit/train_extra'}, found 1;" in note


def test_resizing_agrees_with_the_geometry_of_views(tmp_path):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (64, 96, 3), dtype=np.uint8), rng.integers(0, 34, (64, 96), dtype=np.uint8)
    write(tmp_path / "cityscapes", "train", TRAIN)
    save(tmp_path / f"cityscapes/leftImg8bit/train/aachen/{TRAIN}_leftImg8bit.png", pixels)
    save(tmp_path / f"cityscapes/gtFine/train/aachen/{TRAIN}_gtFine_labelIds.png", labels)
    places = Places(data=tmp_path)
    full = Cityscapes().read(TRAIN, places)[1]
    for size in ((32, 48), (128, 192), (27, 37)):
        image, mask = Cityscapes(resize=size).read(TRAIN, places)
        expected = resize(torch.from_numpy(pixels).permute(2, 0, 1), list(size), antialias=True).permute(1, 2, 0)
        assert np.abs(image.astype(int) - expected.numpy()).max() <= 1  # both round to 256 steps
        nearest = resize(torch.from_numpy(full)[None], list(size), interpolation=InterpolationMode.NEAREST_EXACT)
        different = mask != nearest[0].numpy()
        # torch's factor is rounded, so it may miss a centre that lies exactly between two pixels: here one column.
        assert not different.any() or (size == (27, 37) and np.flatnonzero(different.any(axis=0)).tolist() == [18])


def test_a_size_survives_json():
    source = Cityscapes(resize=(512, 1024), train_extra_masks="coarse")
    assert from_json(Cityscapes, json.loads(json.dumps(to_json(source)))) == source


def test_neutral_fields_take_no_part_in_the_key():
    rules = {field.name: field.rules for field in fields(Cityscapes)}
    assert all(rule.has_neutral and rule.neutral == getattr(Cityscapes(), name) for name, rule in rules.items())


def test_a_size_must_be_positive():
    with pytest.raises(FieldError, match=r"resize must be a height and a width of at least 1, got \(0, 5\)"):
        Cityscapes(resize=(0, 5))
