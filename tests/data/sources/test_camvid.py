"""CamVid's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def test_images_of_one_name_in_two_pools_are_two(places):
    assert (CamVid().read("val/0001TP_1", places)[1] == 2).all()


@pytest.mark.parametrize(
    ("entry", "image_id"),
    [
        ("0001TP_1", "train/0001TP_1"),
        ("train/images/0001TP_1.jpg train/masks/0001TP_1.png", "train/0001TP_1"),
        ("val/images/0001TP_1.jpg", "val/0001TP_1"),
    ],
)
def test_entries_of_lists_name_images(entry, image_id):
    assert CamVid().image_id(entry) == image_id


def test_every_id_means_itself(places):
    for pool in CamVid().pools():
        assert all(CamVid().image_id(each) == each for each in CamVid().ids(pool, places))


def test_a_pool_without_images_is_missing(tmp_path):
    write(tmp_path / "camvid", "train", "a", [[0]])
    with pytest.raises(DataMissing, match=r"CamVid val: no images in .*camvid.val.images"):
        CamVid().ids("val", Places(data=tmp_path))


def test_missing_data_name_their_size_and_their_home(tmp_path):
    with pytest.raises(DataMissing, match=r"367 images.*ASSAY_DATA.*Cambridge"):
        CamVid().ids("train", Places(data=tmp_path))
