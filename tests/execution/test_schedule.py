"""Which experiment may be trained next."""

from __future__ import annotations

import random

import pytest

from assay.execution.schedule import ATTEMPTS, Outcome, Task, TaskSchedule


def chain() -> TaskSchedule:
    return TaskSchedule(
        [Task(key="stage3", needs=("stage2",)), Task(key="stage2", needs=("teacher",)), Task(key="teacher")]
    )


def test_what_others_need_comes_first() -> None:
    schedule = chain()
    order = []
    while (task := schedule.take()) is not None:
        order.append(task.key)
        assert schedule.take() is None, "nothing else can be trained before this one is done"
        schedule.report(Outcome(key=task.key, kind="done"))
    assert order == ["teacher", "stage2", "stage3"] and schedule.is_over


def test_what_needs_something_that_failed_is_blocked_however_far_below() -> None:
    schedule = chain()
    schedule.take()
    schedule.report(Outcome(key="teacher", kind="failed", error="NotFinite: so"))
    assert [schedule.state(key) for key in ("teacher", "stage2", "stage3")] == ["failed", "blocked", "blocked"]
    assert schedule.error("teacher") == "NotFinite: so" and "teacher" in schedule.error("stage2")
    assert schedule.is_over


def test_what_failed_before_blocks_from_the_start() -> None:
    schedule = TaskSchedule([Task(key="student", needs=("teacher",)), Task(key="teacher")], failed={"teacher": "so"})
    assert schedule.take() is None and schedule.state("student") == "blocked"


def test_a_lost_attempt_is_tried_again_and_not_for_ever() -> None:
    schedule = TaskSchedule([Task(key="a")])
    for _ in range(ATTEMPTS):
        assert schedule.take().key == "a"
        schedule.report(Outcome(key="a", kind="lost", error="its worker ended"))
    assert schedule.take() is None and schedule.state("a") == "failed"
    assert "its worker ended" in schedule.error("a")


def test_what_another_process_holds_is_left_alone_until_it_is_free_or_done() -> None:
    schedule = TaskSchedule([Task(key="a"), Task(key="b")])
    schedule.take()
    schedule.report(Outcome(key="a", kind="held"))
    schedule.take()
    schedule.report(Outcome(key="b", kind="held"))
    assert schedule.take() is None and not schedule.is_over
    schedule.release("a")
    assert schedule.take().key == "a"
    schedule.report(Outcome(key="b", kind="done"))
    schedule.report(Outcome(key="a", kind="done"))
    assert schedule.is_over


def test_a_late_report_changes_nothing_about_what_is_done() -> None:
    schedule = TaskSchedule([Task(key="a")])
    schedule.take()
    schedule.report(Outcome(key="a", kind="done"))
    schedule.report(Outcome(key="a", kind="lost"))
    schedule.report(Outcome(key="unknown", kind="done"))
    assert schedule.state("a") == "done"


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_everything_ends_and_nothing_is_taken_too_early_or_twice(seed: int) -> None:
    draw = random.Random(seed)
    tasks = [Task(key=str(n), needs=tuple(str(m) for m in range(n) if draw.random() < 0.15)) for n in range(40)]
    draw.shuffle(tasks)
    needs = {task.key: task.needs for task in tasks}
    schedule, working = TaskSchedule(tasks), []
    for _ in range(5000):
        if schedule.is_over:
            break
        task = schedule.take() if len(working) < 4 else None
        if task is not None:
            assert task.key not in working
            assert all(schedule.state(each) == "done" for each in needs[task.key])
            working.append(task.key)
        elif working:
            key = working.pop(draw.randrange(len(working)))
            kind = draw.choice(["done", "done", "done", "failed", "lost", "stopped", "held"])
            schedule.report(Outcome(key=key, kind=kind))
        else:
            for key in schedule.keys("held"):
                schedule.release(key)
    assert schedule.is_over
    for key in needs:
        bad = any(schedule.state(each) in ("failed", "blocked") for each in needs[key])
        assert schedule.state(key) in (("blocked",) if bad else ("done", "failed"))


def test_an_outcome_returns_its_own_change_and_those_of_dependents() -> None:
    schedule = chain()
    schedule.take()
    changes = schedule.report(Outcome(key="teacher", kind="failed", error="NotFinite: so"))
    assert [(each.key, each.state) for each in changes] == [
        ("stage3", "blocked"),
        ("stage2", "blocked"),
        ("teacher", "failed"),
    ]
    assert schedule.report(Outcome(key="unknown", kind="done")) == []


def test_what_failed_here_and_is_done_elsewhere_blocks_nothing_any_more() -> None:
    schedule = chain()
    schedule.take()
    schedule.report(Outcome(key="teacher", kind="failed", error="so"))
    changes = {each.key: each.state for each in schedule.report(Outcome(key="teacher", kind="done"))}
    assert changes == {"teacher": "done", "stage2": "waiting", "stage3": "waiting"}
    assert schedule.take().key == "stage2" and schedule.error("stage3") == ""


def test_a_task_with_a_step_to_pause_at_goes_on_when_it_is_added_again() -> None:
    schedule = TaskSchedule([Task(key="a", until=10)])
    assert schedule.take().until == 10
    schedule.report(Outcome(key="a", kind="paused", step=10))
    assert schedule.state("a") == "paused" and schedule.take() is None and schedule.is_over
    schedule.add([Task(key="a", until=20), Task(key="b")])
    assert [schedule.take().key, schedule.take().key] == ["a", "b"] and not schedule.is_over


def test_a_task_that_was_asked_to_go_further_meanwhile_does_not_pause() -> None:
    schedule = TaskSchedule([Task(key="a", until=10)])
    schedule.take()
    schedule.add([Task(key="a", until=30)])
    assert schedule.take() is None, "it is being trained"
    schedule.report(Outcome(key="a", kind="paused", step=10))
    assert schedule.take() == Task(key="a", until=30)


def test_what_is_done_or_failed_is_not_begun_by_adding_it() -> None:
    schedule = TaskSchedule([Task(key="a"), Task(key="b")], done=["a"], failed={"b": "so"}, paused=["c"])
    schedule.add([Task(key="a"), Task(key="b"), Task(key="c", needs=("b",))])
    assert schedule.take() is None and [schedule.state(key) for key in "abc"] == ["done", "failed", "blocked"]
