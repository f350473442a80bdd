"""Class-uniform sampling: centroids against a plain reference, frequencies of classes, and crops around points."""

from __future__ import annotations

import collections
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from helpers import QUIET, small

from assay.data.class_uniform import Centroids, ClassUniform, ClassUniformStream, centroids_of
from assay.data.normalize import IMAGENET
from assay.data.source import IGNORE
from assay.data.streams import Stream
from assay.data.views import Views
from assay.errors import UserError
from assay.experiment import Experiment
from assay.places import Places
from assay.resolve import resolve
from assay.training.centroids import centroids_for
from assay.training.loading import BatchPlan

CLASSES = ("background", "rare", "absent", "common")


def reference(mask: np.ndarray, num_classes: int, tile: int) -> list[tuple[int, int, int]]:
    """Return the centroids of a mask by a plain loop: the mean of positions, cut off as the authors' code does."""
    found = []
    for top in range(0, mask.shape[0], tile):
        for left in range(0, mask.shape[1], tile):
            for class_id in range(num_classes):
                rows, columns = np.nonzero(mask[top : top + tile, left : left + tile] == class_id)
                if len(rows):
                    found.append((class_id, int(rows.mean()) + top, int(columns.mean()) + left))
    return found


@pytest.mark.parametrize(("size", "tile"), [((40, 60), 20), ((41, 53), 16), ((5, 90), 64), ((1, 1), 1)])
def test_centroids_are_the_mean_positions_of_each_class_in_each_tile(size: tuple[int, int], tile: int):
    rng = np.random.default_rng(0)
    mask = rng.choice([0, 1, 3, IGNORE], size, p=[0.6, 0.01, 0.29, 0.1]).astype(np.uint8)
    assert centroids_of(mask, 4, tile).tolist() == [list(each) for each in reference(mask, 4, tile)]


def test_a_mask_without_labels_has_no_centroids():
    assert centroids_of(np.full((30, 30), IGNORE, dtype=np.uint8), 4, 16).shape == (0, 3)


def example_stream(share: float = 0.5, num_images: int = 10) -> ClassUniformStream:
    """Return a stream of images of which one holds "rare" and none "absent"."""
    masks = [np.zeros((20, 20), dtype=np.uint8) for _ in range(num_images)]
    for mask in masks:
        mask[10:, 5:] = 3
    masks[4][2, 3] = 1
    by_image = [centroids_of(mask, len(CLASSES), 8) for mask in masks]
    found = Centroids.gather(by_image, CLASSES, ClassUniform(share=share, tile=8))
    ids = tuple(f"image{index}" for index in range(num_images))
    return ClassUniformStream(name="labeled", ids=ids, seed=3, centroids=found)


def classes_at(stream: ClassUniformStream, positions: range) -> list[int | None]:
    """Return the class of each position's point, or None for a position without a point."""
    class_of = {
        (int(image), int(row), int(column)): class_id
        for class_id, points in stream.centroids.points.items()
        for image, row, column in points
    }
    items = [(stream.image_id(at), stream.point(at)) for at in positions]
    return [None if point is None else class_of[(stream.ids.index(image_id), *point)] for image_id, point in items]


def test_each_class_that_occurs_gets_an_equal_part_of_the_share():
    counts = collections.Counter(classes_at(example_stream(), range(600)))
    assert counts == {None: 300, 0: 100, 1: 100, 3: 100}


@pytest.mark.parametrize(("share", "counts"), [(0.3, {3}), (0.5, {5}), (1.0, {10}), (0.25, {2, 3}), (0.04, {0, 1})])
def test_every_epoch_has_the_share_up_to_rounding(share: float, counts: set[int]):
    classes = classes_at(example_stream(share), range(1000))
    in_epochs = [sum(each is not None for each in classes[start : start + 10]) for start in range(0, 1000, 10)]
    assert set(in_epochs) == counts and sum(in_epochs) == round(1000 * share)


def test_a_class_uses_all_its_centroids_before_it_repeats_one_and_images_come_in_turn():
    stream = example_stream()
    points = {at: (stream.image_id(at), stream.point(at)) for at in range(5000)}
    classes = classes_at(stream, range(5000))
    of_common = collections.Counter(points[at] for at in range(5000) if classes[at] == 3)
    assert len(of_common) == len(stream.centroids.points[3])
    assert max(of_common.values()) - min(of_common.values()) <= 1
    plain = collections.Counter(image_id for image_id, point in points.values() if point is None)
    assert set(plain.values()) == {250} and len(plain) == 10


def test_positions_are_the_same_in_any_order_and_differ_between_seeds():
    stream = example_stream()
    forward = [stream.point(at) for at in range(50)]
    assert [stream.point(at) for at in reversed(range(50))] == forward[::-1]
    other = ClassUniformStream(name="labeled", ids=stream.ids, seed=4, centroids=stream.centroids)
    assert [other.point(at) for at in range(50)] != forward


def test_a_class_without_pixels_is_left_out_with_a_note():
    (note,) = example_stream().centroids.notes()
    assert "no labelled image has a pixel of absent; class-uniform positions are shared by the other 3 classes" in note


def test_images_without_labelled_pixels_are_refused():
    with pytest.raises(UserError, match=r"every pixel of the labelled images is ignored; set data\.sampling=none"):
        Centroids.gather([np.empty((0, 3), dtype=np.int64)] * 3, CLASSES, ClassUniform())


def sampled(**changes: object) -> Experiment:
    return small(data__sampling="class_uniform", data__sampling__tile=8, recipe__labeled_batch=8, **changes)


def plan(experiment: Experiment, rank: int = 0, world_size: int = 1) -> BatchPlan:
    resolved = resolve(experiment, Places())
    return BatchPlan.make(
        experiment.data.source,
        resolved.images,
        Views(),
        experiment.recipe,
        places=Places(),
        normalization=IMAGENET,
        seed=experiment.seed,
        rank=rank,
        world_size=world_size,
        centroids=centroids_for(resolved, Places(), QUIET),
    )


def test_a_crop_contains_its_point():
    """Every source pixel is painted with its own position, and nothing is resized."""
    of = plan(sampled(recipe__augment__scales=(1.0, 1.0), recipe__augment__crop=(5, 7)))
    rows, columns = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    painted = np.stack((rows, columns, rows), axis=2).astype(np.uint8)
    mask = np.zeros((16, 16), dtype=np.uint8)

    class Painted(type(of.source)):
        name = "painted"

        def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
            return painted, mask

    of = dataclasses.replace(of, source=Painted())
    tops: set[int] = set()
    for step in range(40):
        images = of.micro_batch(step, 0).labeled.images
        for index, image in enumerate(images):
            point = of.labeled.point(8 * step + index)
            if point is not None:
                assert ((image[0] == point[0]) & (image[1] == point[1])).any()
                tops.add(int(image[0, 0, 0]) - point[0])
    assert tops == {-4, -3, -2, -1, 0}


def test_batches_are_the_same_for_ranks_and_for_the_copy_in_a_loader_process():
    whole, first, second = plan(sampled()), plan(sampled(), 0, 2), plan(sampled(), 1, 2)
    copied = pickle.loads(pickle.dumps(whole))
    for step in range(3):
        one, other, *halves = (each.micro_batch(step, 0).labeled for each in (whole, copied, first, second))
        assert one.ids == other.ids == halves[0].ids + halves[1].ids
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.labels, torch.cat([half.labels for half in halves]))


def test_without_sampling_the_stream_is_the_plain_one():
    plain = plan(small())
    assert type(plain.labeled) is Stream and plain.notes() == ()
    assert all(plain.labeled.point(at) is None for at in range(30))
    key = resolve(small(), Places()).key
    assert resolve(small(data__sampling=None), Places()).key == key != resolve(sampled(), Places()).key
