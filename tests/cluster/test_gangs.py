"""Studies in gangs, as users run them: equal bits, shared work, and failures that affect nothing else."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import tiny_gang
import tiny_study
from study_runs import command, environment, results, started, wait_until_nothing_is_left

from assay.run import run_study
from assay.store.local import LocalStore
from assay.training.result import WEIGHTS


@pytest.mark.long
def test_a_gang_and_another_process_share_the_work_and_have_the_bits_of_one_process(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with started(tmp_path, "--gangs", "1") as driver:
        while driver.poll() is None and not list(tmp_path.glob("store/*/attempts.jsonl")):
            time.sleep(0.05)
        assert run_study(tiny_study.STUDY, ["--gangs", "0", "--out", str(tmp_path)]) == 0
        outputs = [driver.communicate(timeout=200)[0], capsys.readouterr().out]
    assert driver.returncode == 0, outputs[0]
    attempts = [path.read_text().splitlines() for path in tmp_path.glob("store/*/attempts.jsonl")]
    assert [len(lines) for lines in attempts] == [1] * 9, "nothing was trained twice"
    runs = {json.loads(lines[0])["run"] for lines in attempts}
    assert len(runs) == 2, "both processes trained some of them"
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    tables = [output[output.rindex("mkd.table1") : output.rindex("report: ")] for output in outputs]
    assert tables[0] == tables[1] and "8 done" in tables[0]
    wait_until_nothing_is_left(str(tmp_path))
    assert run_study(tiny_study.STUDY, ["--gangs", "2", "--out", str(tmp_path)]) == 0
    again = capsys.readouterr().out
    assert "9 done" in again and "gangs of 1 worker on" not in again, "nothing is left to train: Ray is not started"


@pytest.mark.long
def test_the_twentieth_training_of_a_gang_has_the_bits_of_a_single_one_and_failures_affect_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors are in the table, students of failed teachers are blocked, all others are done, and the exit code is 1."""
    assert run_study(tiny_gang.STUDY, ["--gangs", "1", "--out", str(tmp_path / "gang")]) == 1
    output = capsys.readouterr().out
    frame = pd.read_parquet(tmp_path / "gang" / "tiny_gang" / "quick" / "results.parquet")
    frame = frame[frame["status"] != "quoted"]
    assert set(frame.query("row == 'Broken'")["status"]) == {"failed"}
    assert frame.query("row == 'Broken'")["error"].str.contains("NotFinite").all()
    assert set(frame.query("row == 'Student of the broken'")["status"]) == {"blocked"}
    assert frame["status"].value_counts().to_dict() == {"done": 18, "failed": 2, "blocked": 2} and "failed" in output
    attempts = [
        json.loads(line)
        for path in tmp_path.glob("gang/store/*/attempts.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sum("from_step" in each for each in attempts) == 20, "an error that would come again is not tried again"
    last = frame.query("status == 'done'").sort_values("started").iloc[-1]
    chosen = ["--rows", last["row"], "--seeds", str(last["seed"])]
    assert run_study(tiny_gang.STUDY, ["--gangs", "0", "--out", str(tmp_path / "alone"), *chosen]) == 0
    gang, alone = LocalStore(tmp_path / "gang" / "store"), LocalStore(tmp_path / "alone" / "store")
    assert gang.read(last["key"], WEIGHTS) == alone.read(last["key"], WEIGHTS)
    assert _numbers(gang, last["key"]) == _numbers(alone, last["key"])


def _numbers(store: LocalStore, key: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in store.read(key, "metrics.jsonl").splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


@pytest.mark.long
def test_gangs_that_can_never_fit_are_refused_with_the_resource_and_the_flag(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "--gangs", "1", "--workers", "999"),
        env=environment(str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2 and "999 CPU" in done.stderr and "--workers" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_store_that_cannot_be_written_ends_the_run_and_fails_no_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_TEST_MARK", str(tmp_path))  # inherited by all processes that this one starts
    flags = ["--gangs", "1", "--rows", "Supervised", "CPS", "--out", str(tmp_path)]
    assert run_study(tiny_study.STUDY, [*flags, "--plan"]) == 0
    planned = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "steps" in line]
    assert len(planned) == 4
    (tmp_path / "store").mkdir(parents=True)
    obstacle = tmp_path / "store" / planned[1]
    obstacle.write_text("a file where a folder must be")
    assert run_study(tiny_study.STUDY, flags) == 1
    errors = capsys.readouterr().err
    assert "a file stands where a folder must be" in errors and "Traceback" not in errors, errors
    obstacle.unlink()
    states = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").set_index("key")["status"]
    assert states[planned[0]] == "done" and set(states[planned[1:]]) == {"waiting"}
    wait_until_nothing_is_left(str(tmp_path))
