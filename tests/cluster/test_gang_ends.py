"""Gangs that are killed and stopped with real signals: the tables equal those of an uninterrupted run."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import tiny_study
from study_runs import (
    command,
    environment,
    processes_of,
    results,
    started,
    wait_until_nothing_is_left,
)

from assay.run import run_study

CHECKPOINT_EVERY = 10  # steps, in the tiny study
ENDLESS = ("--rows", "Supervised", "--set", "recipe.steps=100000")


@pytest.mark.parametrize("seed", range(int(os.environ.get("ASSAY_KILL_SEEDS", "1"))))  # more for a long night
def test_the_tables_of_a_run_killed_at_random_moments_equal_those_of_an_uninterrupted_run(
    whole: Path, seed: int, tmp_path: Path
) -> None:
    """kill -9 ends a worker, the dispatcher and the driver of one run, and all of Ray in another; the last run, whose
    dispatcher is killed as well, reaches the end by itself.
    """
    draw = random.Random(seed)
    within = draw.sample(["worker", "dispatcher"], 2)
    reached: list[dict[str, tuple[int, int]]] = []
    for victims in draw.sample([(*within, "driver"), ("ray",)], 2):
        _run_and_kill(tmp_path, victims, draw, reached)
        wait_until_nothing_is_left(str(tmp_path), seconds=100)
    output = _finish_after_killing_the_dispatcher(tmp_path)
    assert "Traceback" not in output, output
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    wait_until_nothing_is_left(str(tmp_path))
    first_steps = _first_steps(tmp_path)
    for moment in reached:
        for key, (attempts, step) in moment.items():
            for from_step in first_steps[key][attempts : attempts + 1]:
                assert from_step >= step - CHECKPOINT_EVERY, f"{key} went on from {from_step} and had reached {step}"


def _finish_after_killing_the_dispatcher(out: Path) -> str:
    """Run to the end, kill nothing but the dispatcher, and return the output."""
    before = _attempts(out)
    with started(out, "--gangs", "1") as driver:
        _wait(lambda: driver.poll() is not None or _attempts(out) > before)
        (dispatcher,) = _victims("dispatcher", str(out), driver.pid)
        os.kill(dispatcher, signal.SIGKILL)
        output, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, output
    return output


def _run_and_kill(
    out: Path, victims: tuple[str, ...], draw: random.Random, reached: list[dict[str, tuple[int, int]]]
) -> None:
    """Kill the victims in turn, each a moment after a new attempt began; return when the run has ended."""
    with subprocess.Popen(
        command(out, "--gangs", "1"), env=environment(str(out)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as driver:
        for victim in victims:
            before = _attempts(out)
            _wait(lambda before=before: driver.poll() is not None or _attempts(out) > before)  # type: ignore[misc]
            time.sleep(draw.uniform(0.0, 0.25))  # about a training's time; the last run needs some that are left
            for pid in _victims(victim, str(out), driver.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            reached.append({key: (len(steps), _step(out, key)) for key, steps in _first_steps(out).items()})
        driver.communicate(timeout=120)


def _wait(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _first_steps(out: Path) -> dict[str, list[int]]:
    """Return the steps at which the attempts at each experiment began, by key."""
    first_steps = {}
    for path in out.glob("store/*/attempts.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        first_steps[path.parent.name] = [line["from_step"] for line in lines if "from_step" in line]
    return first_steps


def _attempts(out: Path) -> int:
    return sum(map(len, _first_steps(out).values()))


def _step(out: Path, key: str) -> int:
    """Return the step in the last complete line of an experiment's metrics."""
    try:
        lines = (out / "store" / key / "metrics.jsonl").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return 0
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _victims(victim: str, mark: str, driver: int) -> list[int]:
    if victim == "driver":
        return [driver]
    name = {"worker": "RayTrainWorker", "dispatcher": "ray::Dispatcher", "ray": ""}[victim]
    return [pid for pid, line in processes_of(mark).items() if name in line and pid != driver]


def _metrics_lines(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in out.glob("store/*/metrics.jsonl"))


@pytest.mark.long
def test_a_run_survives_its_dispatcher_and_the_first_ctrl_c_stops_it_with_checkpoints(tmp_path: Path) -> None:
    with started(tmp_path, "--gangs", "1", *ENDLESS) as driver:
        _wait(lambda: driver.poll() is not None or _metrics_lines(tmp_path) > 0)
        (dispatcher,) = _victims("dispatcher", str(tmp_path), driver.pid)
        os.kill(dispatcher, signal.SIGKILL)
        time.sleep(3)  # until another dispatcher is there
        before = _metrics_lines(tmp_path)
        _wait(lambda: driver.poll() is not None or _metrics_lines(tmp_path) > before)
        os.killpg(driver.pid, signal.SIGINT)  # to the whole process group, as a terminal sends it
        output, _ = driver.communicate(timeout=90)
    assert driver.returncode == 130, output
    assert "The same command continues" in output and "Traceback" not in output
    assert list(tmp_path.glob("store/*/checkpoint-*.pt"))
    assert list(_first_steps(tmp_path).values()) == [[0]], "the training went on, and nothing began twice"
    wait_until_nothing_is_left(str(tmp_path))


@pytest.mark.long
def test_the_second_signal_ends_the_run_at_once_and_the_next_run_continues(tmp_path: Path) -> None:
    """The first signal is that of `timeout` and batch systems, the second that of a person."""
    flags = ["--rows", "Supervised", "--seeds", "0"]
    flags += ["--set", "recipe.steps=400", "--set", "recipe.evaluation.every=200"]
    with started(tmp_path, "--gangs", "1", *flags) as driver:
        _wait(lambda: driver.poll() is not None or bool(list(tmp_path.glob("store/*/checkpoint-*.pt"))))
        os.killpg(driver.pid, signal.SIGTERM)
        time.sleep(0.1)  # two signals at the same moment count as one
        driver.send_signal(signal.SIGINT)
        began = time.monotonic()
        output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130 and time.monotonic() - began < 10, output
    assert "once more stops at once" in output and "The same command continues" not in output
    assert "Traceback" not in output
    wait_until_nothing_is_left(str(tmp_path))
    assert run_study(tiny_study.STUDY, ["--out", str(tmp_path), "--gangs", "0", *flags]) == 0
    (first_steps,) = _first_steps(tmp_path).values()
    assert len(first_steps) == 2 and first_steps[0] == 0 < first_steps[1], "it continued from a checkpoint"
