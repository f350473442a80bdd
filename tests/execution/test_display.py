"""The display of a run."""

from __future__ import annotations

import io
import time

import pytest

from assay.execution.display import Display
from assay.execution.events import Evaluated, GangFailed, StateChanged, StepDone, WaitingFor

LABELS = {"a": ("first", 100), "b": ("second", 100), "c": ("third", 100)}


def test_lines_tell_what_is_done_and_what_failed_with_its_reason() -> None:
    lines: list[str] = []
    with Display(LABELS, ended={"a": "done"}, print_line=lines.append) as display:
        display.on_event(StateChanged(key="b", state="running"))
        display.on_event(StepDone(key="b", step=1, loss=2.0))
        display.on_event(Evaluated(key="b", step=100, miou=0.5))
        display.on_event(StateChanged(key="b", state="done"))
        display.on_event(StateChanged(key="c", state="running"))
        display.on_event(StateChanged(key="c", state="failed", error="NotFinite: so"))
        display.on_event(StepDone(key="c", step=3, loss=1.0))
    assert "done    2/3" in lines[0] and "second" in lines[0] and "mIoU 50.00" in lines[0]
    assert "failed  3/3" in lines[1] and "NotFinite: so" in lines[1]


def test_the_time_left_is_that_of_the_open_steps_at_the_rate_so_far() -> None:
    display = Display(LABELS, ended={"a": "done"}, print_line=print)
    assert display._left() == "time left unknown"
    display.on_event(StateChanged(key="b", state="running"))
    display.on_event(StepDone(key="b", step=1, loss=2.0))
    time.sleep(0.6)
    display.on_event(StepDone(key="b", step=51, loss=1.0))
    # 50 steps in 0.6 s: 49 + 100 are open.
    assert 1.5 < float(display._left().split()[1]) < 4.0
    assert "steps/s" in display._line() and "second step 51/100" in display._line()


def test_what_others_ended_and_what_is_blocked_is_shown_and_counted_once() -> None:
    lines: list[str] = []
    with Display(LABELS, ended={}, print_line=lines.append) as display:
        display.on_event(StateChanged(key="a", state="held"))
        display.on_event(StateChanged(key="a", state="failed", error="NotFinite: elsewhere"))
        display.on_event(StateChanged(key="b", state="blocked", error="needs a, which failed"))
        display.on_event(StateChanged(key="b", state="blocked", error="needs a, which failed"))
        display.on_event(StateChanged(key="c", state="done"))
    assert [line.split()[:2] for line in lines] == [["failed", "1/3"], ["blocked", "2/3"], ["done", "3/3"]]
    assert "needs a, which failed" in lines[1]
    assert "1 done, 1 failed, 1 blocked of 3, 0 running, 0 waiting" in display._line()


def test_what_had_ended_before_is_counted_and_not_waited_for() -> None:
    display = Display(LABELS, ended={"a": "failed", "b": "blocked"}, print_line=print)
    assert "0 done, 1 failed, 1 blocked of 3, 0 running, 1 waiting" in display._line()


def test_while_nothing_is_trained_here_lines_say_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    display = Display(LABELS, ended={}, print_line=lines.append, holder=lambda key: f"process 7 ({key})")
    display.on_event(StateChanged(key="a", state="running"))
    display.on_event(StateChanged(key="a", state="held"))
    display.on_idle()
    assert lines == []
    monkeypatch.setattr("assay.execution.display.SECONDS_BETWEEN_LINES", 0.0)
    display.on_idle()
    assert lines[-1].endswith("waiting for a, held by process 7 (a)")
    display.on_event(StateChanged(key="b", state="running"))
    display.on_idle()
    assert "waiting for a" not in lines[-1] and "second step 0/100" in lines[-1]
    display.on_event(StateChanged(key="b", state="done"))
    display.on_event(StateChanged(key="a", state="done"))
    display.on_idle()
    assert "waiting for" not in lines[-1] and "2 done of 3" in lines[-1]


def test_a_terminal_shows_a_row_for_each_running_experiment_below_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    with Display(LABELS, ended={"a": "done"}, print_line=print) as display:
        display.on_event(StateChanged(key="b", state="running"))
        display.on_event(StepDone(key="b", step=7, loss=1.25))
        display.on_event(Evaluated(key="b", step=7, miou=0.5))
        assert display._table is not None
        display._table.progress.refresh()
        shown = screen.getvalue()
        display.on_event(StateChanged(key="b", state="failed", error="NotFinite: [so]"))
    assert "1 done of 3, 1 running, 1 waiting" in shown
    assert all(part in shown for part in ("second", "step 7/100", "loss 1.2500", "mIoU 50.00"))
    assert "failed  2/3  b  second  NotFinite: [so]" in screen.getvalue(), "lines that stay are printed above the table"


def test_a_run_that_waits_says_why_and_a_gangs_failure_stays_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.execution.display.SECONDS_BETWEEN_LINES", 0.0)
    lines: list[str] = []
    display = Display(LABELS, ended={}, print_line=lines.append)
    display.on_event(WaitingFor(reason="the workers of 2 gangs start"))
    display.on_idle()
    assert lines[-1].endswith("time left unknown; the workers of 2 gangs start")
    display.on_event(GangFailed(gang="gang 0", cause="gloo", node="b", cure="Set GLOO_SOCKET_IFNAME."))
    assert lines[-1] == "gang 0 failed on node b: gloo. Set GLOO_SOCKET_IFNAME."
    display.on_event(WaitingFor(reason=""))
    display.on_idle()
    assert lines[-1].endswith("time left unknown")
