"""Two ranks compute the same as one; an error on one rank ends both."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from forks import on_two_ranks
from helpers import QUIET, fresh_weights, small

from assay.commands.show import summary
from assay.data.batch import Batch
from assay.errors import UserError
from assay.places import Places
from assay.resolve import resolve
from assay.store import records
from assay.store.local import LocalStore
from assay.training.loop import Training
from assay.training.session import SessionOptions, train
from methods.fda import FDA


class LossRecorder:
    """A recorder that keeps the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def write_line(self, line): ...

    def save_checkpoint(self, payload, step): ...

    def report_step(self, step, loss):
        self.losses.append(loss)


def first_steps(method: str, changes: dict[str, object]) -> tuple[list[float], list[torch.Tensor]]:
    """Return the losses, and the final weights and buffers."""
    torch.set_num_threads(1)
    resolved = resolve(small(method, **changes), Places())
    training = Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved))
    recorder = LossRecorder()
    training.run(recorder)
    return recorder.losses, [value.clone() for value in training.nets.state_dict().values()]


def save_next_in_batch(folder: str) -> None:
    rank = dist.get_rank()
    batch = torch.arange(12.0).view(6, 2)
    torch.save(Batch.next_in_batch(batch[3 * rank : 3 * rank + 3]), f"{folder}/{rank}.pt")


def test_the_partner_of_an_image_is_its_successor_in_the_global_batch(tmp_path: Path) -> None:
    on_two_ranks(save_next_in_batch, str(tmp_path))
    together = torch.cat([torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)])
    batch = torch.arange(12.0).view(6, 2)
    assert torch.equal(together, batch.roll(-1, 0))
    assert torch.equal(together, Batch.next_in_batch(batch))


def save_trace(method: str, changes: dict[str, object], folder: str) -> None:
    trace = first_steps(method, changes)
    if dist.get_rank() == 0:
        torch.save(trace, f"{folder}/trace.pt")


def two_ranks(method: str, changes: dict[str, object], folder: Path):
    on_two_ranks(save_trace, method, changes, str(folder))
    return torch.load(folder / "trace.pt")


@pytest.mark.parametrize(
    ("method", "changes", "tolerance"),
    [
        ("supervised", {"recipe__steps": 20, "recipe__precision": "float64"}, 1e-8),
        ("supervised", {"recipe__steps": 20}, 1e-4),
        ("supervised", {"recipe__steps": 10, "recipe__precision": "float64", "recipe__ohem": "ohem"}, 1e-8),
        ("supervised", {"recipe__steps": 6, "recipe__precision": "float64", "recipe__accumulate": 2}, 1e-8),
        (
            "supervised",
            {
                "recipe__steps": 8,
                "recipe__precision": "float64",
                "data__sampling": "class_uniform",
                "data__sampling__tile": 8,
            },
            1e-8,
        ),
        ("mean_teacher", {"recipe__steps": 5, "recipe__precision": "float64"}, 1e-8),
        ("cps", {"recipe__steps": 5, "recipe__precision": "float64", "method__cutmix": "boxes"}, 1e-8),
        (
            "cutmix_seg",
            {"recipe__steps": 5, "recipe__precision": "float64", "method__threshold": 0.2},
            1e-8,
        ),
        (
            "mkd",
            {
                "recipe__steps": 5,
                "recipe__precision": "float64",
                "method__threshold_teachers": 0.2,
                "method__fda": "fda",
                "method__fda_teachers": True,
            },
            1e-8,
        ),
        (
            "mkd",
            {
                "recipe__steps": 3,
                "recipe__precision": "float64",
                "method__threshold_teachers": 0.2,
                "method__fda": FDA(full=True, train_weight=True),
            },
            1e-8,
        ),
        (
            "cwd",
            {"recipe__steps": 3, "recipe__precision": "float64", "method__teachers": (small("supervised", seed=5),)},
            1e-8,
        ),
        (
            "mgd",
            {
                "recipe__steps": 3,
                "recipe__precision": "float64",
                "recipe__augment__scales": (0.5, 0.9),
                "method__teachers": (small("supervised", seed=5), small("supervised", seed=6)),
                "method__image_on": "both",
                "method__region_on": "both",
            },
            1e-8,
        ),
        (
            "mgd",
            {
                "recipe__steps": 3,
                "recipe__precision": "float64",
                "method__teachers": (small("supervised", seed=5),),
                "method__teacher_mode": "train",
                "method__image_reduction": "sum",
                "method__cutmix": "boxes",
            },
            1e-8,
        ),
        (
            "structured_consistency",
            {
                "recipe__steps": 3,
                "recipe__precision": "float64",
                "recipe__augment__scales": (0.5, 0.9),
                "recipe__accumulate": 2,
                "method__pairs": 8,
            },
            1e-8,
        ),
    ],
)
def test_two_ranks_agree_with_one(method: str, changes: dict[str, object], tolerance: float, tmp_path: Path) -> None:
    losses, weights = first_steps(method, changes)
    losses_of_two, weights_of_two = two_ranks(method, changes, tmp_path)
    torch.testing.assert_close(losses_of_two, losses, rtol=tolerance, atol=tolerance)
    for of_two, of_one in zip(weights_of_two, weights, strict=True):
        torch.testing.assert_close(of_two, of_one, rtol=tolerance, atol=tolerance)


def train_on(folder: str, fails: bool, stops: bool = False) -> None:
    calls = iter(range(100))
    if fails and dist.get_rank() == 1:
        break_third_step()
    experiment = small("supervised")
    store = LocalStore(Path(folder))
    train(
        resolve(experiment, Places()),
        store,
        places=Places(),
        runtime=QUIET,
        stop=lambda: stops and next(calls) >= 5,
        options=SessionOptions(print_line=lambda text: None),
    )


def break_third_step() -> None:
    """Make reading an image fail on this rank, at its third step."""
    from assay.training.loading import BatchPlan

    whole = BatchPlan.micro_batch

    def broken(self: BatchPlan, step: int, part: int):
        if step == 2:
            raise UserError("this rank's image cannot be read.")
        return whole(self, step, part)

    BatchPlan.micro_batch = broken  # type: ignore[method-assign]


def test_an_error_on_one_rank_ends_all_and_hangs_none(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Exception, match=r"cannot be read|Connection|closed|exited"):
        on_two_ranks(train_on, str(tmp_path), True)
    assert time.monotonic() - began < 60
    store = LocalStore(tmp_path)
    (key,) = store.keys()
    (failure,) = records.failures(store, key)
    assert failure["rank"] == 1 and "this rank's image cannot be read" in failure["error"]


def test_two_ranks_write_one_result_that_names_their_number(tmp_path: Path) -> None:
    on_two_ranks(train_on, str(tmp_path), False)
    store = LocalStore(tmp_path)
    (key,) = store.keys()
    result = records.read_json(store, key, records.RESULT)
    assert result["sessions"][0]["ranks"] == 2
    alone = LocalStore(tmp_path / "alone")
    other = train(resolve(small("supervised"), Places()), alone, places=Places(), runtime=QUIET)
    assert result["miou"] == pytest.approx(other["miou"], abs=0.02)


def test_one_rank_continues_a_training_of_two_and_log_result_and_summary_name_the_change(tmp_path: Path) -> None:
    on_two_ranks(train_on, str(tmp_path), False, True)
    store = LocalStore(tmp_path)
    (key,) = store.keys()
    assert records.state(store, key).name == "interrupted" and records.workers_before(store, key) == 2
    lines: list[str] = []
    resolved = resolve(small("supervised"), Places())
    result = train(resolved, store, places=Places(), runtime=QUIET, options=SessionOptions(print_line=lines.append))
    note = "begun with 2 workers, continues with 1: equal to rounding, recorded"
    assert f"note: {note}" in lines and result["notes"] == [note] and not result["same_bits"]
    assert [session["ranks"] for session in result["sessions"]] == [2, 1]
    assert "uninterrupted training: ranks: 2 → 1" in summary(resolved.document(), result)
    whole = train(resolved, LocalStore(tmp_path / "whole"), places=Places(), runtime=QUIET)
    assert result["miou"] == pytest.approx(whole["miou"], abs=0.02)


def test_a_batch_that_does_not_divide_over_the_ranks_is_refused() -> None:
    from assay.data.normalize import IMAGENET
    from assay.training.loading import BatchPlan

    experiment = small("supervised", recipe__labeled_batch=3)
    resolved = resolve(experiment, Places())
    with pytest.raises(UserError, match="labeled_batch must divide over 2 ranks"):
        BatchPlan.make(
            experiment.data.source,
            resolved.images,
            experiment.method.views(),
            experiment.recipe,
            places=Places(),
            normalization=IMAGENET,
            seed=0,
            world_size=2,
        )
