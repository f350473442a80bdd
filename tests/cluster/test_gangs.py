"""Studies in gangs, as users run them: the bits of one process, work that is shared, failures that stay alone."""

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
def test_a_gang_shares_the_work_with_another_process_and_gives_the_bits_of_one_alone(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with started(tmp_path, "--gangs", "1") as driver:
        while driver.poll() is None and not list(tmp_path.glob("store/*/attempts.jsonl")):
            time.sleep(0.05)
        assert run_study(tiny_study.STUDY, ["--gangs", "0", "--out", str(tmp_path)]) == 0
        said = [driver.communicate(timeout=200)[0], capsys.readouterr().out]
    assert driver.returncode == 0, said[0]
    attempts = [path.read_text().splitlines() for path in tmp_path.glob("store/*/attempts.jsonl")]
    assert [len(lines) for lines in attempts] == [1] * 9, "nothing was trained twice"
    runs = {json.loads(lines[0])["run"] for lines in attempts}
    assert len(runs) == 2, "both had a part in it"
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    tables = [each[each.rindex("mkd.table1") : each.rindex("report: ")] for each in said]
    assert tables[0] == tables[1] and "8 done" in tables[0]
    wait_until_nothing_is_left(str(tmp_path))
    assert run_study(tiny_study.STUDY, ["--gangs", "2", "--out", str(tmp_path)]) == 0
    again = capsys.readouterr().out
    assert "9 done" in again and "gangs of 1 worker on" not in again, "nothing is left to train: Ray is not started"


@pytest.mark.long
def test_the_twentieth_in_a_gang_gives_the_bits_of_one_alone_and_failures_stay_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors are in the table, what needs a failed one is blocked, the rest is done, and the exit code tells."""
    assert run_study(tiny_gang.STUDY, ["--gangs", "1", "--out", str(tmp_path / "gang")]) == 1
    said = capsys.readouterr().out
    frame = pd.read_parquet(tmp_path / "gang" / "tiny_gang" / "quick" / "results.parquet")
    frame = frame[frame["status"] != "quoted"]
    assert set(frame.query("row == 'Broken'")["status"]) == {"failed"}
    assert frame.query("row == 'Broken'")["error"].str.contains("NotFinite").all()
    assert set(frame.query("row == 'Student of the broken'")["status"]) == {"blocked"}
    assert frame["status"].value_counts().to_dict() == {"done": 18, "failed": 2, "blocked": 2} and "failed" in said
    attempts = [
        json.loads(line)
        for path in tmp_path.glob("gang/store/*/attempts.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sum("from_step" in each for each in attempts) == 20, "what cannot get better is not tried again"
    last = frame.query("status == 'done'").sort_values("started").iloc[-1]
    chosen = ["--rows", last["row"], "--seeds", str(last["seed"])]
    assert run_study(tiny_gang.STUDY, ["--gangs", "0", "--out", str(tmp_path / "alone"), *chosen]) == 0
    mine, theirs = LocalStore(tmp_path / "gang" / "store"), LocalStore(tmp_path / "alone" / "store")
    assert mine.read(last["key"], WEIGHTS) == theirs.read(last["key"], WEIGHTS)
    assert _numbers(mine, last["key"]) == _numbers(theirs, last["key"])


def _numbers(store: LocalStore, key: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in store.read(key, "metrics.jsonl").splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


@pytest.mark.long
def test_what_can_never_fit_is_refused_by_name(tmp_path: Path) -> None:
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
def test_a_store_that_cannot_be_written_ends_the_run_and_fails_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_TEST_MARK", str(tmp_path))  # of what this process starts
    flags = ["--gangs", "1", "--rows", "Supervised", "CPS", "--out", str(tmp_path)]
    assert run_study(tiny_study.STUDY, [*flags, "--plan"]) == 0
    planned = [line.split()[0] for line in capsys.readouterr().out.splitlines() if "steps" in line]
    assert len(planned) == 4
    (tmp_path / "store").mkdir(parents=True)
    obstacle = tmp_path / "store" / planned[1]
    obstacle.write_text("a file where a folder must be")
    assert run_study(tiny_study.STUDY, flags) == 1
    said = capsys.readouterr().err
    assert "a file stands where a folder must be" in said and "Traceback" not in said, said
    obstacle.unlink()
    states = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").set_index("key")["status"]
    assert states[planned[0]] == "done" and set(states[planned[1:]]) == {"waiting"}
    wait_until_nothing_is_left(str(tmp_path))
