"""ADE20K: the layout of the challenge's archive, and the annotation 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources import ADE20K
from assay.places import Places

TRAIN, VAL = "ADE_train_00000001", "ADE_val_00000001"
ANNOTATION = [[0, 1, 150], [2, 255, 13]]


def save(path: Path, pixels: list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, dtype=np.uint8)).save(path)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    root = tmp_path / "ADEChallengeData2016"
    for folder, image_id in (("training", TRAIN), ("validation", VAL)):
        save(root / "images" / folder / f"{image_id}.jpg", [[0] * 3] * 2)
        save(root / "annotations" / folder / f"{image_id}.png", ANNOTATION)
    return Places(data=tmp_path)


def test_images_are_listed_by_pool(places):
    assert (ADE20K().ids("train", places), ADE20K().ids("val", places)) == ((TRAIN,), (VAL,))


def test_annotations_from_1_become_classes_from_0_and_0_is_ignored(places):
    image, mask = ADE20K().read(TRAIN, places)
    assert image.shape == (2, 3, 3) and mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[IGNORE, 0, 149], [1, IGNORE, 12]])
    assert ADE20K().classes()[0] == "wall" and ADE20K().classes()[149] == "flag" and ADE20K().classes()[12] == "person"


def test_an_annotation_beyond_150_is_reported(tmp_path, places):
    save(tmp_path / f"ADEChallengeData2016/annotations/training/{TRAIN}.png", [[151] * 3] * 2)
    with pytest.raises(DataBroken, match="holds class 151"):
        ADE20K().read(TRAIN, places)


def test_missing_masks_and_other_sizes_are_reported(tmp_path, places):
    assert "official 2000 images" in ADE20K().notes("val", places)[0]
    (tmp_path / f"ADEChallengeData2016/annotations/training/{TRAIN}.png").unlink()
    with pytest.raises(DataMissing, match=r"ADE20K train \(20210 images\): 1 of 1 images"):
        ADE20K().ids("train", places)


def test_there_are_150_classes():
    assert ADE20K().num_classes() == 150
