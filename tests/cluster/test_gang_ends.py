"""Gangs that are killed and stopped, with real signals: the tables stay those of an uninterrupted run."""

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
def test_killed_at_random_moments_the_tables_are_those_of_an_uninterrupted_run(
    whole: Path, seed: int, tmp_path: Path
) -> None:
    """kill -9 of a worker, the dispatcher and the driver of one run, and of all of Ray in another; a last one, whose
    dispatcher is killed too, goes on to the end by itself.
    """
    draw = random.Random(seed)
    within = draw.sample(["worker", "dispatcher"], 2)
    reached: list[dict[str, tuple[int, int]]] = []
    for victims in draw.sample([(*within, "driver"), ("ray",)], 2):
        _run_and_kill(tmp_path, victims, draw, reached)
        wait_until_nothing_is_left(str(tmp_path), seconds=100)
    said = _to_the_end_without_its_dispatcher(tmp_path)
    assert "Traceback" not in said, said
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    wait_until_nothing_is_left(str(tmp_path))
    begun = _begun(tmp_path)
    for moment in reached:
        for key, (attempts, step) in moment.items():
            for from_step in begun[key][attempts : attempts + 1]:
                assert from_step >= step - CHECKPOINT_EVERY, f"{key} went on from {from_step} and had reached {step}"


def _to_the_end_without_its_dispatcher(out: Path) -> str:
    """What a run says that is left alone but for its dispatcher, which another one replaces."""
    known = _number_begun(out)
    with started(out, "--gangs", "1") as driver:
        _wait(lambda: driver.poll() is not None or _number_begun(out) > known)
        (dispatcher,) = _victims("dispatcher", str(out), driver.pid)
        os.kill(dispatcher, signal.SIGKILL)
        said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0, said
    return said


def _run_and_kill(
    out: Path, victims: tuple[str, ...], draw: random.Random, reached: list[dict[str, tuple[int, int]]]
) -> None:
    """Kill one after the other, each a moment after something new was begun; ends when the run has."""
    with subprocess.Popen(
        command(out, "--gangs", "1"), env=environment(str(out)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as driver:
        for victim in victims:
            known = _number_begun(out)
            _wait(lambda known=known: driver.poll() is not None or _number_begun(out) > known)  # type: ignore[misc]
            time.sleep(draw.uniform(0.0, 1.0))
            for pid in _victims(victim, str(out), driver.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            reached.append({key: (len(steps), _step(out, key)) for key, steps in _begun(out).items()})
        driver.communicate(timeout=120)


def _wait(there: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _begun(out: Path) -> dict[str, list[int]]:
    """The steps that the attempts at each experiment began with."""
    found = {}
    for path in out.glob("store/*/attempts.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [line["from_step"] for line in lines if "from_step" in line]
    return found


def _number_begun(out: Path) -> int:
    return sum(map(len, _begun(out).values()))


def _step(out: Path, key: str) -> int:
    """How far an experiment is, as its last whole line says."""
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


def _lines(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in out.glob("store/*/metrics.jsonl"))


@pytest.mark.long
def test_a_run_goes_on_without_its_dispatcher_and_the_first_ctrl_c_stops_it_with_checkpoints(tmp_path: Path) -> None:
    with started(tmp_path, "--gangs", "1", *ENDLESS) as driver:
        _wait(lambda: driver.poll() is not None or _lines(tmp_path) > 0)
        (dispatcher,) = _victims("dispatcher", str(tmp_path), driver.pid)
        os.kill(dispatcher, signal.SIGKILL)
        time.sleep(3)  # until another one is there
        before = _lines(tmp_path)
        _wait(lambda: driver.poll() is not None or _lines(tmp_path) > before)
        os.killpg(driver.pid, signal.SIGINT)  # to the whole process group, as a terminal sends it
        said, _ = driver.communicate(timeout=90)
    assert driver.returncode == 130, said
    assert "The same command continues" in said and "Traceback" not in said
    assert list(tmp_path.glob("store/*/checkpoint-*.pt"))
    assert list(_begun(tmp_path).values()) == [[0]], "what was being trained went on, and nothing was begun twice"
    wait_until_nothing_is_left(str(tmp_path))


@pytest.mark.long
def test_the_second_signal_ends_at_once_and_the_store_goes_on(tmp_path: Path) -> None:
    """The first one as `timeout` and batch systems send it, the second one as a person does."""
    flags = ["--rows", "Supervised", "--seeds", "0"]
    flags += ["--set", "recipe.steps=400", "--set", "recipe.evaluation.every=200"]
    with started(tmp_path, "--gangs", "1", *flags) as driver:
        _wait(lambda: driver.poll() is not None or bool(list(tmp_path.glob("store/*/checkpoint-*.pt"))))
        os.killpg(driver.pid, signal.SIGTERM)
        time.sleep(0.1)  # two signals in one moment are one
        driver.send_signal(signal.SIGINT)
        began = time.monotonic()
        said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130 and time.monotonic() - began < 10, said
    assert "once more stops at once" in said and "The same command continues" not in said and "Traceback" not in said
    wait_until_nothing_is_left(str(tmp_path))
    assert run_study(tiny_study.STUDY, ["--out", str(tmp_path), "--gangs", "0", *flags]) == 0
    (begun,) = _begun(tmp_path).values()
    assert len(begun) == 2 and begun[0] == 0 < begun[1], "it went on from a checkpoint"
