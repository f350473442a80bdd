"""The dispatcher as gangs and driver talk to it; it is a plain class, and Ray makes an actor of it."""

from __future__ import annotations

from typing import Any

import pytest

from assay.cluster import dispatcher as module
from assay.cluster.dispatcher import Dispatcher
from assay.execution.events import StateChanged, StepDone
from assay.execution.schedule import ATTEMPTS, Outcome, Task


def dispatcher(*tasks: Task, **given: Any) -> Dispatcher:
    experiments = {task.key: {"name": task.key} for task in tasks}
    return Dispatcher(list(tasks), [], {}, given.pop("lost", {}), experiments, **given)


def started(desk: Dispatcher, gang: str) -> int:
    """A new group's generation."""
    generation, _ = desk.hello(gang)
    return generation


def states(desk: Dispatcher) -> dict[str, str]:
    return {event.key: event.state for event in desk.events() if isinstance(event, StateChanged)}


def test_all_ranks_of_a_group_get_the_same_answer_however_often_they_ask() -> None:
    desk = dispatcher(Task(key="a"), Task(key="b"))
    generation = started(desk, "gang")
    first = desk.assignment("gang", generation, 0)
    assert (first.do, first.key, first.experiment) == ("train", "a", {"name": "a"})
    assert desk.assignment("gang", generation, 0) == first
    assert desk.assignment("gang", generation, 1).key == "b"


def test_what_a_group_held_that_was_replaced_is_tried_again_by_the_next_and_the_old_one_ends() -> None:
    desk = dispatcher(Task(key="a"))
    old = started(desk, "gang")
    desk.assignment("gang", old, 0)
    new = started(desk, "gang")
    assert desk.assignment("gang", new, 0).key == "a"
    assert desk.assignment("gang", old, 1).do == "end"


def test_an_experiment_that_kills_every_group_is_given_up_and_said_to_be() -> None:
    desk = dispatcher(Task(key="a"), Task(key="student", needs=("a",)))
    for _ in range(ATTEMPTS):
        assert desk.assignment("gang", started(desk, "gang"), 0).key == "a"
    started(desk, "gang")
    changes = {event.key: event for event in desk.events() if isinstance(event, StateChanged)}
    assert changes["a"].given_up and "its worker ended" in changes["a"].error
    assert changes["student"].state == "blocked" and not changes["student"].given_up
    assert desk.standing().remaining == 0


def test_attempts_before_a_dispatcher_was_replaced_count() -> None:
    desk = dispatcher(Task(key="a"), lost={"a": ATTEMPTS - 1})
    desk.assignment("gang", started(desk, "gang"), 0)
    started(desk, "gang")
    assert states(desk) == {"a": "failed"}


def test_an_experiment_that_goes_further_with_every_group_is_not_given_up() -> None:
    desk = dispatcher(Task(key="a"))
    for number in range(3 * ATTEMPTS):
        assert desk.assignment("gang", started(desk, "gang"), 0).key == "a"
        desk.on_progress("gang", StepDone(key="a", step=10 * (number + 1), loss=1.0))


def test_a_store_that_cannot_be_written_stops_all_gangs_and_returns_the_experiment() -> None:
    desk = dispatcher(Task(key="a"), Task(key="b"))
    generation, other = started(desk, "gang"), started(desk, "other")
    desk.assignment("gang", generation, 0)
    desk.assignment("other", other, 0)
    desk.report("gang", Outcome(key="a", kind="halted", error="no space is left"))
    standing = desk.standing()
    assert standing.halted == "no space is left" and standing.remaining == 2
    assert desk.here("other", other, "b") is True, "the other gang is to stop"
    assert desk.assignment("gang", generation, 1).do == "end"


def test_a_gang_is_present_from_its_first_word_until_it_is_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = dispatcher(Task(key="a"))
    assert desk.standing().present == frozenset()
    generation = started(desk, "gang")
    assert desk.standing().present == {"gang"}
    desk.assignment("gang", generation, 0)
    desk.report("gang", Outcome(key="a", kind="done"))
    assert desk.assignment("gang", generation, 1).do == "end"
    assert desk.standing().present == frozenset()


def test_a_gang_that_is_silent_is_not_present(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = dispatcher(Task(key="a"))
    desk.assignment("gang", started(desk, "gang"), 0)
    monkeypatch.setattr(module, "_SILENCE", -1.0)
    assert desk.standing().present == frozenset()


def test_a_dispatcher_in_the_place_of_another_learns_what_is_trained_and_gives_it_to_nobody_else() -> None:
    old = dispatcher(Task(key="a"), Task(key="b"))
    generation = started(old, "gang")
    old.assignment("gang", generation, 0)
    new = dispatcher(Task(key="a"), Task(key="b"), number=1)
    assert new.here("gang", generation, "a") is False
    assert states(new) == {"a": "running"}
    assert new.assignment("other", started(new, "other"), 0).key == "b"
    new.on_progress("gang", StepDone(key="a", step=3, loss=1.0))
    assert [event.step for event in new.events() if isinstance(event, StepDone)] == [3]
    new.report("gang", Outcome(key="a", kind="done"))
    new.here("gang", generation, "a")  # a word that was on its way
    assert new.standing().remaining == 1


def test_a_group_after_the_replacement_is_newer_than_all_before() -> None:
    old = dispatcher(Task(key="a"))
    before = [started(old, "gang") for _ in range(3)]
    new = dispatcher(Task(key="a"), number=1)
    assert started(new, "gang") > max(before)
    assert new.assignment("gang", before[-1], 0).do == "end"


def test_the_places_that_groups_had_are_told_once() -> None:
    desk = dispatcher(Task(key="a"))
    desk.hello("gang", "place 1")
    started(desk, "gang")
    assert desk.bundles("gang") == ["place 1"] and desk.bundles("gang") == []


def test_what_a_gang_held_that_ended_for_good_is_given_to_another() -> None:
    desk = dispatcher(Task(key="a"), Task(key="b"))
    desk.assignment("gang", started(desk, "gang"), 0)
    other = started(desk, "other")
    assert desk.assignment("other", other, 0).key == "b"
    desk.gone("gang")
    assert desk.standing().present == {"other"}
    assert desk.assignment("other", other, 1).key == "a"


def test_a_late_failure_of_a_former_holder_does_not_fail_what_another_gang_trains() -> None:
    desk = dispatcher(Task(key="a"))
    desk.assignment("gang", started(desk, "gang"), 0)
    desk.report("gang", Outcome(key="a", kind="lost"))
    desk.assignment("other", started(desk, "other"), 0)
    desk.report("gang", Outcome(key="a", kind="failed", error="late"))
    assert states(desk) == {"a": "running"}
