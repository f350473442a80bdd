"""A training that began on two ranks continues on two; where it cannot, the plan shows that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_study
from forks import on_two_ranks

from assay.experiment import Runtime
from assay.places import Places
from assay.resolve import Resolved, resolve
from assay.run import run_study
from assay.store import checkpoints, records
from assay.store.local import LocalStore
from assay.study.cells import Selection, cells_of
from assay.training.session import SessionOptions, train

CELL = ["--rows", "Supervised", "--columns", "1/16(92)"]
KEPT = "begun with 2 workers, which are kept for the same numbers"


def experiment(seed: int = 0) -> Resolved:
    """Return the experiment of the chosen cell."""
    selection = Selection(rows=("Supervised",), columns=("1/16(92)",), seeds=(seed,))
    (cell,) = cells_of(tiny_study.STUDY, tiny_study.STUDY.profiles[0], selection)
    return resolve(cell.experiment, Places())


def train_on(folder: str, steps: int) -> None:
    """Train as one of two ranks, which stop after so many steps as if they were killed."""
    calls = iter(range(1000))
    train(
        experiment(),
        LocalStore(Path(folder)),
        places=Places(),
        runtime=Runtime(progress="none", checkpoint_every=10, log_every=5, device="cpu"),
        stop=lambda: next(calls) >= steps,
        options=SessionOptions(print_line=lambda text: None),
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results with a training that two ranks began and did not finish."""
    out = tmp_path_factory.mktemp("begun")
    on_two_ranks(train_on, str(out / "store"), 15)
    key = experiment().key
    assert records.state(LocalStore(out / "store"), key).name == "interrupted"
    return out


@pytest.fixture
def begun(two: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder `two`."""
    return Path(shutil.copytree(two, tmp_path / "out"))


def also_begun(out: Path, seed: int, ranks: int) -> str:
    """Write the record of a session with so many ranks; return the key of its experiment."""
    store, key = LocalStore(out / "store"), experiment(seed).key
    store.write(key, records.SESSIONS, json.dumps({"sessions": [{"from_step": 0, "ranks": ranks}]}).encode())
    return key


def plan_text(out: Path, capsys: pytest.CaptureFixture[str], *flags: str, seeds: tuple[str, ...] = ("0",)) -> str:
    assert run_study(tiny_study.STUDY, ["--plan", "--out", str(out), *CELL, "--seeds", *seeds, *flags]) == 0
    return capsys.readouterr().out


@pytest.mark.long
def test_a_training_continued_without_flags_has_the_bits_of_two_uninterrupted_ranks(
    begun: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They equal the results of one process to rounding."""
    on_two_ranks(train_on, str(tmp_path / "whole"), 1000)
    assert run_study(tiny_study.STUDY, ["--out", str(begun), *CELL, "--seeds", "0"]) == 0
    assert KEPT in capsys.readouterr().out
    key = experiment().key
    result, two_ranks, one_process = (
        records.read_json(LocalStore(each), key, records.RESULT) or {}
        for each in (begun / "store", tmp_path / "whole", whole / "store")
    )
    assert [each["ranks"] for each in result["sessions"]] == [2, 2] and result["same_bits"]
    assert (result["miou"], result["weights_sha256"]) == (two_ranks["miou"], two_ranks["weights_sha256"])
    assert result["miou"] == pytest.approx(one_process["miou"], abs=0.005)


@pytest.mark.parametrize("flags", [(), ("--gangs", "1"), ("--workers", "2")])
def test_gangs_have_as_many_workers_as_the_training_began_with_unless_flags_choose_another_number(
    flags: tuple[str, ...], begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_text(begun, capsys, *flags)
    assert "runs in 1 gang of 2 workers on this machine" in plan and "continues with" not in plan
    assert (KEPT in plan) == (flags != ("--workers", "2")), "a number that a flag chose needs no reason"


@pytest.mark.parametrize("flags", [("--gangs", "1", "--workers", "1"), ("--gangs", "0")])
def test_a_flags_number_of_workers_is_used_and_the_plan_shows_the_change(
    flags: tuple[str, ...], begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_text(begun, capsys, *flags)
    assert "begun with 2 workers, continues with 1: equal to rounding, recorded" in plan and KEPT not in plan


def test_trainings_that_began_with_different_numbers_continue_with_one_worker(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalStore(begun / "store")
    checkpoints.save(store, also_begun(begun, 1, 3), b"", step=10)
    plan = plan_text(begun, capsys, "--gangs", "1", seeds=("0", "1"))
    assert "begun with 2 and 3 workers, which one run cannot both keep: goes on with 1" in plan
    assert "runs in 1 gang of 1 worker on" in plan and plan.count("continues with 1") == 2


def test_trainings_with_a_checkpoint_decide_over_those_without(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    also_begun(begun, 1, 3)
    assert "runs in 1 gang of 2 workers" in plan_text(begun, capsys, seeds=("0", "1"))


def test_an_attempt_that_left_no_checkpoint_starts_again_with_as_many_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    also_begun(tmp_path, 0, 2)
    assert "runs in 1 gang of 2 workers" in plan_text(tmp_path, capsys)


def test_more_workers_than_fit_are_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints.save(LocalStore(tmp_path / "store"), also_begun(tmp_path, 0, 999), b"", step=10)
    plan = plan_text(tmp_path, capsys)
    assert "begun with 999 workers, for which there is no room: goes on with 1" in plan
    assert "begun with 999 workers, continues with 1" in plan


def test_failed_trainings_that_are_tried_again_count_and_forgotten_ones_do_not(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "2 workers" not in plan_text(begun, capsys, "--force-row", "Supervised")
    records.add_failure(LocalStore(begun / "store"), experiment().key, {"error": "NotFinite: so"}, final=True)
    assert "runs in 1 gang of 2 workers" in plan_text(begun, capsys, "--retry-failed")
