"""What the benchmark of shared teachers counts, in its smallest form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies.benchmarks.sharing_benchmark import counted, main, shares


def test_every_training_of_a_store_is_counted_teachers_too_and_nothing_unfinished(tmp_path: Path) -> None:
    for key, seconds in (("student", 2.0), ("teacher", 3.5)):
        (tmp_path / "store" / key).mkdir(parents=True)
        (tmp_path / "store" / key / "result.json").write_text(json.dumps({"device_seconds": seconds}))
    (tmp_path / "store" / "begun").mkdir()
    assert counted(tmp_path) == {"trainings": 2, "device_seconds": 5.5}


def test_shares_are_of_the_naive_way() -> None:
    apart, shared = ({"trainings": n, "device_seconds": s, "wall": 1.0} for n, s in ((8, 40.0), (4, 10.0)))
    assert shares(apart, shared) == {"trainings": 0.5, "device_seconds": 0.25}


@pytest.mark.long
def test_two_rows_share_two_teachers_and_both_shares_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "numbers.json"
    assert main(["--tables", "mgd.table5b", "--steps", "2", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    apart, shared = found["naive"], found["shared"]
    # Each row alone is a student and both of its teachers.
    assert (apart["trainings"], shared["trainings"]) == (6, 4)
    assert found["shares"] == shares(apart, shared)
    for numbers in (apart, shared):
        assert 0 < numbers["device_seconds"] < numbers["wall"]
        assert min(numbers["load_before"], numbers["load_after"]) >= 0
    said = capsys.readouterr().out
    assert "shared / naive trainings 0.67" in said
    assert f"shared / naive device time {found['shares']['device_seconds']:.2f}" in said
