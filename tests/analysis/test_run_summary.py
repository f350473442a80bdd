"""How a study was run, with trainings that several tables share counted once."""

from __future__ import annotations

import json

import pytest
from drawn_study import Study, frame_of, line

from assay.analysis.run_summary import Failure, RunSummary, duration, summarize
from assay.results.layout import ColumnLayout, RowLayout, StudyLayout, TableLayout


def facts(*lines: dict) -> RunSummary:
    rows = tuple(RowLayout(label=label) for label in dict.fromkeys(each["row"] for each in lines))
    tables = tuple(
        TableLayout(name=name, title=name, rows=rows, columns=(ColumnLayout(label="a"),))
        for name in dict.fromkeys(each["table"] for each in lines)
    )
    layout = StudyLayout(name="s", title="S", profile="quick", tables=tables)
    return summarize(frame_of(list(lines)), layout)


def test_a_training_that_stands_in_two_tables_is_counted_once() -> None:
    found = facts(*(line(table, "r", "a", 0, key="same", seconds=40.0, device_seconds=80.0) for table in ("t", "u")))
    assert found.states == {"done": 1}
    assert dict(found.details)["All trainings"] == ("40.0 s",)
    assert dict(found.details)["Device time"] == ("80.0 s",)


def test_a_failure_that_stands_in_two_tables_is_told_once_with_both_places() -> None:
    found = facts(*(line(table, "r", "a", 0, key="same", status="failed", error="no memory") for table in ("t", "u")))
    assert [(each.places, each.seeds, each.error) for each in found.failures] == [
        (("t: r, a", "u: r, a"), (0,), "no memory")
    ]


TEACHER = {"key": "teacher", "status": "done", "seed": 0, "seconds": 100.0, "device_seconds": 400.0}


def taught(row: str, *teachers: dict, **changes: object) -> dict:
    return line("t", row, "a", 1, inside=json.dumps(teachers), seconds=10.0, device_seconds=10.0, **changes)


def test_a_teacher_is_a_training_and_its_time_counts_once_whatever_it_serves() -> None:
    found = facts(taught("KD", TEACHER), taught("CWD", TEACHER))
    assert found.states == {"done": 3}
    assert dict(found.details)["One training"] == ("10.0 s, from 10.0 s to 100.0 s",)
    assert dict(found.details)["All trainings"] == ("120.0 s",)
    assert dict(found.details)["Device time"] == ("7.0 min",)
    costs = [(each.row, each.trainings, each.device_seconds) for each in found.costs]
    assert costs == [("KD", 1, 10.0), ("CWD", 1, 10.0), ("inside its rows", 1, 400.0)]


def test_a_teacher_that_is_a_row_too_is_counted_as_that_row_alone() -> None:
    found = facts(taught("CPS", key="teacher"), taught("KD", TEACHER))
    assert found.states == {"done": 2}
    assert [each.row for each in found.costs] == ["CPS", "KD"]


def test_a_teacher_that_was_removed_after_its_students_is_not_waited_for() -> None:
    absent = {"key": "teacher", "status": "waiting"}
    assert facts(taught("KD", absent)).states == {"done": 1}
    assert facts(taught("KD", absent, status="waiting")).states == {"waiting": 2}


def test_a_teachers_failure_is_told_once_with_the_first_place_that_it_stands_inside() -> None:
    lost = {"key": "teacher", "status": "failed", "error": "NaN", "seed": 7}
    found = facts(*(taught(row, lost, status="blocked", error="needs teacher, which failed") for row in ("KD", "CWD")))
    assert found.states == {"failed": 1, "blocked": 2}
    assert [each for each in found.failures if each.state == "failed"] == [
        Failure(places=("inside t: KD, a",), seeds=(7,), state="failed", error="NaN")
    ]


def test_results_of_an_older_version_tell_less_of_what_is_inside_and_are_counted_all_the_same() -> None:
    found = facts(taught("KD", {"key": "teacher", "method": "cps", "params": 6e7}))
    assert found.states == {"done": 2}
    assert dict(found.details)["Device time"] == ("10.0 s",)


def test_seeds_that_are_blocked_for_the_same_reason_are_told_together() -> None:
    found = facts(*(line("t", "r", "a", seed, status="blocked", error="teacher failed") for seed in (0, 1)))
    assert [each.seeds for each in found.failures] == [(0, 1)]


def test_quoted_cells_are_no_trainings(study: Study) -> None:
    assert summarize(study.frame, study.layout).states == {"done": 29, "failed": 1, "blocked": 3}


def test_several_machines_and_commits_are_all_named_with_their_share() -> None:
    found = facts(
        *(line("t", "r", "a", seed, device="gpu" if seed else "cpu", git_clean=seed > 0) for seed in range(3))
    )
    details = dict(found.details)
    assert details["Devices"] == ("1 × gpu, 1 threads each (2 trainings)", "1 × cpu, 1 threads each (1 trainings)")
    assert details["Code"][1] == "commit 0123abc, with changes that are not committed (1 trainings)"


def test_what_was_not_recorded_is_said_to_be_so() -> None:
    found = facts(
        line("t", "r", "a", 0, device=None, git_commit=None, versions=None, seconds=None, device_seconds=None)
    )
    details = dict(found.details)
    assert (details["Code"], details["Versions"]) == (("commit not recorded",), ("not recorded",))
    assert details["All trainings"] == ("–",)


def test_before_anything_is_done_there_are_facts_already() -> None:
    found = facts(line("t", "r", "a", 0, status="waiting", seconds=None, started=None, finished=None))
    assert (found.states, found.costs, dict(found.details)["From, to"]) == ({"waiting": 1}, (), ("–",))


@pytest.mark.parametrize(("flags", "said"), [((True, True), "all"), ((True, False), "some"), ((False, False), "none")])
def test_it_is_known_how_many_cells_follow_the_paper(flags: tuple[bool, bool], said: str) -> None:
    assert facts(*(line("t", "r", "a", seed, comparable=flag) for seed, flag in enumerate(flags))).comparable == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (5.25, "5.2 s"), (600, "10.0 min"), (5 * 3600, "5.0 h"), (86400 * 4, "4.0 days")]
)
def test_times_are_told_in_readable_units(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
