"""What a person sees of a study that runs."""

from __future__ import annotations

import time

import pytest

from assay.execution.display import Display, duration

LABELS = {"a": ("first", 100), "b": ("second", 100), "c": ("third", 100)}


def test_lines_tell_what_is_done_and_what_failed_with_its_reason() -> None:
    said: list[str] = []
    with Display(LABELS, ended={"a": "done"}, say=said.append) as display:
        display.told("b", {"state": "running"})
        display.told("b", {"step": 1, "loss": 2.0})
        display.told("b", {"step": 100, "miou": 0.5})
        display.told("b", {"state": "done"})
        display.told("c", {"state": "running"})
        display.told("c", {"state": "failed", "error": "NotFinite: so"})
        display.told("c", {"step": 3, "loss": 1.0})
    assert "done    2/3" in said[0] and "second" in said[0] and "mIoU 50.00" in said[0]
    assert "failed  3/3" in said[1] and "NotFinite: so" in said[1]


def test_the_time_left_is_that_of_the_open_steps_at_the_rate_so_far() -> None:
    display = Display(LABELS, ended={"a": "done"}, say=print)
    assert display._left() == "time left unknown"
    display.told("b", {"state": "running"})
    display.told("b", {"step": 1, "loss": 2.0})
    time.sleep(0.6)
    display.told("b", {"step": 51, "loss": 1.0})
    # 50 steps in 0.6 s: 49 + 100 are open.
    assert 1.5 < float(display._left().split()[1]) < 4.0
    assert "steps/s" in display._line() and "second step 51/100" in display._line()


def test_what_others_ended_and_what_is_blocked_is_shown_and_counted_once() -> None:
    said: list[str] = []
    with Display(LABELS, ended={}, say=said.append) as display:
        display.told("a", {"state": "held"})
        display.told("a", {"state": "failed", "error": "NotFinite: elsewhere"})
        display.told("b", {"state": "blocked", "error": "needs a, which failed"})
        display.told("b", {"state": "blocked", "error": "needs a, which failed"})
        display.told("c", {"state": "done"})
    assert [line.split()[:2] for line in said] == [["failed", "1/3"], ["blocked", "2/3"], ["done", "3/3"]]
    assert "needs a, which failed" in said[1]
    assert "1 done, 1 failed, 1 blocked of 3, 0 running, 0 waiting" in display._line()


def test_what_had_ended_before_is_counted_and_not_waited_for() -> None:
    display = Display(LABELS, ended={"a": "failed", "b": "blocked"}, say=print)
    assert "0 done, 1 failed, 1 blocked of 3, 0 running, 1 waiting" in display._line()


def test_while_nothing_is_trained_here_lines_say_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    display = Display(LABELS, ended={}, say=said.append, holder=lambda key: f"process 7 ({key})")
    display.told("a", {"state": "running"})
    display.told("a", {"state": "held"})
    display.idle()
    assert said == []
    monkeypatch.setattr("assay.execution.display.SECONDS_BETWEEN_LINES", 0.0)
    display.idle()
    assert said[-1].endswith("waiting for a, held by process 7 (a)")
    display.told("b", {"state": "running"})
    display.idle()
    assert "waiting for a" not in said[-1] and "second step 0/100" in said[-1]
    display.told("b", {"state": "done"})
    display.told("a", {"state": "done"})
    display.idle()
    assert "waiting for" not in said[-1] and "2 done of 3" in said[-1]


def test_time_spans_are_for_people() -> None:
    assert [duration(each) for each in (12, 600, 7200)] == ["12 s", "10 min", "2.0 h"]
