"""The dispatcher, called as gangs and the driver call it; Ray makes an actor of this plain class."""

from __future__ import annotations

from typing import Any

import pytest

from assay.cluster import dispatcher as module
from assay.cluster.dispatcher import Dispatcher
from assay.execution.events import GangFailed, StateChanged, StepDone
from assay.execution.schedule import ATTEMPTS, Outcome, Task


def make_dispatcher(*tasks: Task, **options: Any) -> Dispatcher:
    experiments = {task.key: {"name": task.key} for task in tasks}
    return Dispatcher(list(tasks), [], {}, options.pop("lost", {}), experiments, **options)


def register(dispatcher: Dispatcher, gang: str) -> int:
    """Register a new group and return its generation."""
    generation, _ = dispatcher.register(gang)
    return generation


def states(dispatcher: Dispatcher) -> dict[str, str]:
    return {event.key: event.state for event in dispatcher.events() if isinstance(event, StateChanged)}


def test_all_ranks_of_a_group_get_the_same_assignment_however_often_they_call() -> None:
    dispatcher = make_dispatcher(Task(key="a"), Task(key="b"))
    generation = register(dispatcher, "gang")
    first = dispatcher.assignment("gang", generation, 0)
    assert (first.do, first.key, first.experiment) == ("train", "a", {"name": "a"})
    assert dispatcher.assignment("gang", generation, 0) == first
    assert dispatcher.assignment("gang", generation, 1).key == "b"


def test_the_next_group_gets_the_experiment_of_the_group_that_it_replaces_and_the_old_group_ends() -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    old = register(dispatcher, "gang")
    dispatcher.assignment("gang", old, 0)
    new = register(dispatcher, "gang")
    assert dispatcher.assignment("gang", new, 0).key == "a"
    assert dispatcher.assignment("gang", old, 1).do == "end"


def test_an_experiment_that_kills_every_group_fails_after_its_attempts_and_is_marked() -> None:
    dispatcher = make_dispatcher(Task(key="a"), Task(key="student", needs=("a",)))
    for _ in range(ATTEMPTS):
        assert dispatcher.assignment("gang", register(dispatcher, "gang"), 0).key == "a"
    register(dispatcher, "gang")
    changes = {event.key: event for event in dispatcher.events() if isinstance(event, StateChanged)}
    assert changes["a"].is_unrecorded and "its worker ended" in changes["a"].error
    assert changes["student"].state == "blocked" and not changes["student"].is_unrecorded
    assert dispatcher.status().remaining == 0


def test_attempts_under_a_former_dispatcher_count() -> None:
    dispatcher = make_dispatcher(Task(key="a"), lost={"a": ATTEMPTS - 1})
    dispatcher.assignment("gang", register(dispatcher, "gang"), 0)
    register(dispatcher, "gang")
    assert states(dispatcher) == {"a": "failed"}


def test_an_experiment_that_gets_further_with_every_group_gets_further_attempts() -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    for number in range(3 * ATTEMPTS):
        assert dispatcher.assignment("gang", register(dispatcher, "gang"), 0).key == "a"
        dispatcher.on_progress("gang", StepDone(key="a", step=10 * (number + 1), loss=1.0))


def test_a_store_that_cannot_be_written_stops_all_gangs_and_returns_the_experiment() -> None:
    dispatcher = make_dispatcher(Task(key="a"), Task(key="b"))
    generation, other = register(dispatcher, "gang"), register(dispatcher, "other")
    dispatcher.assignment("gang", generation, 0)
    dispatcher.assignment("other", other, 0)
    dispatcher.report("gang", Outcome(key="a", kind="halted", error="no space is left"))
    status = dispatcher.status()
    assert status.halted == "no space is left" and status.remaining == 2
    assert dispatcher.heartbeat("other", other, "b") is True, "the other gang is to stop"
    assert dispatcher.assignment("gang", generation, 1).do == "end"


def test_a_gang_is_present_from_its_registration_until_its_last_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    assert dispatcher.status().present == frozenset()
    generation = register(dispatcher, "gang")
    assert dispatcher.status().present == {"gang"}
    dispatcher.assignment("gang", generation, 0)
    dispatcher.report("gang", Outcome(key="a", kind="done"))
    assert dispatcher.assignment("gang", generation, 1).do == "end"
    assert dispatcher.status().present == frozenset()


def test_a_gang_that_is_silent_is_not_present(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    dispatcher.assignment("gang", register(dispatcher, "gang"), 0)
    monkeypatch.setattr(module, "_SILENCE", -1.0)
    assert dispatcher.status().present == frozenset()


def test_a_dispatcher_that_replaces_another_learns_what_is_trained_and_assigns_it_to_nobody_else() -> None:
    old = make_dispatcher(Task(key="a"), Task(key="b"))
    generation = register(old, "gang")
    old.assignment("gang", generation, 0)
    new = make_dispatcher(Task(key="a"), Task(key="b"), number=1)
    assert new.heartbeat("gang", generation, "a") is False
    assert states(new) == {"a": "running"}
    assert new.assignment("other", register(new, "other"), 0).key == "b"
    new.on_progress("gang", StepDone(key="a", step=3, loss=1.0))
    assert [event.step for event in new.events() if isinstance(event, StepDone)] == [3]
    new.report("gang", Outcome(key="a", kind="done"))
    new.heartbeat("gang", generation, "a")  # a late heartbeat
    assert new.status().remaining == 1


def test_a_group_after_the_replacement_is_newer_than_all_groups_before() -> None:
    old = make_dispatcher(Task(key="a"))
    before = [register(old, "gang") for _ in range(3)]
    new = make_dispatcher(Task(key="a"), number=1)
    assert register(new, "gang") > max(before)
    assert new.assignment("gang", before[-1], 0).do == "end"


def test_the_placement_groups_of_a_gang_are_returned_once() -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    dispatcher.register("gang", "group 1")
    register(dispatcher, "gang")
    assert dispatcher.placement_groups("gang") == ["group 1"] and dispatcher.placement_groups("gang") == []


def test_another_gang_gets_the_experiment_of_a_gang_that_ended_for_good() -> None:
    dispatcher = make_dispatcher(Task(key="a"), Task(key="b"))
    dispatcher.assignment("gang", register(dispatcher, "gang"), 0)
    other = register(dispatcher, "other")
    assert dispatcher.assignment("other", other, 0).key == "b"
    dispatcher.gang_ended("gang")
    assert dispatcher.status().present == {"other"}
    assert dispatcher.assignment("other", other, 1).key == "a"


def test_a_late_failure_report_does_not_fail_an_experiment_that_another_gang_trains_now() -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    dispatcher.assignment("gang", register(dispatcher, "gang"), 0)
    dispatcher.report("gang", Outcome(key="a", kind="lost"))
    dispatcher.assignment("other", register(dispatcher, "other"), 0)
    dispatcher.report("gang", Outcome(key="a", kind="failed", error="late"))
    assert states(dispatcher) == {"a": "running"}


def test_only_the_first_failure_of_a_gang_is_passed_on_until_it_takes_an_experiment_again() -> None:
    dispatcher = make_dispatcher(Task(key="a"))
    for cause in ("RuntimeError: gloo found no interface", "the fit ended"):
        dispatcher.gang_failed("gang", cause, "n1")
    (failed,) = dispatcher.events()
    assert isinstance(failed, GangFailed) and (failed.gang, failed.node) == ("gang", "n1")
    assert "found no interface" in failed.cause and "GLOO_SOCKET_IFNAME" in failed.cure
    dispatcher.assignment("gang", register(dispatcher, "gang"), 0)
    dispatcher.events()
    dispatcher.gang_failed("gang", "the worker died", "")
    assert [event.cause for event in dispatcher.events() if isinstance(event, GangFailed)] == ["the worker died"]
