from __future__ import annotations

import math

import pytest

from assay.store import checkpoints, records
from assay.store.claims import Observer, acquire
from assay.store.local import LocalStore
from assay.store.records import EXPERIMENT, FAILURES, METRICS, RESULT, ExperimentState
from assay.store.store import StoreError


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def log_steps(store, *steps, rest=b""):
    log = store.open_log("key", METRICS, b"")
    for step in steps:
        log.append(b'{"step": %d, "loss":   0.50}\n' % step)
    log.append(rest)
    log.close()


# --- documents --------------------------------------------------------------------------------------------


def test_the_experiment_is_written_once(store):
    records.write_experiment(store, "key", {"seed": 1})
    records.write_experiment(store, "key", {"seed": 2})
    assert records.read_json(store, "key", EXPERIMENT) == {"seed": 1}


def test_the_first_result_stays_and_a_second_write_returns_false(store):
    assert records.write_result(store, "key", {"miou": 0.5}) is True
    assert records.write_result(store, "key", {"miou": 0.6}) is False
    assert records.read_json(store, "key", RESULT) == {"miou": 0.5}


def test_a_document_that_is_not_there_is_none(store):
    assert records.read_json(store, "key", RESULT) is None


def test_a_name_that_was_taken_and_never_filled_counts_as_nothing_written(store):
    store.write("key", RESULT, b"")
    assert records.read_json(store, "key", RESULT) is None
    assert records.state(store, "key").name == "interrupted"
    assert records.write_result(store, "key", {"miou": 0.5}) is True
    assert records.state(store, "key").name == "done"


def test_a_damaged_document_is_named(store):
    store.write("key", RESULT, b'{"miou": ')
    with pytest.raises(StoreError, match=r"key/result\.json cannot be read"):
        records.read_json(store, "key", RESULT)


def test_a_result_that_is_not_a_number_is_refused_and_nothing_is_written(store):
    with pytest.raises(ValueError, match="JSON compliant"):
        records.write_result(store, "key", {"miou": math.nan})
    assert store.names("key") == []


# --- metrics ----------------------------------------------------------------------------------------------


def test_metrics_are_read_in_order_without_a_torn_last_line(store):
    log_steps(store, 1, 2, rest=b'{"step": 3, "lo')
    assert [each["step"] for each in records.read_metrics(store, "key")] == [1, 2]


def test_without_metrics_there_are_no_lines(store):
    assert records.read_metrics(store, "key") == []
    assert records.metrics_up_to(store, "key", 10) == b""


def test_metrics_are_cut_back_to_a_step_byte_by_byte(store):
    log_steps(store, 10, 20, 30, rest=b'{"step": 4')
    assert records.metrics_up_to(store, "key", 20) == (b'{"step": 10, "loss":   0.50}\n{"step": 20, "loss":   0.50}\n')


@pytest.mark.parametrize("step, kept", [(0, 0), (9, 0), (10, 1), (29, 2), (30, 3), (99, 3)])
def test_the_step_itself_is_kept(store, step, kept):
    log_steps(store, 10, 20, 30)
    assert records.metrics_up_to(store, "key", step).count(b"\n") == kept


def test_a_log_that_is_reopened_at_a_step_ends_with_the_same_bytes(store):
    log_steps(store, 10, 20, 30)
    whole = store.read("key", METRICS)
    log_steps(store, 10, 20, 25, rest=b'{"st')
    log = store.open_log("key", METRICS, records.metrics_up_to(store, "key", 20))
    log.append(b'{"step": 30, "loss":   0.50}\n')
    log.close()
    assert store.read("key", METRICS) == whole


# --- failures ---------------------------------------------------------------------------------------------


def test_the_history_keeps_all_failures_in_order(store):
    for attempt in (1, 2, 3):
        records.add_failure(store, "key", {"attempt": attempt}, final=attempt == 3)
    assert records.failures(store, "key") == [
        {"attempt": 1, "final": False},
        {"attempt": 2, "final": False},
        {"attempt": 3, "final": True},
    ]


def test_a_failure_after_a_torn_line_is_not_torn(store):
    records.add_failure(store, "key", {"attempt": 1}, final=False)
    store.write("key", FAILURES, store.read("key", FAILURES) + b'{"att')
    records.add_failure(store, "key", {"attempt": 2}, final=False)
    assert [each["attempt"] for each in records.failures(store, "key")] == [1, 2]


def test_trying_again_begins_a_new_count_and_keeps_the_history(store):
    records.add_failure(store, "key", {"attempt": 1}, final=True)
    records.retry(store, "key")
    assert records.failures(store, "key", all_times=False) == []
    records.add_failure(store, "key", {"attempt": 2}, final=False)
    assert [each["attempt"] for each in records.failures(store, "key", all_times=False)] == [2]
    assert [each["attempt"] for each in records.failures(store, "key")] == [1, 2]


def test_what_has_not_failed_for_good_needs_no_decision_to_try_again(store):
    records.retry(store, "key")
    assert store.names("key") == []
    records.add_failure(store, "key", {}, final=False)
    before = store.read("key", FAILURES)
    records.retry(store, "key")
    assert store.read("key", FAILURES) == before


# --- state ------------------------------------------------------------------------------------------------


def test_a_key_goes_through_its_states(store):
    assert records.state(store, "key") == ExperimentState("absent")
    records.write_experiment(store, "key", {})
    assert records.state(store, "key") == ExperimentState("interrupted", "before its first checkpoint")
    with acquire(store, "key") as claim:
        assert records.state(store, "key").name == "running"
        assert f"claim {claim.generation}" in records.state(store, "key").detail
        checkpoints.save(store, "key", b"", step=40)
    assert records.state(store, "key") == ExperimentState("interrupted", "at step 40")
    with acquire(store, "key"):
        records.write_result(store, "key", {"miou": 0.5})
        assert records.state(store, "key") == ExperimentState("done")
    assert records.state(store, "key") == ExperimentState("done")


def test_a_key_is_failed_after_a_final_failure_until_it_is_tried_again(store):
    records.add_failure(store, "key", {"error": "once"}, final=False)
    assert records.state(store, "key").name == "interrupted"
    records.add_failure(store, "key", {"error": "the loss is not finite"}, final=True)
    assert records.state(store, "key") == ExperimentState("failed", "the loss is not finite")
    records.retry(store, "key")
    assert records.state(store, "key").name == "interrupted"


def test_a_failed_key_that_is_being_tried_again_is_running(store):
    records.add_failure(store, "key", {"error": "no"}, final=True)
    with acquire(store, "key"):
        assert records.state(store, "key").name == "running"


def test_the_claim_of_an_unknown_owner_runs_until_an_observer_has_watched_it_without_a_beat(store):
    store.write("key", "claim-000001.json", b"")
    now = 0.0
    observer = Observer(lambda: now)
    states = []
    for _ in range(6):
        states.append(records.state(store, "key", observer=observer, stale_after=40).name)
        now += 10
    assert states == ["running"] * 4 + ["interrupted"] * 2
    assert records.state(store, "key").name == "running"


def begin_attempts(store: LocalStore, *steps: int) -> None:
    for step in steps:
        records.begin_attempt(store, "key", {"run": "r", "claim": 1, "from_step": step, "at": "now"})


def test_attempts_that_crash_without_a_new_checkpoint_are_counted(store: LocalStore) -> None:
    begin_attempts(store, 0, 10, 10)
    state = records.state(store, "key")
    assert (state.name, state.crashes_in_a_row) == ("interrupted", 2), "a person may have killed it: it is not failed"


def test_an_orderly_end_or_a_new_checkpoint_begins_the_count_of_crashes_anew(store: LocalStore) -> None:
    begin_attempts(store, 0, 0, 0)
    assert records.crashes_in_a_row(store, "key") == 3
    records.end_attempt(store, "key", "stopped")
    assert records.crashes_in_a_row(store, "key") == 0
    begin_attempts(store, 0, 0, 20)
    assert records.crashes_in_a_row(store, "key") == 1
    checkpoints.save(store, "key", b"far", step=30)
    assert records.crashes_in_a_row(store, "key") == 0
