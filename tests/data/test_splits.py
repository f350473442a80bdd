"""Splits into labelled, unlabelled and validation images."""

from __future__ import annotations

import hashlib
import itertools
import pickle

import numpy as np
import pytest

from assay.data.source import DataMissing, Source
from assay.data.sources import CamVid, Textures
from assay.data.splits import Split, SplitResult, split
from assay.errors import UserError
from assay.places import Places
from assay.values import param


class Pools(Source):
    """A data set without files: two training pools, one within the other, and images for validation."""

    name = "pools"
    many: int = param(default=100)
    absent: tuple[str, ...] = param(default=())
    small: tuple[str, ...] = param(default=())

    def pools(self) -> tuple[str, ...]:
        return ("train", "train_aug", "val")

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        if pool in self.absent:
            raise DataMissing(f"{pool} is not here.")
        first, last = {"train": (0, 20), "train_aug": (0, self.many), "val": (90_000, 90_005)}[pool]
        return tuple(f"image{index:05}" for index in range(first, last))

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        return (f"{pool} is small.",) if pool in self.small else ()

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8)


@pytest.fixture
def places(tmp_path) -> Places:
    (tmp_path / "splits").mkdir()
    return Places(data=tmp_path / "data", splits=tmp_path / "splits")


def write_list(places: Places, name: str, *indices: int) -> str:
    path = places.splits / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\r\n".join(f"image{index:05}" for index in indices))
    return name


def split_of(places: Places, source: Source | None = None, **fields: object) -> SplitResult:
    return split(source or Pools(), Split(**fields), places)


@pytest.mark.parametrize(("part", "count"), [("1/16", 662), ("1/8", 1323), ("1/4", 2646), ("1/2", 5291)])
def test_shares_of_voc_are_as_large_as_the_published_lists(places, part, count):
    result = split_of(places, Pools(many=10582), labeled=part, labeled_pool="train_aug", unlabeled="rest")
    assert len(result.labeled) == count
    assert len(result.unlabeled) == 10582 - count


@pytest.mark.parametrize(("text", "count"), [("60", 60), ("1", 1), ("all", 100), ("1/1", 100), ("1/3", 34)])
def test_the_number_of_labels_can_be_a_share_a_count_or_all(places, text, count):
    assert len(split_of(places, labeled=text, labeled_pool="train_aug").labeled) == count


def test_a_smaller_share_lies_within_every_larger_one(places):
    shares = ("3", "1/16", "1/8", "1/4", "1/2", "all")
    results = [set(split_of(places, labeled=share, labeled_pool="train_aug").labeled) for share in shares]
    assert all(small < large for small, large in itertools.pairwise(results))


def test_a_draw_depends_on_its_seed_alone(places):
    fields = {"labeled": "1/4", "labeled_pool": "train_aug"}
    first = split_of(places, **fields)
    assert first == split_of(places, **fields)
    shared = set(first.labeled) & set(split_of(places, seed=1, **fields).labeled)
    assert len(shared) < 20


def test_draws_favour_no_image(places):
    times = np.zeros(20)
    for seed in range(400):
        for image_id in split_of(places, labeled="1/4", seed=seed).labeled:
            times[int(image_id[5:])] += 1
    # 100 expected, with a standard deviation of 8.7
    assert 65 < times.min() <= times.max() < 135


def test_ids_are_sorted(places):
    result = split_of(places, labeled="1/4", unlabeled="rest")
    for ids in (result.labeled, result.unlabeled, result.val):
        assert list(ids) == sorted(ids)


def test_labels_are_drawn_from_the_first_pool_by_default(places):
    assert set(split_of(places, labeled="all").labeled) == set(Pools().ids("train", places))


def test_a_named_pool_keeps_its_labelled_images(places):
    result = split_of(places, labeled="1/4", unlabeled="train")
    assert result.unlabeled == Pools().ids("train", places)
    assert set(result.labeled) < set(result.unlabeled)


def test_the_rest_is_the_pool_without_the_labelled(places):
    result = split_of(places, labeled="1/4", unlabeled="rest")
    assert len(result.unlabeled) == 15
    assert set(result.labeled) | set(result.unlabeled) == set(Pools().ids("train", places))


def test_the_rest_may_be_empty(places):
    assert split_of(places, labeled="all", unlabeled="rest").unlabeled == ()


def test_the_rest_of_a_pool_that_does_not_hold_the_labelled_is_refused(places):
    name = write_list(places, "labeled.txt", 3, 50, 51)
    with pytest.raises(UserError, match=r"2 of 3 labelled images are not in train, .*'image00050'; set .*labeled_pool"):
        split_of(places, labeled=name, unlabeled="rest")
    assert len(split_of(places, labeled=name, unlabeled="rest", labeled_pool="train_aug").unlabeled) == 97


def test_labelled_and_unlabelled_images_can_both_be_read_from_lists(places):
    labeled = write_list(places, "few/labeled.txt", 9, 3)
    unlabeled = write_list(places, "few/unlabeled.txt", 50, 4)
    result = split_of(places, labeled=labeled, unlabeled=unlabeled)
    assert result.labeled == ("image00003", "image00009")
    assert result.unlabeled == ("image00004", "image00050")
    assert result.val == Pools().ids("val", places)
    assert result.notes == ()


def test_a_labelled_image_in_the_unlabelled_list_is_removed_and_noted(places):
    labeled = write_list(places, "labeled.txt", 3, 9)
    unlabeled = write_list(places, "few/unlabeled.txt", 4, 9, 50)
    result = split_of(places, labeled=labeled, unlabeled=unlabeled)
    assert result.unlabeled == ("image00004", "image00050")
    assert result.notes == (
        "1 labelled image is also in the unlabelled list few/unlabeled.txt (the first is image00009): removed.",
    )


def test_a_repeated_image_is_kept_and_noted_if_the_split_keeps_repeated_images(places):
    labeled = write_list(places, "labeled.txt", 3, 4, 9)
    unlabeled = write_list(places, "unlabeled.txt", 4, 9, 50)
    result = split_of(places, labeled=labeled, unlabeled=unlabeled, keep_repeated=True)
    assert result.unlabeled == ("image00004", "image00009", "image00050")
    assert "2 labelled images are also in" in result.notes[0]
    assert "kept" in result.notes[0]


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ({"labeled": "1/4", "unlabeled": "train"}, ("train is small.", "val is small.")),
        ({"labeled": "1/4", "unlabeled": "train_aug"}, ("train is small.", "train_aug is small.", "val is small.")),
        ({"labeled": "few.txt", "unlabeled": "rest"}, ("train is small.", "val is small.")),
        ({"labeled": "few.txt", "unlabeled": "train_aug"}, ("train_aug is small.", "val is small.")),
        ({"labeled": "few.txt", "unlabeled": "more.txt"}, ("val is small.",)),
    ],
)
def test_a_split_has_the_notes_of_the_pools_that_it_uses(places, fields, notes):
    write_list(places, "few.txt", 3)
    write_list(places, "more.txt", 4)
    assert split_of(places, Pools(small=("train", "train_aug", "val")), **fields).notes == notes


@pytest.mark.parametrize("which", ["labeled", "unlabeled"])
def test_training_on_validation_images_is_refused(places, which):
    name = write_list(places, "list.txt", 3, 90_001, 90_003)
    with pytest.raises(UserError, match=r"2 (un)?labelled images are also validation images, .*'image90001'"):
        split_of(places, **{"labeled": "1/4", which: name})


def test_drawing_labels_from_val_is_refused(places):
    with pytest.raises(UserError, match="also validation images"):
        split_of(places, labeled="all", labeled_pool="val")


@pytest.mark.parametrize(
    "text", ["", "some", "1/0", "3/16", "-5", "1.5", "0.1", "²", "1/-2", "1 / 8"], ids=lambda text: f"<{text}>"
)
def test_a_mistake_in_labeled_is_refused_with_the_choices(places, text):
    with pytest.raises(UserError, match=r"data\.split\.labeled must be 1/n|the list '1 / 8' is neither"):
        split_of(places, labeled=text)


@pytest.mark.parametrize("text", ["0", "21"])
def test_more_labels_than_images_are_refused(places, text):
    with pytest.raises(UserError, match=f"between 1 and the 20 images of train, got {text}"):
        split_of(places, labeled=text)


@pytest.mark.parametrize("text", ["trian", "val", ""])
def test_a_mistake_in_unlabeled_is_refused_with_the_choices(places, text):
    with pytest.raises(UserError, match=r"data\.split\.unlabeled must be .*There is: rest, train, train_aug"):
        split_of(places, unlabeled=text)


def test_a_mistake_in_the_pool_is_refused_with_the_choices(places):
    with pytest.raises(UserError, match=r"no pool 'train_agu'; did you mean 'train_aug'\?"):
        split_of(places, labeled_pool="train_agu")


def test_a_missing_list_is_refused(places):
    with pytest.raises(UserError, match=r"the list 'cps/none\.txt' is neither"):
        split_of(places, labeled="cps/none.txt")


def test_a_list_may_name_images_of_the_available_pools(places):
    name = write_list(places, "list.txt", 3)
    assert split_of(places, Pools(absent=("train_aug",)), labeled=name).labeled == ("image00003",)


def test_a_list_of_an_unavailable_pool_is_refused_with_the_reason(places):
    name = write_list(places, "list.txt", 3, 50)
    with pytest.raises(UserError, match=r"1 of 2 entries .* the first: image00050\. train_aug is not here"):
        split_of(places, Pools(absent=("train_aug",)), labeled=name)


def test_a_list_without_any_data_is_refused_because_the_data_are_missing(places):
    name = write_list(places, "list.txt", 3)
    with pytest.raises(DataMissing, match="train is not here"):
        split_of(places, Pools(absent=("train", "train_aug", "val")), labeled=name)
    with pytest.raises(DataMissing, match="CamVid"):
        split_of(places, CamVid(), labeled="1/8")


def test_a_list_of_another_data_set_is_refused_with_its_name(places):
    write_list(places, "few.txt", 3)
    with pytest.raises(UserError, match=r"372 of 372 entries of the published list .* They are images of cityscapes\."):
        split_of(places, labeled="cps/cityscapes/train_aug_labeled_1-8")


def write_permutation(places: Places, *order: int) -> str:
    (places.splits / "split_0.pkl").write_bytes(pickle.dumps(np.array(order)))
    return "split_0.pkl"


def test_a_permutation_numbers_the_images_of_the_pool_with_as_many_images(places):
    order = np.random.default_rng(0).permutation(100)
    name = write_permutation(places, *order)
    result = split_of(places, labeled=f"{name}:7", unlabeled=name, keep_repeated=True)
    pool = Pools().ids("train_aug", places)
    assert result.labeled == tuple(sorted(pool[position] for position in order[:7]))
    assert result.unlabeled == pool
    assert len(split_of(places, labeled=f"{name}:7", unlabeled=name).unlabeled) == 93


def test_a_permutation_of_the_default_pool_numbers_that_pool(places):
    name = write_permutation(places, *reversed(range(20)))
    assert split_of(places, labeled=f"{name}:2").labeled == ("image00018", "image00019")


def test_the_order_that_a_permutation_numbers_is_noted(places):
    name = write_permutation(places, *reversed(range(100)))
    result = split_of(places, labeled=f"{name}:2", unlabeled=name, keep_repeated=True)
    positions, repeated = result.notes
    assert positions == f"{places.splits / name}: positions count the sorted images of train_aug."
    assert repeated.startswith("2 labelled images are also")
    assert split_of(places, labeled="2", unlabeled=name, keep_repeated=True).notes[0] == positions


def test_a_permutation_and_a_list_of_its_images_have_equal_descriptions(places):
    name = write_permutation(places, *reversed(range(20)))
    listed = write_list(places, "few.txt", 19, 18)
    results = [split_of(places, labeled=labeled).describe("labeled") for labeled in (f"{name}:2", listed)]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"permutation of 5 images, but pools has other pools: train \(20\), train_aug \(100\)"),
        ({"labeled_pool": "train"}, r"permutation of 5 images, but pools has other pools: train \(20\)\."),
    ],
)
def test_a_permutation_that_fits_no_pool_is_refused(places, fields, message):
    with pytest.raises(UserError, match=message):
        split_of(places, labeled=f"{write_permutation(places, *range(5))}:2", **fields)


def test_a_permutation_without_any_data_is_refused_because_the_data_are_missing(places):
    name = write_permutation(places, *range(20))
    with pytest.raises(DataMissing, match="train is not here"):
        split_of(places, Pools(absent=("train", "train_aug", "val")), labeled=f"{name}:2")


def test_a_description_is_the_count_and_the_hash_of_the_sorted_ids():
    result = SplitResult(labeled=("b", "a"), unlabeled=("a", "b"), val=("a", "c"))
    expected = {"count": 2, "hash": hashlib.sha256(b"a\nb").hexdigest()[:16]}
    assert result.describe("labeled") == result.describe("unlabeled") == expected
    assert result.describe("val") != expected


def test_a_list_and_a_draw_of_equal_images_have_equal_descriptions(places):
    drawn = split_of(places, labeled="1/4", unlabeled="rest")
    for which in ("labeled", "unlabeled"):
        write_list(places, f"{which}.txt", *(int(each[5:]) for each in reversed(getattr(drawn, which))))
    listed = split_of(places, labeled="labeled.txt", unlabeled="unlabeled.txt")
    assert listed == drawn
    assert listed.describe("labeled") == drawn.describe("labeled")


def test_the_draw_of_the_default_data_set_never_changes(places):
    """A change would silently change the training images of every stored result."""
    result = split(Textures(), Split(labeled="1/16"), places)
    assert result.describe("labeled") == {"count": 40, "hash": "29e9501459aed695"}
