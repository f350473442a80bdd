"""The n-th batch is the same for any number of loader processes and ranks."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle

import pytest
import torch
from helpers import QUIET, fresh_weights, small

from assay.data.batch import Batch
from assay.data.normalize import EFFICIENTNET_LITE, IMAGENET, normalize
from assay.data.photometric import apply_strong
from assay.data.randaugment import apply_randaugment
from assay.data.source import IGNORE
from assay.data.views import Boxes, Views
from assay.errors import FieldError, UserError
from assay.nets.encoders import normalization_of
from assay.nets.spec import Encoder
from assay.places import Places
from assay.resolve import resolve
from assay.training.loading import BatchPlan, RawBatch, batches, on_device
from assay.training.loop import Training

VIEWS = Views(labeled_strong=True, unlabeled=2, strong=2, boxes=Boxes(num_boxes=3))


def plan(rank: int = 0, world_size: int = 1, **changes: object) -> BatchPlan:
    experiment = small(recipe__labeled_batch=8, recipe__unlabeled_batch=8, **changes)
    return BatchPlan.make(
        experiment.data.source,
        resolve(experiment, Places()).images,
        VIEWS,
        experiment.recipe,
        places=Places(),
        normalization=IMAGENET,
        seed=experiment.seed,
        rank=rank,
        world_size=world_size,
    )


def first_batch(batch_plan: BatchPlan) -> Batch:
    augment = batch_plan.recipe.augment
    return on_device(batch_plan.micro_batch(0, 0), batch_plan.views, augment, device=torch.device("cpu"))


def tensors(raw: RawBatch) -> list[torch.Tensor]:
    crops = (raw.labeled, *raw.unlabeled)
    return [part for each in crops for part in (each.images, each.labels, each.valid)] + [raw.boxes]


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_loader_processes_makes_the_same_batches(workers: int) -> None:
    alone = [step[0] for step in batches(plan(), range(3, 9))]
    helped = [step[0] for step in batches(plan(), range(3, 9), workers=workers)]
    for one, other in zip(alone, helped, strict=True):
        assert [each.ids for each in (one.labeled, *one.unlabeled)] == [
            each.ids for each in (other.labeled, *other.unlabeled)
        ]
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))
        assert one.labeled.strong == other.labeled.strong


def test_two_ranks_share_what_one_rank_has() -> None:
    whole = plan().micro_batch(5, 0)
    halves = [plan(rank, 2).micro_batch(5, 0) for rank in (0, 1)]
    together = [torch.cat(pair) for pair in zip(*(tensors(half) for half in halves), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(tensors(whole), together, strict=True))


def test_micro_batches_share_what_a_step_has() -> None:
    whole = plan().micro_batch(2, 0)
    parts = [plan(recipe__accumulate=2).micro_batch(2, part) for part in (0, 1)]
    together = [torch.cat(pair) for pair in zip(*(tensors(part) for part in parts), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(tensors(whole), together, strict=True))


def test_every_image_comes_once_in_a_pass_and_passes_differ() -> None:
    stream = plan().unlabeled[0]
    count = len(stream.ids)
    first, second = ([stream.image_id(p * count + at) for at in range(count)] for p in (0, 1))
    assert sorted(first) == sorted(second) == sorted(stream.ids)
    assert first != second


def test_streams_and_seeds_have_orders_of_their_own() -> None:
    first, second = plan().unlabeled
    other = plan(seed=1).unlabeled[0]
    orders = [[stream.image_id(at) for at in range(20)] for stream in (first, second, other)]
    assert orders[0] != orders[1] and orders[0] != orders[2]


def test_the_device_part_returns_the_streams_that_the_views_name() -> None:
    batch = first_batch(plan())
    assert batch.labeled.weak.shape == batch.labeled.strong.shape == (8, 3, 16, 16)
    assert len(batch.unlabeled) == 2 and all(len(each.strong) == 2 for each in batch.unlabeled)
    assert batch.boxes.mask.shape == batch.boxes.owner.shape == (8, 16, 16)
    assert not torch.equal(batch.unlabeled[0].strong[0], batch.unlabeled[0].strong[1])


def test_padding_is_ignored_in_labels_and_not_valid_in_unlabelled_views() -> None:
    batch = first_batch(plan(recipe__augment__scales=(0.5, 0.5)))
    assert (batch.labeled.label[:, 8:] == IGNORE).all() and (batch.labeled.label[:, :8, :8] != IGNORE).all()
    unlabeled = batch.unlabeled[0]
    assert not unlabeled.valid[:, 8:].any() and unlabeled.valid[:, :8, :8].all()
    pseudo = unlabeled.without_padding(torch.zeros_like(unlabeled.truth))
    assert (pseudo[:, 8:] == IGNORE).all() and (pseudo[:, :8, :8] == 0).all()
    # Padding is grey enough to be nothing once it is normalised.
    assert unlabeled.weak[:, :, 8:].abs().max() < 0.02


def test_strong_views_are_those_of_the_images_without_padding() -> None:
    batch_plan = plan(recipe__augment__scales=(0.4, 1.2))
    raw, batch = batch_plan.micro_batch(0, 0), first_batch(batch_plan)
    pairs = [(raw.labeled, batch.labeled.strong, raw.labeled.strong[0])]
    pairs += [
        (crops, strong, draws)
        for crops, unlabeled in zip(raw.unlabeled, batch.unlabeled, strict=True)
        for strong, draws in zip(unlabeled.strong, crops.strong, strict=True)
    ]
    sizes = [size for crops, _, _ in pairs for size in crops.sizes]
    assert (16, 16) in sizes and len(set(sizes)) > 5
    for crops, strong, draws in pairs:
        for index, (height, width) in enumerate(crops.sizes):
            assert crops.valid[index].sum() == crops.valid[index, :height, :width].sum() == height * width
            image = crops.images[index : index + 1, :, :height, :width].contiguous()
            alone = normalize(apply_strong(image, draws[index : index + 1]), IMAGENET)
            assert torch.equal(strong[index, :, :height, :width], alone[0])
            assert (strong[index, :, ~crops.valid[index]].abs() < 0.02).all()


RANDAUGMENT = {"recipe__augment__strong": "randaugment", "recipe__augment__strong__cutout_size": 4}


def test_maps_of_weak_views_are_carried_to_strong_views_that_move_pixels() -> None:
    batch_plan = plan(recipe__augment__scales=(0.4, 1.2), **RANDAUGMENT)
    raw, batch = batch_plan.micro_batch(0, 0), first_batch(batch_plan)
    labeled, unlabeled = batch.labeled, batch.unlabeled[1]
    pairs = [(raw.labeled.images, labeled.strong, raw.labeled, 0, labeled.carry)]
    for view, strong in enumerate(unlabeled.strong):
        pairs.append(
            (raw.unlabeled[1].images, strong, raw.unlabeled[1], view, functools.partial(unlabeled.carry, view=view))
        )
    for images, strong, crops, view, carry in pairs:
        expected, index_map = apply_randaugment(images, crops.strong[view], crops.sizes)
        assert torch.equal(strong, normalize(expected, IMAGENET))
        valid, labels = crops.valid, crops.labels.long()
        outside = index_map < 0
        assert outside.any()
        counted = carry(valid)
        assert not counted[outside].any() and not counted[~valid].any() and counted.any()
        assert torch.equal(carry(torch.where(valid, 7, IGNORE)) == 7, counted)
        assert (carry(labels)[outside] == IGNORE).all() and (carry(labels)[~valid] == IGNORE).all()


def test_maps_stay_as_they_are_where_strong_views_keep_pixels_in_place() -> None:
    batch = first_batch(plan())
    maps = torch.rand(8, 3, 16, 16)
    assert batch.labeled.carry(maps) is maps
    assert all(batch.unlabeled[0].carry(maps, view) is maps for view in (0, 1))


def test_draws_of_randaugment_are_the_same_for_ranks_and_for_the_copy_in_a_loader_process() -> None:
    whole = plan(**RANDAUGMENT).micro_batch(5, 0)
    halves = [plan(rank, 2, **RANDAUGMENT).micro_batch(5, 0) for rank in (0, 1)]
    sent = pickle.loads(pickle.dumps(whole))
    assert whole.labeled.strong == sent.labeled.strong
    for view in (0, 1):
        first, second = (half.unlabeled[0].strong[view] for half in halves)
        assert whole.unlabeled[0].strong[view] == sent.unlabeled[0].strong[view] == first + second


def test_a_method_that_carries_no_labels_refuses_strong_views_that_move_pixels() -> None:
    with pytest.raises(
        FieldError, match=r"^recipe\.augment\.strong must keep pixels in place with method=mkd"
    ) as refused:
        small("mkd", recipe__augment__strong="randaugment")
    assert "does not carry labels" in str(refused.value) and "(from test" in str(refused.value)
    assert "set recipe.augment.strong=photometric" in str(refused.value)
    assert small("pseudo_label", method__strong=True, recipe__augment__strong="randaugment")  # it carries them


def test_randaugment_that_keeps_pixels_in_place_suits_every_method() -> None:
    colours = {**RANDAUGMENT, "recipe__augment__strong__operators": ("color", "equalize")}
    assert small("mkd", **colours).recipe.augment.strong.cutout_squares == 3
    with pytest.raises(FieldError, match="moves or ignores pixels"):
        small("mkd", **colours, recipe__augment__strong__ignore_cutout=True)
    assert small("supervised", **RANDAUGMENT).recipe.augment.strong.num_ops == 3  # it has no strong views


@pytest.mark.parametrize("ranks", [3, 16])
def test_a_batch_that_cannot_be_divided_is_refused(ranks: int) -> None:
    with pytest.raises(UserError, match=f"must divide over {ranks} ranks"):
        plan(0, ranks)


def test_a_method_that_needs_unlabelled_images_is_refused_where_there_are_none() -> None:
    with pytest.raises(UserError, match="needs unlabelled images"):
        plan(data__split__labeled="all", data__split__unlabeled="rest")


@pytest.mark.parametrize("arch", ["tiny", "tf_efficientnet_lite0", "xception65"])
def test_padding_is_zero_after_the_normalisation_of_every_encoder(arch: str) -> None:
    normalization = normalization_of(Encoder(arch=arch))
    padded = dataclasses.replace(plan(recipe__augment__scales=(0.5, 0.6)), normalization=normalization)
    batch = first_batch(padded)
    (one, _) = batch.unlabeled
    for images, valid in ((batch.labeled.weak, batch.labeled.valid), (one.weak, one.valid)):
        outside = images.permute(1, 0, 2, 3)[:, ~valid]
        assert outside.shape[1] and outside.abs().max() <= 0.5 / 255 / min(normalization.std) * 1.0001


def test_an_experiments_batches_are_normalised_for_its_encoder() -> None:
    experiment = small(net__encoder__arch="tf_efficientnet_lite0")
    training = Training(resolve(experiment, Places()), places=Places(), runtime=QUIET)
    raw = training.plan.micro_batch(0, 0)
    batch = on_device(raw, training.plan.views, training.recipe.augment, device=torch.device("cpu"))
    assert torch.equal(batch.labeled.weak, (raw.labeled.images.float() - 127) / 128)
    assert training.nets["student"].normalization == training.plan.normalization


@torch.no_grad()
def test_a_teacher_with_another_normalisation_gives_its_own_logits_on_the_students_batch() -> None:
    teacher = small(seed=7, net__encoder__arch="tf_efficientnet_lite0")
    resolved = resolve(small("kd", method__teachers=(teacher,)), Places())
    training = Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))
    (network,) = (net for net in training.nets.values() if net.is_input)
    alone = copy.deepcopy(network).eval()
    alone.accept(EFFICIENTNET_LITE)
    images = training.plan.micro_batch(0, 0).labeled.images
    assert network.normalization == IMAGENET == training.plan.normalization
    logits = network.eval()(normalize(images, IMAGENET))
    torch.testing.assert_close(logits, alone(normalize(images, EFFICIENTNET_LITE)), rtol=1e-4, atol=1e-5)
