"""CamVid: layout, ids, ignored class, and notes about incomplete pools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.commands import run
from assay.data.source import IGNORE, DataMissing
from assay.data.sources import CamVid
from assay.places import Places


def write(root: Path, pool: str, stem: str, labels: list[list[int]]) -> None:
    mask = np.array(labels, dtype=np.uint8)
    for folder, array in (("images", np.repeat(mask[..., None], 3, axis=2)), ("masks", mask)):
        (root / pool / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / pool / folder / f"{stem}{'.jpg' if folder == 'images' else '.png'}")


@pytest.fixture(params=["camvid", "CamVid", "."])
def places(tmp_path, request) -> Places:
    root = tmp_path / request.param
    write(root, "train", "0001TP_1", [[0, 10], [11, 3]])
    write(root, "train", "0001TP_2", [[1, 1], [1, 1]])
    write(root, "val", "0001TP_1", [[2, 2], [2, 2]])
    return Places(data=tmp_path)


def test_images_are_listed_by_pool(places):
    assert CamVid().ids("train", places) == ("train/0001TP_1", "train/0001TP_2")
    assert CamVid().ids("val", places) == ("val/0001TP_1",)


def test_the_twelfth_class_is_ignored(places):
    image, mask = CamVid().read("train/0001TP_1", places)
    assert image.shape == (2, 2, 3)
    np.testing.assert_array_equal(mask, [[0, 10], [IGNORE, 3]])


def test_images_with_one_name_in_two_pools_are_two_images(places):
    assert (CamVid().read("val/0001TP_1", places)[1] == 2).all()


@pytest.mark.parametrize(
    ("entry", "image_id"),
    [
        ("0001TP_1", "train/0001TP_1"),
        ("train/images/0001TP_1.jpg train/masks/0001TP_1.png", "train/0001TP_1"),
        ("val/images/0001TP_1.jpg", "val/0001TP_1"),
    ],
)
def test_an_entry_of_a_list_becomes_an_image_id(entry, image_id):
    assert CamVid().image_id(entry) == image_id


def test_every_id_is_its_own_entry(places):
    for pool in CamVid().pools():
        assert all(CamVid().image_id(image_id) == image_id for image_id in CamVid().ids(pool, places))


def test_a_pool_without_images_is_missing(tmp_path):
    write(tmp_path / "camvid", "train", "a", [[0]])
    with pytest.raises(DataMissing, match=r"CamVid val \(101 images\): no images in .*camvid.val.images"):
        CamVid().ids("val", Places(data=tmp_path))


def test_missing_data_are_reported_with_their_size_and_home(tmp_path):
    with pytest.raises(DataMissing, match=r"no folder train/images in .*ASSAY_DATA.*Cambridge"):
        CamVid().ids("train", Places(data=tmp_path))


def touch(root: Path, pool: str, count: int) -> Places:
    """Create a pool of empty files, which are listed and never read."""
    for folder, suffix in (("images", "jpg"), ("masks", "png")):
        (root / "camvid" / pool / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (root / "camvid" / pool / folder / f"{index:04}.{suffix}").touch()
    return Places(data=root)


def test_an_incomplete_pool_is_noted_with_its_place_both_counts_and_the_home_of_the_data_set(tmp_path):
    (note,) = CamVid().notes("train", touch(tmp_path, "train", 200))
    place = tmp_path / "camvid" / "train" / "images"
    assert note.startswith(f"CamVid train: expected the official 367 images in {place}, found 200;")
    assert "Cambridge" in note


def test_a_complete_data_set_has_no_notes(tmp_path):
    touch(tmp_path, "val", 101)
    places = touch(tmp_path, "train", 367)
    assert CamVid().notes("train", places) == CamVid().notes("val", places) == ()


def test_doctor_reports_an_incomplete_pool_beside_the_official_number(tmp_path, capsys):
    touch(tmp_path, "val", 101)
    touch(tmp_path, "train", 200)
    assert run(["doctor", "--data-root", str(tmp_path)]) == 0
    line = f"  partial  camvid: train 200 of the official 367, val 101 in {tmp_path / 'camvid'}"
    assert line in capsys.readouterr().out.splitlines()
