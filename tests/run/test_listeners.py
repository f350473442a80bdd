"""Tables while a study runs, and after it broke."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import STUDY

from assay.errors import AssayError
from assay.run import launcher, listeners, run_loop, run_study
from assay.run.listeners import Throttled
from assay.run.study_run import StudyRun
from assay.store.store import StoreError


def test_work_is_done_at_most_every_so_often_and_rarer_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    done: list[float] = []

    def work() -> None:
        done.append(clock[0])
        clock[0] += 10.0

    throttled = Throttled(work, every=30.0, print_line=print)
    for second in range(400):
        clock[0] = max(clock[0], float(second))
        throttled.on_idle()
    assert done == [30.0, 240.0]  # ten seconds of work are five percent of the 200 that follow


def test_work_that_fails_is_noted_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    lines: list[str] = []

    def work() -> None:
        raise StoreError("no space is left")

    throttled = Throttled(work, every=0.0, print_line=lines.append)
    throttled.on_idle()
    throttled.on_idle()
    assert lines == ["note: the tables could not be rebuilt now: no space is left"] * 2


def test_tables_are_rebuilt_while_an_experiment_trains_and_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_loop, "REBUILD_EVERY", 0.0)
    monkeypatch.setattr(listeners, "_REBUILD_SHARE", math.inf)  # however long it takes
    rebuilds: list[tuple[bool, set[str]]] = []
    rebuild = StudyRun.rebuild

    def watched(self: StudyRun, *, with_page: bool = True) -> pd.DataFrame:
        frame = rebuild(self, with_page=with_page)
        rebuilds.append((with_page, set(frame["status"])))
        return frame

    monkeypatch.setattr(StudyRun, "rebuild", watched)
    assert run_study(STUDY, ["--gangs", "0", "--out", str(tmp_path), "--rows", "Supervised", "--seeds", "0"]) == 0
    assert (False, {"running", "quoted"}) in rebuilds[:-1]
    assert rebuilds[-1] == (True, {"done", "quoted"}) and not any(report for report, _ in rebuilds[:-1])


@pytest.mark.parametrize("breaks", [False, True], ids=["", "and the tables cannot be written either"])
def test_a_run_that_breaks_leaves_its_tables_prints_them_and_then_tells_the_error(
    breaks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(AssayError):
        exit_code = 7

    def break_off(*arguments: object, **named: object) -> None:
        if breaks:
            (tmp_path / "tiny" / "quick" / "results.parquet").mkdir()
        raise Broken("the gangs could not go on: so")

    monkeypatch.setattr(launcher, "run_in_process", break_off)
    assert run_study(STUDY, ["--gangs", "0", "--out", str(tmp_path), "--rows", "CPS", "--seeds", "0"]) == 7
    output = capsys.readouterr()
    assert output.err == "error: the gangs could not go on: so\n"
    if breaks:
        assert "note: the tables could not be rebuilt: Cannot write" in output.out
    else:
        assert "mkd.table1" in output.out
        frame = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet")
        assert set(frame["status"]) == {"waiting", "quoted"}
