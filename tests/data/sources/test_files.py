"""Readers of images and masks, and their messages about bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources.files import files_by_stem, image_mask_pairs, pool_of, read_image, read_mask, read_pair, stem_of

RNG = np.random.default_rng(0)


def write_image(path: Path, height: int = 6, width: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def write_mask(path: Path, values: list[list[int]], palette: list[int] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(np.array(values, dtype=np.uint8))
    if palette:
        mask.putpalette(palette)
    mask.save(path)
    return path


def test_an_image_is_read_as_it_was_written(tmp_path):
    pixels = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_8_bit_image_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new(mode, (7, 5)).save(path)
    image = read_image(path)
    assert (image.shape, image.dtype) == ((5, 7, 3), np.uint8)


def test_a_16_bit_image_is_refused_rather_than_clipped_to_white(tmp_path):
    Image.fromarray(np.full((4, 4), 3000, dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataBroken, match=r"a\.png must hold 8 bits per channel"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("palette", [None, [7, 99, 255] * 256])
def test_a_mask_holds_class_ids_whatever_its_palette(tmp_path, palette):
    values = [[0, 1, 2], [20, 255, 0]]
    mask = read_mask(write_mask(tmp_path / "a.png", values, palette), num_classes=21)
    np.testing.assert_array_equal(mask, values)
    assert mask.dtype == np.uint8


def test_one_more_class_can_be_ignored(tmp_path):
    path = write_mask(tmp_path / "a.png", [[0, 10, 11, 255]])
    np.testing.assert_array_equal(read_mask(path, num_classes=11, ignored_class=11), [[0, 10, IGNORE, IGNORE]])


def test_a_class_out_of_range_is_reported_with_its_file_and_the_rule(tmp_path):
    path = write_mask(tmp_path / "a.png", [[0, 37, 255]])
    with pytest.raises(DataBroken) as caught:
        read_mask(path, num_classes=21)
    assert str(caught.value) == f"{path} holds class 37, but the data set has 21 classes (0-20, 255 = ignore)."


def test_the_number_of_classes_itself_is_out_of_range(tmp_path):
    path = write_mask(tmp_path / "a.png", [[20]])
    read_mask(path, num_classes=21)
    with pytest.raises(DataBroken, match="holds class 20"):
        read_mask(path, num_classes=20)


def test_a_mask_with_three_channels_is_refused(tmp_path):
    with pytest.raises(DataBroken, match=r"one class id per pixel .* got 3 channels"):
        read_mask(write_image(tmp_path / "a.png"), num_classes=21)


def test_a_16_bit_mask_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataBroken, match="8 bits"):
        read_mask(tmp_path / "a.png", num_classes=21)


def test_a_mask_of_another_size_is_refused(tmp_path):
    image, mask = write_image(tmp_path / "a.jpg", 6, 8), write_mask(tmp_path / "a.png", [[0] * 6] * 8)
    with pytest.raises(DataBroken, match=r"size of its image a\.jpg, 8 x 6, got 6 x 8"):
        read_pair(image, mask, num_classes=2)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataBroken, match=r"gone\.png is missing"):
        read_pair(write_image(tmp_path / "a.jpg"), tmp_path / "gone.png", num_classes=2)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_image_is_refused(tmp_path, suffix, share):
    path = write_image(tmp_path / f"a{suffix}", 60, 80)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataBroken, match=rf"a\{suffix} cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_damaged_file_gives_an_image_or_a_message(tmp_path, suffix):
    path = write_image(tmp_path / f"a{suffix}", 20, 20)
    content = path.read_bytes()
    rng, refused = np.random.default_rng(1), 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 200), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            assert read_image(path).dtype == np.uint8
        except DataBroken:
            refused += 1
    assert refused > 0


def test_files_are_listed_by_stem_without_hidden_files_and_other_formats(tmp_path):
    for name in ("b.JPG", "a.png", ".c.png", "notes.txt"):
        (tmp_path / name).touch()
    assert list(files_by_stem(tmp_path).items()) == [("a", tmp_path / "a.png"), ("b", tmp_path / "b.JPG")]
    assert list(files_by_stem(tmp_path, (".png",))) == ["a"]
    assert files_by_stem(tmp_path / "nowhere") == {}


def test_two_files_of_one_stem_are_refused(tmp_path):
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).touch()
    with pytest.raises(DataBroken, match=r"holds both a\.jpg and a\.png"):
        files_by_stem(tmp_path)


def test_images_are_paired_with_their_masks(tmp_path):
    for name in ("images/a.jpg", "images/b.png", "masks/a.png", "masks/b.png", "masks/more.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pairs = image_mask_pairs(tmp_path / "images", tmp_path / "masks", name="mine", home="")
    assert pairs == {
        "a": (tmp_path / "images/a.jpg", tmp_path / "masks/a.png"),
        "b": (tmp_path / "images/b.png", tmp_path / "masks/b.png"),
    }


def test_images_without_masks_are_counted_and_the_first_is_named(tmp_path):
    for name in ("images/a.jpg", "images/b.jpg", "images/c.jpg", "masks/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(
        DataMissing, match=r"mine: 2 of 3 images in .* which holds 1 mask; the first missing mask is that of a\. Home\."
    ):
        image_mask_pairs(tmp_path / "images", tmp_path / "masks", name="mine", home="Home.")


def test_a_folder_without_images_is_missing(tmp_path):
    with pytest.raises(DataMissing, match=r"mine: no images in .*nowhere"):
        image_mask_pairs(tmp_path / "nowhere", tmp_path / "masks", name="mine", home="")


@pytest.mark.parametrize(
    ("entry", "stem"),
    [
        ("2007_000032", "2007_000032"),
        ("2007_000032 ", "2007_000032"),
        ("JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png", "2007_000032"),
        (
            "/images/train/jena_000078_000019.png\t/segmentation/train/jena_000078_000019_gtFine.png",
            "jena_000078_000019",
        ),
        (
            "leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png"
            " gtFine/train/jena/jena_000078_000019_gtFine_labelTrainIds.png",
            "jena_000078_000019",
        ),
        ("jena_000078_000019_gtFine_labelTrainIds.png", "jena_000078_000019"),
        ("my photo.v2.PNG", "my photo.v2"),
        ("folder/my photo.v2", "my photo.v2"),
        ("a.jpg.png", "a.jpg"),
    ],
)
def test_an_entry_of_any_list_gives_the_name_of_its_image(entry, stem):
    assert stem_of(entry) == stem


@pytest.mark.parametrize(
    ("entry", "pool"),
    [
        ("a", "train"),
        ("val/a", "val"),
        ("images/val/a.png", "val"),
        ("val.jpg", "train"),
        ("/val/x/train/a.png", "train"),
    ],
)
def test_the_folder_of_an_entry_gives_its_pool(entry, pool):
    assert pool_of(entry) == pool
