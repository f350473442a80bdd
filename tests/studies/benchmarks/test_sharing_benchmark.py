"""The counts of the benchmark of shared teachers, and its smallest run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies.benchmarks.sharing_benchmark import count_trainings, main, ratios


def test_every_finished_training_of_a_store_is_counted_teachers_included(tmp_path: Path) -> None:
    for key, seconds in (("student", 2.0), ("teacher", 3.5)):
        (tmp_path / "store" / key).mkdir(parents=True)
        (tmp_path / "store" / key / "result.json").write_text(json.dumps({"device_seconds": seconds}))
    (tmp_path / "store" / "begun").mkdir()
    assert count_trainings(tmp_path) == {"trainings": 2, "device_seconds": 5.5}


def test_ratios_are_relative_to_the_naive_way() -> None:
    naive, shared = ({"trainings": n, "device_seconds": s, "wall": 1.0} for n, s in ((8, 40.0), (4, 10.0)))
    assert ratios(naive, shared) == {"trainings": 0.5, "device_seconds": 0.25}


@pytest.mark.long
def test_two_rows_share_two_teachers_and_both_ratios_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "numbers.json"
    assert main(["--tables", "mgd.table5b", "--steps", "2", "--out", str(out)]) == 0
    numbers = json.loads(out.read_text())
    naive, shared = numbers["naive"], numbers["shared"]
    # Each row alone is a student and both of its teachers.
    assert (naive["trainings"], shared["trainings"]) == (6, 4)
    assert numbers["shares"] == ratios(naive, shared)
    for way in (naive, shared):
        assert 0 < way["device_seconds"] < way["wall"]
        assert min(way["load_before"], way["load_after"]) >= 0
    printed = capsys.readouterr().out
    assert "shared / naive trainings 0.67" in printed
    assert f"shared / naive device time {numbers['shares']['device_seconds']:.2f}" in printed
