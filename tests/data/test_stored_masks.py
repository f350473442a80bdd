"""Masks in a file, and on their way to the batch: they are cut as their image is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers import small

from assay.data.source import IGNORE, DataBroken
from assay.data.stored_masks import MasksDamaged, StoredMasks, encode, pack, unpack
from assay.data.views import Views
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import BatchPlan, batches, on_device

VIEWS = Views(unlabeled=2, stored=("pseudo", "other"), labeled_stored=True)


def plan(views: Views = VIEWS) -> BatchPlan:
    """Crops at half to twice the size, mirrored or not: some are padded, some cut."""
    experiment = small(recipe__augment__scales=(0.5, 2.0), recipe__augment__crop=(16, 24))
    images = resolve(experiment, Places()).images
    return BatchPlan.make(experiment.data.source, images, views, experiment.recipe, places=Places(), seed=0)


def truth_of(of: BatchPlan, change: int = 0) -> StoredMasks:
    """The labels themselves in the place of predictions, or each class as a later one"""
    masks = {each: of.source.read(each, of.places)[1] for each in of.images_with_stored()}
    return unpack(pack({each: encode((mask + change) % 6) for each, mask in masks.items()}), "a file")


def with_truth() -> BatchPlan:
    of = plan()
    return of.with_stored({"pseudo": truth_of(of), "other": truth_of(of, change=1)})


def example() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = ("train/a b.png", "übung", "../x")
    return {name: rng.integers(0, 256, (5 + at, 7), dtype=np.uint8) for at, name in enumerate(names)}


def packed() -> bytes:
    return pack({name: encode(mask) for name, mask in example().items()})


def test_a_file_gives_back_every_mask_and_its_bytes_depend_on_nothing_else() -> None:
    masks = unpack(packed(), "a file")
    for name, mask in example().items():
        assert np.array_equal(masks.read(name, mask.shape), mask)
    assert list(masks.images) == list(example()) and packed() == packed()


def test_a_truncated_file_is_noticed_wherever_it_ends() -> None:
    data = packed()
    for length in range(0, len(data), 7):
        with pytest.raises(MasksDamaged, match="a file is damaged"):
            unpack(data[:length], "a file")


def test_a_changed_byte_is_noticed_or_changes_no_mask() -> None:
    data, noticed = packed(), 0
    for at in range(len(data)):
        try:
            masks = unpack(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :], "a file")
        except MasksDamaged:
            noticed += 1
            continue
        assert masks.images == unpack(data, "a file").images
    assert noticed > len(data) // 2


def test_a_mask_of_another_size_than_its_image_is_refused() -> None:
    with pytest.raises(DataBroken, match=r"mask of übung in a file must have its image's size, 9 x 6, got 7 x 6"):
        unpack(packed(), "a file").read("übung", (6, 9))


def test_an_image_without_a_mask_is_refused_before_the_first_batch() -> None:
    of = plan()
    masks = truth_of(of)
    first = min(masks.images)
    rest = {name: content for name, content in masks.images.items() if name != first}
    with pytest.raises(DataBroken, match=f"no mask of 1 of the 48 images that need one, the first is {first}"):
        of.with_stored({"pseudo": dataclasses.replace(masks, images=rest)})


@pytest.mark.parametrize("step", range(3))
def test_the_labels_stored_as_masks_come_back_as_the_labels_on_every_pixel(step: int) -> None:
    of = with_truth()
    batch = on_device(of.micro_batch(step, 0), of.views, of.recipe.augment, device=torch.device("cpu"))
    assert any((~each.valid).any() for each in batch.unlabeled), "no crop is padded: the test shows little"
    for truth, each in [(batch.labeled.label, batch.labeled), *((one.truth, one) for one in batch.unlabeled)]:
        assert each.stored["pseudo"].dtype == torch.int64
        assert torch.equal(each.stored["pseudo"], truth)
        assert (each.stored["pseudo"][~each.valid] == IGNORE).all()
        assert torch.equal(each.stored["other"], torch.where(each.valid, (truth + 1) % 6, IGNORE))


def test_loader_processes_cut_the_same_masks() -> None:
    of = with_truth()
    alone, helped = (list(batches(of, range(2), workers=workers)) for workers in (0, 2))
    for (one,), (other,) in zip(alone, helped, strict=True):
        for mine, theirs in zip((one.labeled, *one.unlabeled), (other.labeled, *other.unlabeled), strict=True):
            assert all(torch.equal(mine.stored[name], theirs.stored[name]) for name in VIEWS.stored)


def test_masks_are_wanted_of_the_unlabelled_images_and_of_labelled_ones_on_demand() -> None:
    experiment = small(data__split__unlabeled="rest", data__split__labeled="1/4")
    images = resolve(experiment, Places()).images
    streams = ({}, {"stored": ("pseudo",)}, {"stored": ("pseudo",), "labeled_stored": True})
    made = [
        BatchPlan.make(
            experiment.data.source, images, Views(unlabeled=1, **each), experiment.recipe, places=Places(), seed=0
        )
        for each in streams
    ]
    wanted = [each.images_with_stored() for each in made]
    assert wanted == [(), images.unlabeled, tuple(sorted(images.unlabeled + images.labeled))]
    assert [each.lacks_stored for each in made] == [False, True, True]
    plain = made[0].micro_batch(0, 0)
    assert plain.unlabeled[0].stored == plain.labeled.stored == {}
