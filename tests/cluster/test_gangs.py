"""Studies in gangs, as users run them: the bits of one process, work that is shared, failures that stay alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import tiny_gang
from study_runs import command, environment, finished, results, started, wait_until_nothing_is_left

from assay.store.local import LocalStore
from assay.training.outcome import WEIGHTS


def test_a_gang_gives_the_same_bits_as_one_process_and_leaves_nothing(whole: Path, tmp_path: Path) -> None:
    said = finished(tmp_path, "--gangs", "2")
    assert "2 gangs of 1 worker " in said
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    wait_until_nothing_is_left(str(tmp_path))
    again = finished(tmp_path, "--gangs", "2")
    assert "9 done" in again and "gangs of 1 worker on" not in again, "nothing is left to train: Ray is not started"


def test_two_workers_agree_with_one_to_rounding(whole: Path, tmp_path: Path) -> None:
    finished(tmp_path, "--gangs", "1", "--workers", "2", "--rows", "Supervised")
    two = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").query("status == 'done'")
    one = results(whole).query("row == 'Supervised'")
    assert list(two["key"]) == list(one["key"]) and set(two["world_size"]) == {2}
    assert two["miou"].to_numpy() == pytest.approx(one["miou"].to_numpy(), abs=0.5)


def test_two_drivers_with_gangs_share_the_work(whole: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--gangs", "1") as one, started(tmp_path, "--gangs", "1") as other:
        said = [driver.communicate(timeout=200)[0] for driver in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    attempts = [path.read_text().splitlines() for path in tmp_path.glob("store/*/attempts.jsonl")]
    assert [len(lines) for lines in attempts] == [1] * 9, "nothing was trained twice"
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    tables = [each[each.rindex("mkd.table1") : each.rindex("report: ")] for each in said]
    assert tables[0] == tables[1] and "8 done" in tables[0]
    wait_until_nothing_is_left(str(tmp_path))


def test_the_twentieth_in_a_gang_gives_the_bits_of_one_alone_and_failures_stay_alone(tmp_path: Path) -> None:
    """Errors are in the table, what needs a failed one is blocked, the rest is done, and the exit code tells."""
    said = finished(tmp_path / "gang", "--gangs", "1", code=1, script=tiny_gang.__file__)
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
    finished(tmp_path / "alone", "--gangs", "0", *chosen, script=tiny_gang.__file__)
    mine, theirs = LocalStore(tmp_path / "gang" / "store"), LocalStore(tmp_path / "alone" / "store")
    assert mine.read(last["key"], WEIGHTS) == theirs.read(last["key"], WEIGHTS)
    assert _numbers(mine, last["key"]) == _numbers(theirs, last["key"])


def _numbers(store: LocalStore, key: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in store.read(key, "metrics.jsonl").splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


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


def test_a_store_that_cannot_be_written_ends_the_run_and_fails_nobody(tmp_path: Path) -> None:
    flags = ["--gangs", "1", "--rows", "Supervised", "CPS"]
    planned = [line.split()[0] for line in finished(tmp_path, *flags, "--plan").splitlines() if "steps" in line]
    assert len(planned) == 4
    (tmp_path / "store").mkdir(parents=True)
    obstacle = tmp_path / "store" / planned[1]
    obstacle.write_text("a file where a folder must be")
    done = subprocess.run(
        command(tmp_path, *flags),
        env=environment(str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and "a file stands where a folder must be" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    obstacle.unlink()
    states = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").set_index("key")["status"]
    assert states[planned[0]] == "done" and set(states[planned[1:]]) == {"waiting"}
    wait_until_nothing_is_left(str(tmp_path))
