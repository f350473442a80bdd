"""What two ranks began goes on with two, whoever starts it again; where it cannot, the plan says so."""

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

CHOSEN = ["--rows", "Supervised", "--columns", "1/16(92)"]
KEPT = "begun with 2 workers, which are kept for the same numbers"


def experiment(seed: int = 0) -> Resolved:
    """What the chosen cell trains."""
    choice = Selection(rows=("Supervised",), columns=("1/16(92)",), seeds=(seed,))
    (cell,) = cells_of(tiny_study.STUDY, tiny_study.STUDY.profiles[0], choice)
    return resolve(cell.experiment, Places())


def train_on(folder: str, steps: int) -> None:
    """One of two ranks, which stop after so many steps as if they were killed."""
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
    """A folder of results in which two ranks were stopped half way."""
    out = tmp_path_factory.mktemp("begun")
    on_two_ranks(train_on, str(out / "store"), 15)
    key = experiment().key
    assert records.state(LocalStore(out / "store"), key).name == "interrupted"
    return out


@pytest.fixture
def begun(two: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(two, tmp_path / "out"))


def also_begun(out: Path, seed: int, ranks: int) -> str:
    """Leave what a training with so many ranks leaves, as far as its number of workers is concerned."""
    store, key = LocalStore(out / "store"), experiment(seed).key
    store.write(key, records.SESSIONS, json.dumps({"sessions": [{"from_step": 0, "ranks": ranks}]}).encode())
    return key


def planned(out: Path, capsys: pytest.CaptureFixture[str], *flags: str, seeds: tuple[str, ...] = ("0",)) -> str:
    assert run_study(tiny_study.STUDY, ["--plan", "--out", str(out), *CHOSEN, "--seeds", *seeds, *flags]) == 0
    return capsys.readouterr().out


@pytest.mark.long
def test_started_again_without_flags_it_ends_with_the_bits_of_two_uninterrupted_ranks(
    begun: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bits that agree with one process to rounding."""
    on_two_ranks(train_on, str(tmp_path / "whole"), 1000)
    assert run_study(tiny_study.STUDY, ["--out", str(begun), *CHOSEN, "--seeds", "0"]) == 0
    assert KEPT in capsys.readouterr().out
    key = experiment().key
    result, two, one = (
        records.read_json(LocalStore(each), key, records.RESULT) or {}
        for each in (begun / "store", tmp_path / "whole", whole / "store")
    )
    assert [each["ranks"] for each in result["sessions"]] == [2, 2] and result["same_bits"]
    assert (result["miou"], result["weights_sha256"]) == (two["miou"], two["weights_sha256"])
    assert result["miou"] == pytest.approx(one["miou"], abs=0.005)


@pytest.mark.parametrize("flags", [(), ("--gangs", "1"), ("--workers", "2")])
def test_where_nobody_says_otherwise_gangs_have_as_many_workers_as_it_was_begun_with(
    flags: tuple[str, ...], begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = planned(begun, capsys, *flags)
    assert "runs in 1 gang of 2 workers on this machine" in said and "continues with" not in said
    assert (KEPT in said) == (flags != ("--workers", "2")), "what was asked for needs no reason"


@pytest.mark.parametrize("flags", [("--gangs", "1", "--workers", "1"), ("--gangs", "0")])
def test_another_number_that_is_asked_for_is_taken_and_said(
    flags: tuple[str, ...], begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = planned(begun, capsys, *flags)
    assert "begun with 2 workers, continues with 1: equal to rounding, recorded" in said and KEPT not in said


def test_what_was_begun_with_different_numbers_cannot_keep_both(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalStore(begun / "store")
    checkpoints.save(store, also_begun(begun, 1, 3), b"", step=10)
    said = planned(begun, capsys, "--gangs", "1", seeds=("0", "1"))
    assert "begun with 2 and 3 workers, which one run cannot both keep: goes on with 1" in said
    assert "runs in 1 gang of 1 worker on" in said and said.count("continues with 1") == 2


def test_what_has_a_checkpoint_decides_over_what_has_none(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    also_begun(begun, 1, 3)
    assert "runs in 1 gang of 2 workers" in planned(begun, capsys, seeds=("0", "1"))


def test_an_attempt_that_came_to_no_checkpoint_is_made_again_with_as_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    also_begun(tmp_path, 0, 2)
    assert "runs in 1 gang of 2 workers" in planned(tmp_path, capsys)


def test_more_workers_than_there_is_room_for_are_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints.save(LocalStore(tmp_path / "store"), also_begun(tmp_path, 0, 999), b"", step=10)
    said = planned(tmp_path, capsys)
    assert "begun with 999 workers, for which there is no room: goes on with 1" in said
    assert "begun with 999 workers, continues with 1" in said


def test_failed_ones_that_are_tried_again_count_and_forgotten_ones_do_not(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "2 workers" not in planned(begun, capsys, "--force-row", "Supervised")
    records.add_failure(LocalStore(begun / "store"), experiment().key, {"error": "NotFinite: so"}, final=True)
    assert "runs in 1 gang of 2 workers" in planned(begun, capsys, "--retry-failed")
