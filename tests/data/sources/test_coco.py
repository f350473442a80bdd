"""COCO: folders of images and of ready masks, lists, and messages that name the command for masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.source import DataBroken, DataMissing
from assay.data.sources import COCO
from assay.data.sources.coco import CATEGORY_IDS
from assay.places import Places

TRAIN, VAL = "000000000009", "000000000139"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write(root: Path, *, images: str = "", split_masks: bool = True) -> Places:
    for pool, image_id in (("train2017", TRAIN), ("val2017", VAL)):
        save(root / "coco" / images / pool / f"{image_id}.jpg", np.zeros((2, 3), dtype=np.uint8))  # grey, as some are
        masks = root / "coco" / "masks" / (pool if split_masks else "")
        save(masks / f"{image_id}.png", np.array([[0, 80, 255], [1, 2, 3]], dtype=np.uint8))
    return Places(data=root)


@pytest.mark.parametrize(("images", "split_masks"), [("", True), ("images", True), ("", False)])
def test_images_and_masks_are_found_in_every_usual_layout(tmp_path, images, split_masks):
    places = write(tmp_path, images=images, split_masks=split_masks)
    assert COCO().ids("train", places) == (TRAIN,)
    assert COCO().ids("val", places) == (VAL,)
    image, mask = COCO().read(VAL, places)
    assert image.shape == (2, 3, 3)
    np.testing.assert_array_equal(mask, [[0, 80, 255], [1, 2, 3]])


def test_the_error_for_missing_masks_names_the_command_that_makes_them(tmp_path):
    places = write(tmp_path)
    (tmp_path / f"coco/masks/train2017/{TRAIN}.png").unlink()
    with pytest.raises(DataMissing) as caught:
        COCO().ids("train", places)
    assert "1 of 1 images" in str(caught.value)
    assert f"`python -m assay masks coco --data-root {tmp_path / 'coco'}`" in str(caught.value)
    assert COCO().ids("val", places) == (VAL,)


def test_a_class_beyond_the_80_categories_is_reported(tmp_path):
    places = write(tmp_path)
    save(tmp_path / f"coco/masks/val2017/{VAL}.png", np.full((2, 3), 81, dtype=np.uint8))
    with pytest.raises(DataBroken, match="holds class 81, but the data set has 81 classes"):
        COCO().read(VAL, places)


@pytest.mark.parametrize(
    "entry", [f"train2017/{TRAIN}.jpg masks/{TRAIN}.png", f"{TRAIN}.jpg", f"images/train2017/{TRAIN}.jpg", "9"]
)
def test_entries_of_lists_name_the_image(entry):
    assert COCO().image_id(entry) == TRAIN


def test_there_are_80_categories_between_1_and_90():
    assert len(CATEGORY_IDS) == 80 and (CATEGORY_IDS[0], CATEGORY_IDS[-1]) == (1, 90)
    names = dict(zip(CATEGORY_IDS, COCO().classes()[1:], strict=True))
    # Beside each gap of the ids, as the owner's annotations name them.
    assert {names[number] for number in (11, 13, 25, 27, 28, 31, 44, 46)} == {
        "fire hydrant", "stop sign", "giraffe", "backpack", "umbrella", "handbag", "bottle", "wine glass",
    }  # fmt: skip
    assert [names[number] for number in (65, 67, 70, 72, 82, 84, 90)] == [
        "bed", "dining table", "toilet", "tv", "refrigerator", "book", "toothbrush",
    ]  # fmt: skip
