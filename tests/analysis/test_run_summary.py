"""Summaries of a study's trainings; a training of several tables counts once."""

from __future__ import annotations

import json

import pytest
from drawn_study import Study, frame_of, line

from assay.analysis.run_summary import Failure, RunSummary, summarize
from assay.results.layout import ColumnLayout, RowLayout, StudyLayout, TableLayout
from assay.wording import measured_time


def summary_of(*lines: dict) -> RunSummary:
    rows = tuple(RowLayout(label=label) for label in dict.fromkeys(record["row"] for record in lines))
    tables = tuple(
        TableLayout(name=name, title=name, rows=rows, columns=(ColumnLayout(label="a"),))
        for name in dict.fromkeys(record["table"] for record in lines)
    )
    layout = StudyLayout(name="s", title="S", profile="quick", tables=tables)
    return summarize(frame_of(list(lines)), layout)


def test_a_training_of_two_tables_counts_once() -> None:
    summary = summary_of(
        *(line(table, "r", "a", 0, key="same", seconds=40.0, device_seconds=80.0) for table in ("t", "u"))
    )
    assert summary.states == {"done": 1}
    assert dict(summary.details)["All trainings"] == ("40.0 s",)
    assert dict(summary.details)["Device time"] == ("80.0 s",)


def test_a_failure_in_two_tables_stands_once_with_both_places() -> None:
    summary = summary_of(
        *(line(table, "r", "a", 0, key="same", status="failed", error="no memory") for table in ("t", "u"))
    )
    assert [(failure.places, failure.seeds, failure.error) for failure in summary.failures] == [
        (("t: r, a", "u: r, a"), (0,), "no memory")
    ]


TEACHER = {"key": "teacher", "status": "done", "seed": 0, "seconds": 100.0, "device_seconds": 400.0}


def distilled(row: str, *teachers: dict, **changes: object) -> dict:
    return line("t", row, "a", 1, inside=json.dumps(teachers), seconds=10.0, device_seconds=10.0, **changes)


def test_a_teacher_of_several_rows_is_one_training_and_its_time_counts_once() -> None:
    summary = summary_of(distilled("KD", TEACHER), distilled("CWD", TEACHER))
    assert summary.states == {"done": 3}
    assert dict(summary.details)["One training"] == ("10.0 s, from 10.0 s to 100.0 s",)
    assert dict(summary.details)["All trainings"] == ("120.0 s",)
    assert dict(summary.details)["Device time"] == ("7.0 min",)
    costs = [(cost.row, cost.trainings, cost.device_seconds) for cost in summary.costs]
    assert costs == [("KD", 1, 10.0), ("CWD", 1, 10.0), ("inside its rows", 1, 400.0)]


def test_a_teacher_that_is_also_a_row_counts_as_that_row_only() -> None:
    summary = summary_of(distilled("CPS", key="teacher"), distilled("KD", TEACHER))
    assert summary.states == {"done": 2}
    assert [cost.row for cost in summary.costs] == ["CPS", "KD"]


def test_a_teacher_that_was_removed_after_its_students_is_not_waited_for() -> None:
    absent = {"key": "teacher", "status": "waiting"}
    assert summary_of(distilled("KD", absent)).states == {"done": 1}
    assert summary_of(distilled("KD", absent, status="waiting")).states == {"waiting": 2}


def test_a_teachers_failure_stands_once_with_the_first_cell_that_it_is_nested_in() -> None:
    lost = {"key": "teacher", "status": "failed", "error": "NaN", "seed": 7}
    summary = summary_of(
        *(distilled(row, lost, status="blocked", error="needs teacher, which failed") for row in ("KD", "CWD"))
    )
    assert summary.states == {"failed": 1, "blocked": 2}
    assert [failure for failure in summary.failures if failure.state == "failed"] == [
        Failure(places=("inside t: KD, a",), seeds=(7,), state="failed", error="NaN")
    ]


def test_nested_records_of_older_versions_have_fewer_values_and_count() -> None:
    summary = summary_of(distilled("KD", {"key": "teacher", "method": "cps", "params": 6e7}))
    assert summary.states == {"done": 2}
    assert dict(summary.details)["Device time"] == ("10.0 s",)


def test_seeds_that_are_blocked_for_the_same_reason_stand_together() -> None:
    summary = summary_of(*(line("t", "r", "a", seed, status="blocked", error="teacher failed") for seed in (0, 1)))
    assert [failure.seeds for failure in summary.failures] == [(0, 1)]


def test_quoted_cells_are_no_trainings(study: Study) -> None:
    assert summarize(study.frame, study.layout).states == {"done": 29, "failed": 1, "blocked": 3}


def test_several_machines_and_commits_are_named_with_their_numbers_of_trainings() -> None:
    summary = summary_of(
        *(line("t", "r", "a", seed, device="gpu" if seed else "cpu", git_clean=seed > 0) for seed in range(3))
    )
    details = dict(summary.details)
    assert details["Devices"] == ("1 × gpu, 1 threads each (2 trainings)", "1 × cpu, 1 threads each (1 trainings)")
    assert details["Code"][1] == "commit 0123abc, with changes that are not committed (1 trainings)"


def test_absent_details_are_named_as_not_recorded() -> None:
    summary = summary_of(
        line("t", "r", "a", 0, device=None, git_commit=None, versions=None, seconds=None, device_seconds=None)
    )
    details = dict(summary.details)
    assert (details["Code"], details["Versions"]) == (("commit not recorded",), ("not recorded",))
    assert details["All trainings"] == ("–",)


def test_a_study_without_finished_trainings_has_a_summary() -> None:
    summary = summary_of(line("t", "r", "a", 0, status="waiting", seconds=None, started=None, finished=None))
    assert (summary.states, summary.costs, dict(summary.details)["From, to"]) == ({"waiting": 1}, (), ("–",))


@pytest.mark.parametrize(
    ("comparable", "expected"), [((True, True), "all"), ((True, False), "some"), ((False, False), "none")]
)
def test_a_summary_states_if_all_some_or_no_cells_are_comparable(comparable: tuple[bool, bool], expected: str) -> None:
    lines = (line("t", "r", "a", seed, comparable=flag) for seed, flag in enumerate(comparable))
    assert summary_of(*lines).comparable == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (5.25, "5.2 s"), (600, "10.0 min"), (5 * 3600, "5.0 h"), (86400 * 4, "4.0 days")]
)
def test_times_have_readable_units(seconds: float | None, text: str) -> None:
    assert measured_time(seconds) == text
