"""VOC: layout, fine and augmented masks, and messages about missing files, in folders of a few images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources import VOC
from assay.data.splits import Split, split
from assay.places import Places

FINE, AUG = "SegmentationClass", "SegmentationClassAug"
TRAIN = ("2007_000032", "2007_000039")
ADDED = ("2008_000002", "2008_000003", "2008_000007")
VAL = ("2007_000033",)
FINE_LABEL, AUG_LABEL = 3, 5


def write_mask(root: Path, folder: str, image_id: str, label: int) -> None:
    mask = Image.fromarray(np.array([[0, label], [IGNORE, 20]], dtype=np.uint8))
    mask.putpalette([channel for colour in VOC().palette() for channel in colour])
    (root / folder).mkdir(exist_ok=True)
    mask.save(root / folder / f"{image_id}.png")


def write_tree(root: Path) -> Path:
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (lists / "val.txt").write_text("\r\n".join(VAL))
    (root / "JPEGImages").mkdir()
    for image_id in TRAIN + ADDED + VAL:
        Image.new("RGB", (2, 2), (9, 9, 9)).save(root / "JPEGImages" / f"{image_id}.jpg")
        write_mask(root, AUG, image_id, AUG_LABEL)
    for image_id in TRAIN + VAL:
        write_mask(root, FINE, image_id, FINE_LABEL)
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    return write_tree(tmp_path / "VOCdevkit" / "VOC2012")


@pytest.fixture
def places(tmp_path, root) -> Places:
    return Places(data=tmp_path)


def label_of(source: VOC, image_id: str, places: Places) -> int:
    return int(source.read(image_id, places)[1][0, 1])


def test_pools_are_the_owners_lists_and_all_images_with_an_augmented_mask(places):
    assert VOC().ids("train", places) == TRAIN
    assert VOC().ids("train_aug", places) == TRAIN + ADDED
    assert VOC().ids("val", places) == VAL


def test_a_list_of_the_augmented_images_has_priority_over_the_folder(places, root):
    (root / "ImageSets" / "Segmentation" / "train_aug.txt").write_text(f"{ADDED[1]}\n{TRAIN[0]}\n")
    assert VOC().ids("train_aug", places) == (TRAIN[0], ADDED[1])


@pytest.mark.parametrize("below", ["VOCdevkit/VOC2012", "VOC2012", "voc", "."])
def test_the_data_root_may_be_any_folder_above(tmp_path, below):
    write_tree(tmp_path / "data" / below)
    assert VOC().ids("train", Places(data=tmp_path / "data")) == TRAIN


def test_a_palette_mask_is_read_as_class_ids(places):
    image, mask = VOC().read(TRAIN[0], places)
    np.testing.assert_array_equal(mask, [[0, AUG_LABEL], [IGNORE, 20]])
    assert image.shape == (2, 2, 3)


def test_the_field_decides_which_masks_are_read(places):
    assert label_of(VOC(masks="aug"), TRAIN[0], places) == AUG_LABEL
    assert label_of(VOC(masks="fine"), TRAIN[0], places) == FINE_LABEL


def test_images_without_a_fine_mask_use_their_augmented_mask(places):
    assert label_of(VOC(masks="fine"), ADDED[0], places) == AUG_LABEL
    assert VOC(masks="fine").ids("train_aug", places) == TRAIN + ADDED


@pytest.mark.parametrize("masks", ["aug", "fine"])
def test_validation_is_on_the_fine_masks(places, masks):
    assert label_of(VOC(masks=masks), VAL[0], places) == FINE_LABEL
    assert VOC(masks=masks).fingerprint(places) is None


def test_validation_on_augmented_masks_is_possible_and_gives_another_fingerprint(places, root):
    (root / FINE / f"{VAL[0]}.png").unlink()
    assert VOC().ids("val", places) == VAL
    assert label_of(VOC(), VAL[0], places) == AUG_LABEL
    assert VOC().fingerprint(places) == "1 validation masks of SegmentationClassAug"


def test_augmented_labels_are_never_silently_replaced_by_fine_ones(places, root):
    (root / AUG / f"{TRAIN[1]}.png").unlink()
    with pytest.raises(
        DataMissing, match=rf"train: expected 2 files in .*{AUG}, found 1;.*missing one is {TRAIN[1]}.*masks=fine"
    ):
        VOC().ids("train", places)
    with pytest.raises(DataBroken, match=f"{TRAIN[1]}.png is missing"):
        VOC().read(TRAIN[1], places)
    assert VOC(masks="fine").ids("train", places) == TRAIN


def test_fine_labels_are_never_silently_replaced_by_augmented_ones(places, root):
    (root / FINE / f"{TRAIN[1]}.png").unlink()
    with pytest.raises(DataMissing, match=rf"train: expected 2 files in .*{FINE}, found 1;.*is {TRAIN[1]}"):
        VOC(masks="fine").ids("train", places)


def test_a_pool_that_is_not_used_may_be_incomplete(places, root):
    shutil.rmtree(root / AUG)
    assert VOC(masks="fine").ids("train", places) == TRAIN
    assert VOC(masks="fine").ids("val", places) == VAL
    with pytest.raises(DataMissing, match=rf"train_aug: no masks in .*{AUG} \(10582 expected"):
        VOC().ids("train_aug", places)


def test_missing_images_are_counted_and_the_first_one_is_named(places, root):
    for image_id in TRAIN:
        (root / "JPEGImages" / f"{image_id}.jpg").unlink()
    with pytest.raises(DataMissing) as caught:
        VOC().ids("train_aug", places)
    assert str(caught.value).startswith(
        f"VOC train_aug: expected 5 files in {root / 'JPEGImages'}, found 3; the first missing one is {TRAIN[0]}."
    )
    assert "host.robots.ox.ac.uk/pascal/VOC" in str(caught.value)


@pytest.mark.parametrize(
    ("pool", "place", "official_size", "size"),
    [
        ("train", "ImageSets/Segmentation/train.txt", 1464, 2),
        ("val", "ImageSets/Segmentation/val.txt", 1449, 1),
        ("train_aug", AUG, 10582, 5),
    ],
)
def test_a_pool_of_another_size_than_vocs_is_noted(places, root, pool, place, official_size, size):
    note, home = VOC().notes(pool, places)
    assert note.startswith(f"VOC {pool}: expected the official {official_size} images in {root / place}, found {size};")
    assert "host.robots.ox.ac.uk/pascal/VOC" in home


def test_the_home_is_noted_once_for_all_pools_of_a_split(places):
    notes = split(VOC(), Split(labeled="1", unlabeled="train_aug"), places).notes
    assert sum("images in" in note for note in notes) == 3
    assert sum(VOC.home in note for note in notes) == 1


def test_a_short_list_of_the_augmented_images_is_noted(places, root):
    path = root / "ImageSets" / "Segmentation" / "train_aug.txt"
    path.write_text(ADDED[1])
    note, _ = VOC().notes("train_aug", places)
    assert f"images in {path}, found 1;" in note


def test_a_missing_list_is_named(places, root):
    (root / "ImageSets" / "Segmentation" / "train.txt").unlink()
    with pytest.raises(DataMissing, match=r"the list .*train\.txt \(1464 images\) is missing.*host\.robots"):
        VOC().ids("train", places)
    assert VOC().describe_labeled(TRAIN, places) == {}
    assert VOC().ids("train_aug", places) == TRAIN + ADDED


def test_missing_data_are_reported_with_every_folder_that_was_searched_and_their_home(tmp_path):
    with pytest.raises(DataMissing) as caught:
        VOC().ids("train", Places(data=tmp_path))
    for place in ("VOCdevkit/VOC2012", "VOC2012", "host.robots.ox.ac.uk/pascal/VOC", "ASSAY_DATA"):
        assert place in str(caught.value)


def test_a_mask_with_three_channels_is_refused(places, root):
    Image.new("RGB", (2, 2)).save(root / AUG / f"{TRAIN[0]}.png")
    with pytest.raises(DataBroken, match="one class id per pixel"):
        VOC().read(TRAIN[0], places)


def test_a_result_records_how_many_labelled_images_have_fine_masks(places):
    assert VOC().describe_labeled((TRAIN[0], *ADDED), places) == {"fine_labeled": 1}


def test_the_palette_is_vocs():
    palette = dict(zip(VOC().classes(), VOC().palette(), strict=True))
    assert len(palette) == 21
    assert palette["background"] == (0, 0, 0)
    assert palette["aeroplane"] == (128, 0, 0)
    assert palette["cat"] == (64, 0, 0)
    assert palette["person"] == (192, 128, 128)
    assert palette["tvmonitor"] == (0, 64, 128)


def write_sbd(folder: Path, image_id: str, label: int) -> Path:
    """Write a mask as SBD does: a struct with the field Segmentation beside others."""
    folder.mkdir(parents=True, exist_ok=True)
    mask = np.array([[0, label], [0, 20]], dtype=np.uint8)
    content = {"GTcls": {"Boundaries": np.zeros((20, 1)), "Segmentation": mask, "CategoriesPresent": np.array([label])}}
    savemat(folder / f"{image_id}.mat", content, do_compression=True)
    return folder / f"{image_id}.mat"


@pytest.fixture
def sbd(tmp_path, root) -> Path:
    """Return SBD's folder of class masks: with images that are in VOC's train or val, and without one of train."""
    shutil.rmtree(root / AUG)
    folder = tmp_path / "benchmark_RELEASE" / "dataset" / "cls"
    for image_id in (TRAIN[0], *ADDED, *VAL):
        write_sbd(folder, image_id, AUG_LABEL)
    return folder


def test_the_union_with_sbd_holds_train_and_every_image_of_sbd_outside_val_once(places, sbd):
    assert VOC(masks="sbd").ids("train_aug", places) == TRAIN + ADDED
    assert VOC(masks="sbd").ids("train", places) == TRAIN
    assert VOC(masks="sbd").ids("val", places) == VAL


def test_both_places_of_the_union_with_sbd_are_noted(places, root, sbd):
    note, _ = VOC(masks="sbd").notes("train_aug", places)
    assert f"images in {sbd} and {root / 'ImageSets/Segmentation/train.txt'}, found" in note


def test_images_of_train_and_val_have_vocs_masks_and_others_sbds(places, sbd):
    source = VOC(masks="sbd")
    labels = {image_id: label_of(source, image_id, places) for image_id in TRAIN + ADDED + VAL}
    assert labels == dict.fromkeys(TRAIN + VAL, FINE_LABEL) | dict.fromkeys(ADDED, AUG_LABEL)
    image, mask = source.read(ADDED[0], places)
    assert image.shape == (2, 2, 3) and mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[0, AUG_LABEL], [0, 20]])
    assert source.files(ADDED[0], places)[1] == sbd / f"{ADDED[0]}.mat"


@pytest.mark.parametrize("below", ["sbd/dataset", "SBD/benchmark_RELEASE/dataset", "VOCdevkit/VOCaug/dataset", "sbd"])
def test_sbd_may_lie_in_every_usual_folder(tmp_path, places, sbd, below):
    (tmp_path / below).mkdir(parents=True)
    sbd.rename(tmp_path / below / "cls")
    assert VOC(masks="sbd").ids("train_aug", places) == TRAIN + ADDED


def test_missing_masks_of_sbd_are_named_with_its_home(tmp_path, places, sbd):
    (sbd / f"{ADDED[1]}.mat").unlink()
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt").write_text("\n".join(TRAIN + ADDED))
    with pytest.raises(DataMissing, match=rf"expected 3 files in .*cls, found 2; .* is {ADDED[1]}.*benchmark\.tgz"):
        VOC(masks="sbd").ids("train_aug", places)


def test_without_sbd_its_folders_are_named(places, root):
    with pytest.raises(DataMissing, match=r"no masks in .*dataset/cls \(10582 expected.*sbd, SBD, benchmark_RELEASE"):
        VOC(masks="sbd").ids("train_aug", places)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "MATLAB file"),
        (b"MATLAB 5.0 MAT-file" + bytes(500), "MATLAB file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "MATLAB file"),
        (bytes(2**20 + 1), "has 1048577 bytes"),
        ({"GTinst": 1}, "'GTcls'"),
        ({"GTcls": {"Boundaries": 1}}, "Segmentation"),
        ({"GTcls": {"Segmentation": np.zeros((2, 2))}}, "got float64 of shape"),
        ({"GTcls": {"Segmentation": np.array([[0, 21]], dtype=np.uint8)}}, "holds class 21"),
        ({"GTcls": {"Segmentation": np.zeros((3, 2), dtype=np.uint8)}}, "size of its image .* 2 x 2, got 2 x 3"),
    ],
)
def test_a_bad_matlab_file_is_one_sentence_with_its_name(places, sbd, content, reason):
    path = sbd / f"{ADDED[0]}.mat"
    path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content)
    with pytest.raises(DataBroken, match=rf"^{path} .*{reason}"):
        VOC(masks="sbd").read(ADDED[0], places)


def test_a_damaged_matlab_file_gives_a_mask_or_a_message(places, sbd):
    path = sbd / f"{ADDED[0]}.mat"
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(100):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            assert VOC(masks="sbd").read(ADDED[0], places)[1].shape == (2, 2)
        except DataBroken:
            refused += 1
    assert refused > 0
