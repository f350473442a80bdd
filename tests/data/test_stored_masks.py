"""Stored masks: the file, and the crops in a batch, which match the crops of the images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from helpers import small

from assay.data.normalize import IMAGENET
from assay.data.source import IGNORE, DataBroken
from assay.data.stored_masks import MasksDamaged, StoredMasks, encode, pack, unpack
from assay.data.views import Views
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import BatchPlan, batches, on_device

VIEWS = Views(unlabeled=2, stored=("pseudo", "other"), labeled_stored=True)


def plan(views: Views = VIEWS) -> BatchPlan:
    """Return a plan with crops at half to twice the size, mirrored or not: some are padded, some cut."""
    experiment = small(recipe__augment__scales=(0.5, 2.0), recipe__augment__crop=(16, 24))
    images = resolve(experiment, Places()).images
    return BatchPlan.make(
        experiment.data.source, images, views, experiment.recipe, places=Places(), normalization=IMAGENET, seed=0
    )


def stored_labels(plan: BatchPlan, shift: int = 0) -> StoredMasks:
    """Return the labels themselves as stored masks, with every class shifted by a number."""
    masks = {image_id: plan.source.read(image_id, plan.places)[1] for image_id in plan.images_with_stored()}
    return unpack(pack({image_id: encode((mask + shift) % 6) for image_id, mask in masks.items()}), "a file")


def plan_with_stored_labels() -> BatchPlan:
    empty = plan()
    return empty.with_stored({"pseudo": stored_labels(empty), "other": stored_labels(empty, shift=1)})


def example_masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    names = ("train/a b.png", "übung", "../x")
    return {name: rng.integers(0, 256, (5 + index, 7), dtype=np.uint8) for index, name in enumerate(names)}


def packed_example() -> bytes:
    return pack({name: encode(mask) for name, mask in example_masks().items()})


def test_a_file_keeps_every_mask_and_equal_masks_give_equal_bytes() -> None:
    masks = unpack(packed_example(), "a file")
    for name, mask in example_masks().items():
        assert np.array_equal(masks.read(name, mask.shape), mask)
    assert list(masks.images) == list(example_masks()) and packed_example() == packed_example()


def test_a_truncated_file_is_refused_wherever_it_ends() -> None:
    data = packed_example()
    for length in range(0, len(data), 7):
        with pytest.raises(MasksDamaged, match="a file is damaged"):
            unpack(data[:length], "a file")


def test_a_changed_byte_is_refused_or_changes_no_mask() -> None:
    data, refused = packed_example(), 0
    for position in range(len(data)):
        try:
            masks = unpack(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :], "a file")
        except MasksDamaged:
            refused += 1
            continue
        assert masks.images == unpack(data, "a file").images
    assert refused > len(data) // 2


def test_a_mask_of_another_size_than_its_image_is_refused() -> None:
    with pytest.raises(DataBroken, match=r"mask of übung in a file must have its image's size, 9 x 6, got 7 x 6"):
        unpack(packed_example(), "a file").read("übung", (6, 9))


def test_an_image_without_a_mask_is_refused_before_the_first_batch() -> None:
    empty = plan()
    masks = stored_labels(empty)
    first = min(masks.images)
    rest = {name: content for name, content in masks.images.items() if name != first}
    with pytest.raises(DataBroken, match=f"no mask of 1 of the 48 images that need one, the first is {first}"):
        empty.with_stored({"pseudo": dataclasses.replace(masks, images=rest)})


@pytest.mark.parametrize("step", range(3))
def test_labels_stored_as_masks_equal_the_labels_of_the_batch_on_every_pixel(step: int) -> None:
    full = plan_with_stored_labels()
    batch = on_device(full.micro_batch(step, 0), full.views, full.recipe.augment, device=torch.device("cpu"))
    assert any((~part.valid).any() for part in batch.unlabeled), "no crop is padded: the test shows little"
    truths = [batch.labeled.label, *(part.truth for part in batch.unlabeled)]
    for truth, part in zip(truths, [batch.labeled, *batch.unlabeled], strict=True):
        assert part.stored["pseudo"].dtype == torch.int64
        assert torch.equal(part.stored["pseudo"], truth)
        assert (part.stored["pseudo"][~part.valid] == IGNORE).all()
        assert torch.equal(part.stored["other"], torch.where(part.valid, (truth + 1) % 6, IGNORE))


def test_loader_processes_cut_the_same_masks() -> None:
    full = plan_with_stored_labels()
    without_workers, with_workers = (list(batches(full, range(2), workers=workers)) for workers in (0, 2))
    for (one,), (other,) in zip(without_workers, with_workers, strict=True):
        for first, second in zip((one.labeled, *one.unlabeled), (other.labeled, *other.unlabeled), strict=True):
            assert all(torch.equal(first.stored[name], second.stored[name]) for name in VIEWS.stored)


def test_masks_are_needed_for_unlabelled_images_and_on_demand_for_labelled_images() -> None:
    experiment = small(data__split__unlabeled="rest", data__split__labeled="1/4")
    images = resolve(experiment, Places()).images
    streams = ({}, {"stored": ("pseudo",)}, {"stored": ("pseudo",), "labeled_stored": True})
    plans = [
        BatchPlan.make(
            experiment.data.source,
            images,
            Views(unlabeled=1, **fields),
            experiment.recipe,
            places=Places(),
            normalization=IMAGENET,
            seed=0,
        )
        for fields in streams
    ]
    needed = [plan.images_with_stored() for plan in plans]
    assert needed == [(), images.unlabeled, tuple(sorted(images.unlabeled + images.labeled))]
    assert [plan.lacks_stored for plan in plans] == [False, True, True]
    plain = plans[0].micro_batch(0, 0)
    assert plain.unlabeled[0].stored == plain.labeled.stored == {}
