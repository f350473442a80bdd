"""Interrupted anywhere and continued, a training ends with the same bits and the same lines."""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from pathlib import Path

import pytest
import torch
from forks import start_fork
from helpers import QUIET, small

from assay.errors import UserError
from assay.experiment import Experiment, Runtime
from assay.places import Places
from assay.resolve import resolve
from assay.store import checkpoints, records
from assay.store.claims import acquire
from assay.store.local import LocalStore
from assay.training import environment
from assay.training.result import WEIGHTS
from assay.training.session import SessionOptions, train

METHODS = ["supervised", "mean_teacher", "cps"]


def run(experiment: Experiment, store: LocalStore, *, stop_at: int | None = None, runtime: Runtime = QUIET):
    """Train, or stop after `stop_at` calls of `stop` (one a step)."""
    calls = iter(range(1, 10_000))
    stop = (lambda: next(calls) >= stop_at) if stop_at else (lambda: False)
    resolved = resolve(experiment, Places())
    lines: list[str] = []
    result = train(
        resolved, store, places=Places(), runtime=runtime, stop=stop, options=SessionOptions(print_line=lines.append)
    )
    return resolved.key, result, lines


def numbers(store: LocalStore, key: str) -> list[dict[str, object]]:
    """Return all lines, without the values that depend on the clock."""
    return [
        {name: value for name, value in line.items() if not name.startswith("time/")}
        for line in records.read_metrics(store, key)
    ]


def assert_same_end(one: LocalStore, other: LocalStore, key: str) -> None:
    assert one.read(key, WEIGHTS) == other.read(key, WEIGHTS)
    assert numbers(one, key) == numbers(other, key)
    first, second = (records.read_json(store, key, records.RESULT) for store in (one, other))
    for name in ("miou", "miou_best", "step_best", "iou", "networks"):
        assert first[name] == second[name]


@pytest.mark.parametrize("method", METHODS)
def test_stopped_at_many_points_it_ends_as_if_never_stopped(method: str, tmp_path: Path) -> None:
    experiment = small(method)
    whole, parts = LocalStore(tmp_path / "whole"), LocalStore(tmp_path / "parts")
    key, _, _ = run(experiment, whole)
    for stop_at in (1, 3, 2):
        _, result, _ = run(experiment, parts, stop_at=stop_at)
        assert result is None
        assert records.state(parts, key).name == "interrupted"
    _, result, _ = run(experiment, parts)
    assert result is not None and result["same_bits"]
    assert_same_end(whole, parts, key)


def test_any_number_of_loader_processes_gives_the_same_numbers(tmp_path: Path) -> None:
    experiment = small("cps", method__cutmix="boxes")
    one, other = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "other")
    key, _, _ = run(experiment, one)
    run(experiment, other, runtime=QUIET.replace(loader_workers=2))
    assert_same_end(one, other, key)


def test_after_a_damaged_checkpoint_the_one_before_is_used_and_a_note_is_printed(tmp_path: Path) -> None:
    experiment = small("mean_teacher")
    whole, parts = LocalStore(tmp_path / "whole"), LocalStore(tmp_path / "parts")
    key, _, _ = run(experiment, whole)
    run(experiment, parts, stop_at=9)
    newest = max(name for name in parts.names(key) if name.startswith("checkpoint"))
    path = Path(parts.place(key)) / newest
    path.write_bytes(path.read_bytes()[:-100])
    _, _, lines = run(experiment, parts)
    assert any("is not used" in line for line in lines)
    assert_same_end(whole, parts, key)


def test_continuing_under_other_conditions_is_recorded_and_loses_the_mark(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    run(small(), store, stop_at=5)
    _, result, _ = run(small(), store, runtime=QUIET.replace(threads=2))
    torch.set_num_threads(1)
    assert result["same_bits"] is False
    assert result["sessions"][-1]["changed"] == ["threads: 1 → 2"]


@pytest.mark.parametrize("name", ["python", "torch", "numpy"])
def test_continuing_under_another_version_is_printed_and_loses_the_mark(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    run(small(), store, stop_at=5)
    here = environment.describe
    monkeypatch.setattr(environment, "describe", lambda *arguments: here(*arguments) | {name: "9.9"})
    _, result, lines = run(small(), store)
    assert result["same_bits"] is False
    assert any(f"continued under other conditions: {name}: " in line and "→ 9.9" in line for line in lines)


def test_a_finished_experiment_is_read_and_not_trained(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    key, first, _ = run(small(), store)
    before = {path: path.stat().st_mtime_ns for path in Path(store.place(key)).iterdir()}
    _, again, _ = run(small(), store)
    assert again == records.read_json(store, key, records.RESULT)
    assert again["miou"] == first["miou"]
    assert {path: path.stat().st_mtime_ns for path in Path(store.place(key)).iterdir()} == before


def train_in(experiment: Experiment, folder: Path) -> None:
    train(resolve(experiment, Places()), LocalStore(folder), places=Places(), runtime=QUIET)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_it_ends_with_the_same_bits(seed: int, tmp_path: Path) -> None:
    """Kill it with -9 at a random moment, a few times, and then train to the end."""
    experiment = small("mean_teacher", recipe__steps=40)
    whole, killed = LocalStore(tmp_path / "whole"), LocalStore(tmp_path / "killed")
    key, _, _ = run(experiment, whole)
    draw = torch.Generator().manual_seed(seed)
    kills = 0
    while kills < 2:
        before = checkpoints.steps(killed.names(key))
        process = start_fork(train_in, experiment, killed.root)
        # Training has begun once a checkpoint is there that was not; then anything may be going on.
        while process.is_alive() and checkpoints.steps(killed.names(key)) == before:
            time.sleep(0.005)
        time.sleep(0.1 * torch.rand((), generator=draw).item())
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += process.exitcode == -signal.SIGKILL
        if records.read_json(killed, key, records.RESULT) is not None:
            break
    assert kills, "it was never killed: the test shows nothing"
    run(experiment, killed)
    assert_same_end(whole, killed, key)


def claim_of_another_machine(store: LocalStore, key: str) -> None:
    """Leave a claim behind as a process of a machine that was switched off does."""
    with acquire(store, key):
        (name,) = (name for name in store.names(key) if name.startswith("claim-"))
        document = json.loads(store.read(key, name))
    document["released"] = False
    document["owner"] |= {"host": "another-machine", "system": "another-kernel"}
    store.write(key, name, json.dumps(document).encode())


def test_a_claim_of_a_machine_that_is_gone_is_taken_over_after_it_stood_still(tmp_path: Path) -> None:
    store, lines = LocalStore(tmp_path), []
    resolved = resolve(small(), Places())
    claim_of_another_machine(store, resolved.key)
    options = SessionOptions(print_line=lines.append, patience=5.0, stale_after=0.3)
    assert train(resolved, store, places=Places(), runtime=QUIET, options=options) is not None
    assert any("another-machine" in text and "waiting" in text for text in lines)


def test_a_users_mistake_in_the_first_session_leaves_nothing_and_later_ones_keep_what_was_done(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    resolved = resolve(small(), Places())

    def mistake() -> bool:
        raise UserError("this image cannot be read.")

    with pytest.raises(UserError, match="cannot be read"):
        train(resolved, store, places=Places(), runtime=QUIET, stop=mistake)
    assert store.keys() == []
    run(small(), store, stop_at=5)
    with pytest.raises(UserError, match="cannot be read"):
        train(resolved, store, places=Places(), runtime=QUIET, stop=mistake)
    assert records.state(store, resolved.key).name == "interrupted"
    kept = SessionOptions(record_user_errors=True)
    with pytest.raises(UserError, match="cannot be read"):
        train(resolved, store, places=Places(), runtime=QUIET, stop=mistake, options=kept)
    assert records.state(store, resolved.key).name == "failed"


def test_a_mistake_that_shows_late_in_the_first_session_costs_no_checkpoint(tmp_path: Path) -> None:
    """A broken validation image, for example, is read for the first time at the first evaluation."""
    store = LocalStore(tmp_path)
    resolved = resolve(small(), Places())

    def mistake() -> bool:
        if checkpoints.steps(store.names(resolved.key)):
            raise UserError("this image cannot be read.")
        return False

    with pytest.raises(UserError, match="cannot be read"):
        train(resolved, store, places=Places(), runtime=QUIET, stop=mistake)
    reached = checkpoints.load(store, resolved.key).step
    assert reached > 0 and records.state(store, resolved.key).name == "interrupted"
    run(small(), store)
    assert [attempt["from_step"] for attempt in records.attempts(store, resolved.key)] == [0, reached]


def test_every_attempt_is_written_down_before_it_trains(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    key, _, _ = run(small(), store, stop_at=5)
    reached = checkpoints.load(store, key).step
    run(small(), store)
    assert reached and [attempt["from_step"] for attempt in records.attempts(store, key)] == [0, reached]


def test_the_state_of_a_training_is_plain_data(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    key, _, _ = run(small("cps"), store, stop_at=2)
    payload = checkpoints.load(store, key).payload
    import io

    state = torch.load(io.BytesIO(payload), weights_only=True)
    assert set(state) == {"nets", "optimizer", "journal", "step"}
    assert dataclasses.is_dataclass(records.state(store, key))
