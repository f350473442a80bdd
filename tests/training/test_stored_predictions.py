"""Masks that an earlier experiment predicts: made once, by the first experiment that needs them, and read by all."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from forks import on_two_ranks, start_fork
from helpers import QUIET, fresh_weights, small
from torch.multiprocessing import ProcessRaisedException

from assay.data.normalize import IMAGENET, normalize
from assay.data.source import DataBroken
from assay.data.sources import Textures
from assay.data.stored_masks import encode, pack, unpack
from assay.data.views import Views
from assay.errors import AssayError, UserError
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import resolve
from assay.store import checkpoints, records
from assay.store.local import LocalStore
from assay.training import stored_predictions
from assay.training.loop import Training
from assay.training.model import trained_networks
from assay.training.result import WEIGHTS
from assay.training.session import SessionOptions, train
from assay.training.stored_predictions import mask_requests

STAGE1 = small(recipe__steps=40, recipe__optimizer__lr=0.05, seed=7)
STAGE1_KEY = resolve(STAGE1, Places()).key


IMAGES = 48  # that are predicted


def stage2(**changes: object) -> Experiment:
    return small("pseudo_label", method__pseudo=STAGE1, **changes)


def run(experiment: Experiment, store: LocalStore, *, stop_at: int | None = None, runtime: Runtime = QUIET):
    """Train, or stop after so many calls of `stop`: one for each image that is predicted, and one a step."""
    calls = iter(range(1, 10_000))
    stop = (lambda: next(calls) >= stop_at) if stop_at else (lambda: False)
    lines: list[str] = []
    options = SessionOptions(print_line=lines.append)
    result = train(resolve(experiment, Places()), store, places=Places(), runtime=runtime, stop=stop, options=options)
    return result, lines


def mask_files(store: LocalStore) -> list[str]:
    return [name for name in store.names(STAGE1_KEY) if name.startswith("masks-")]


def assert_same_end(one: LocalStore, other: LocalStore, key: str) -> None:
    assert one.read(key, WEIGHTS) == other.read(key, WEIGHTS)
    assert numbers(one, key) == numbers(other, key)


def numbers(store: LocalStore, key: str) -> list[dict[str, object]]:
    """Return all lines, without the values that depend on the clock."""
    lines = records.read_metrics(store, key)
    return [{name: each[name] for name in each if not name.startswith("time/")} for each in lines]


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Return a store in which another process has trained the first stage, and no process has requested masks."""
    store = LocalStore(tmp_path_factory.mktemp("stage1"))
    wait_for(start_fork(train_in, STAGE1, store.root))
    return store


@pytest.fixture
def store(first_stage: LocalStore, tmp_path: Path) -> LocalStore:
    """Return a copy of that store."""
    return copy_of(first_stage, tmp_path / "store")


def copy_of(store: LocalStore, folder: Path) -> LocalStore:
    """Return a new store with the first stage of `store`."""
    copy = LocalStore(folder)
    for name in store.names(STAGE1_KEY):
        copy.write(STAGE1_KEY, name, store.read(STAGE1_KEY, name) or b"")
    return copy


def train_in(experiment: Experiment, folder: Path) -> None:
    train(resolve(experiment, Places()), LocalStore(folder), places=Places(), runtime=QUIET)


def wait_for(process: BaseProcess) -> None:
    process.join(120)
    assert process.exitcode == 0


def test_masks_are_what_the_official_network_predicts_on_whole_images(store: LocalStore) -> None:
    result, _ = run(stage2(), store)
    (name,) = mask_files(store)
    masks = unpack(store.read(STAGE1_KEY, name), name)
    resolved = resolve(STAGE1, Places())
    nets = trained_networks(resolved, Places(), lambda key: store.read(key, WEIGHTS)).eval()
    assert sorted(masks.images) == list(resolve(stage2(), Places()).images.unlabeled)
    classes = set()
    for image_id in masks.images:
        image, _ = STAGE1.data.source.read(image_id, Places())
        with torch.no_grad():
            logits = nets["student"](normalize(torch.tensor(image).permute(2, 0, 1)[None], IMAGENET))
        mask = masks.read(image_id, image.shape[:2])
        assert np.array_equal(mask, logits.argmax(1)[0].numpy())
        classes |= set(np.unique(mask))
    assert len(classes) > 1, "one class everywhere shows nothing"
    assert result["sessions"][0]["stored_masks"] == {"pseudo": masks.digest}


def test_they_are_predicted_once_and_change_nothing_of_the_experiment_that_made_them(store: LocalStore) -> None:
    before = {name: store.read(STAGE1_KEY, name) for name in store.names(STAGE1_KEY)}
    _, first = run(stage2(), store)
    _, second = run(stage2(method__weight=0.5), store)
    predicting = f"note: predicting the masks of 48 images with experiment {STAGE1_KEY}"
    assert predicting in first and predicting not in second
    assert len(mask_files(store)) == 1
    assert {name: store.read(STAGE1_KEY, name) for name in before} == before


def test_another_list_of_images_is_another_file(store: LocalStore) -> None:
    run(stage2(), store)
    run(stage2(data__split__unlabeled="rest"), store)
    run(stage2(data__split__labeled="1/4"), store)  # another split than the first stage's, the same list
    assert len(mask_files(store)) == 2


def fetching(store: LocalStore, experiment: Experiment | None = None) -> Training:
    resolved = resolve(experiment or stage2(), Places())
    return Training(resolved, places=Places(), runtime=QUIET, read_weights=lambda key: store.read(key, WEIGHTS) or b"")


def kept(store: LocalStore) -> bytes:
    """Return the only file of masks in a store, as it should be."""
    fetching(store).fetch_masks(store)
    (name,) = mask_files(store)
    return store.read(STAGE1_KEY, name) or b""


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: b"", lambda data: data[:90] + data[95:]])
def test_a_damaged_file_is_made_again_and_a_note_is_printed(damage, store: LocalStore) -> None:
    whole, lines = kept(store), []
    (name,) = mask_files(store)
    store.write(STAGE1_KEY, name, damage(whole))
    training = fetching(store)
    assert training.fetch_masks(store, print_line=lines.append)
    assert store.read(STAGE1_KEY, name) == whole
    assert training.plan.stored["pseudo"].digest == unpack(whole, name).digest
    assert any(f"{name} is damaged" in text and "predicted anew" in text for text in lines) or not damage(whole)


def test_where_another_process_was_faster_its_file_is_used(store: LocalStore) -> None:
    training = fetching(store)
    (request,) = mask_requests(training.resolved, training.plan).values()
    other = pack({image_id: encode(np.full((16, 16), 3, dtype=np.uint8)) for image_id in request.ids})

    class Late(LocalStore):
        """A store into which another process writes while this one predicts."""

        def create(self, key: str, name: str, data: bytes) -> bool:
            super().create(key, name, other)
            return super().create(key, name, data)

    assert training.fetch_masks(Late(store.root))
    assert training.plan.stored["pseudo"].images == unpack(other, "").images


def test_two_processes_that_need_masks_at_once_end_with_one_right_file(store: LocalStore, tmp_path: Path) -> None:
    alone = copy_of(store, tmp_path / "alone")
    experiments = [stage2(), stage2(seed=3)]
    for each in [start_fork(train_in, each, store.root) for each in experiments]:
        wait_for(each)
    (name,) = mask_files(store)
    assert store.read(STAGE1_KEY, name) == kept(alone)
    for experiment in experiments:
        run(experiment, alone)
        assert_same_end(store, alone, resolve(experiment, Places()).key)


def test_an_untrained_first_stage_is_reported_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    empty = LocalStore(tmp_path / "empty")
    with pytest.raises(AssayError, match=f"experiment {STAGE1_KEY} must be trained first"):
        run(stage2(), empty)
    assert empty.keys() == []


def test_a_first_stage_with_other_classes_is_refused(store: LocalStore) -> None:
    other = small("pseudo_label", method__pseudo=STAGE1.replace(data=STAGE1.data.replace(source=Textures(world=1))))
    with pytest.raises(UserError, match=r"method.pseudo was trained on 6 classes .* data with the same classes"):
        run(other, store)


def test_a_product_that_the_method_does_not_make_is_refused_with_those_it_makes(store: LocalStore) -> None:
    training = fetching(store)
    training.plan = dataclasses.replace(training.plan, views=Views(unlabeled=1, stored=("pseudo:mask",)))
    with pytest.raises(UserError, match=r"supervised has no mask predictor 'mask'; did you mean 'masks'"):
        training.fetch_masks()


def test_an_image_that_changed_its_size_since_is_refused(store: LocalStore) -> None:
    training = fetching(store)
    (request,) = mask_requests(training.resolved, training.plan).values()
    small_masks = pack({image_id: encode(np.zeros((8, 16), dtype=np.uint8)) for image_id in request.ids})
    store.write(STAGE1_KEY, request.file, small_masks)
    with pytest.raises(DataBroken, match=r"must have its image's size, 16 x 16, got 16 x 8.*delete that file"):
        run(stage2(), store)


def test_without_a_store_masks_are_predicted_and_not_kept() -> None:
    resolved = resolve(stage2(), Places())
    training = Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))
    assert training.plan.lacks_stored and training.fetch_masks() and not training.plan.lacks_stored


def test_a_stop_while_masks_are_predicted_leaves_no_file_and_the_next_session_makes_it(store: LocalStore) -> None:
    big = stage2(data__source__size=256, recipe__evaluation__every=100, recipe__steps=2)  # an image at a time
    result, _ = run(big, store, stop_at=3)
    assert result is None and mask_files(store) == []
    key = resolve(big, Places()).key
    assert records.state(store, key).name == "interrupted" and len(records.attempts(store, key)) == 1
    assert run(big, store)[0] is not None and len(mask_files(store)) == 1


def test_stopped_at_many_points_with_any_loader_processes_it_ends_as_if_never_stopped(
    store: LocalStore, tmp_path: Path
) -> None:
    experiment = stage2(method__strong=True)
    whole = copy_of(store, tmp_path / "whole")
    run(experiment, whole)
    for stop_at, workers in ((IMAGES + 3, 0), (4, 2)):
        assert run(experiment, store, stop_at=stop_at, runtime=QUIET.replace(loader_workers=workers))[0] is None
    result, _ = run(experiment, store)
    assert result is not None and result["same_bits"]
    assert_same_end(whole, store, result["key"])


def test_killed_in_the_middle_it_ends_with_the_same_bits(store: LocalStore, tmp_path: Path) -> None:
    experiment = stage2(recipe__steps=60)
    whole = copy_of(store, tmp_path / "whole")
    result, _ = run(experiment, whole)
    key, kills = result["key"], 0

    def moments() -> Iterator[bool]:
        """Yield True once it has claimed the key (it then predicts), and once more when it has a checkpoint."""
        while not any(each.startswith("attempts") for each in store.names(key)):
            yield False
        yield True
        while not checkpoints.steps(store.names(key)):
            yield False
        yield True

    reached = moments()
    while kills < 2:
        process = start_fork(train_in, experiment, store.root)
        while process.is_alive() and not next(reached):
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it ended before it could be killed"
        kills += 1
    assert records.state(store, key).name == "interrupted"
    run(experiment, store)
    assert_same_end(whole, store, key)


def test_a_third_stage_learns_the_masks_of_the_second(store: LocalStore) -> None:
    second = stage2(recipe__steps=4)
    run(second, store)
    result, lines = run(small("pseudo_label", method__pseudo=second, recipe__steps=4), store)
    key = resolve(second, Places()).key
    assert result is not None and any(f"with experiment {key}" in text for text in lines)
    assert len(mask_files(store)) == 1 and any(name.startswith("masks-") for name in store.names(key))


def train_on(folder: str) -> None:
    """Train the second stage on one of two ranks, which exchange their progress after every image."""
    stored_predictions._REPORT_EVERY = 0.0
    lines: list[str] = []
    options = SessionOptions(print_line=lines.append)
    train(resolve(stage2(), Places()), LocalStore(Path(folder)), places=Places(), runtime=QUIET, options=options)
    assert bool(lines) == (dist.get_rank() == 0), "the first rank alone predicts and prints"


def test_on_two_ranks_the_first_one_predicts_and_both_learn_the_same(store: LocalStore, tmp_path: Path) -> None:
    alone = copy_of(store, tmp_path / "alone")
    on_two_ranks(train_on, str(store.root))
    run(stage2(), alone)
    (name,) = mask_files(store)
    assert store.read(STAGE1_KEY, name) == alone.read(STAGE1_KEY, name)
    key = resolve(stage2(), Places()).key
    one, two = ([each.get("term/pseudo", 0.0) for each in numbers(where, key)] for where in (alone, store))
    assert two == pytest.approx(one, rel=1e-3) and any(one)


def test_an_error_while_the_first_rank_predicts_ends_both(store: LocalStore) -> None:
    store.write(STAGE1_KEY, WEIGHTS, b"no weights")
    began = time.monotonic()
    with pytest.raises(ProcessRaisedException, match="UnpicklingError"):
        on_two_ranks(train_on, str(store.root))
    assert time.monotonic() - began < 60 and mask_files(store) == []
    failures = records.failures(store, resolve(stage2(), Places()).key)
    assert any("UnpicklingError" in each["error"] for each in failures)


def test_masks_that_changed_between_two_sessions_cost_the_mark_of_the_same_bits(store: LocalStore) -> None:
    run(stage2(), store, stop_at=IMAGES + 6)
    (name,) = mask_files(store)
    masks = unpack(store.read(STAGE1_KEY, name), name)
    store.write(
        STAGE1_KEY, name, pack({image_id: encode(np.ones((16, 16), dtype=np.uint8)) for image_id in masks.images})
    )
    result, _ = run(stage2(), store)
    (changed,) = result["sessions"][-1]["changed"]
    assert changed.startswith("stored_masks") and not result["same_bits"]
