"""The documents and logs under a key, and the state of the experiment that follows from them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from assay.store import checkpoints
from assay.store.claims import STALE_AFTER, Observer
from assay.store.documents import line, parse, parse_lines, pretty
from assay.store.store import DamagedDocument, Store

EXPERIMENT = "experiment.json"  # the resolved experiment
METRICS = "metrics.jsonl"  # one line per logged step
RESULT = "result.json"  # the final numbers; with this file the experiment is done
FAILURES = "failures.jsonl"  # one line per failed attempt, and one per decision to try again after a final one
LOG = "log.txt"  # notes, warnings and tracebacks of its training in a study
PANEL = "panel.npz"  # the first validation images with their truth and prediction
ATTEMPTS = "attempts.jsonl"  # one line per begun attempt, written before it trains, and one per orderly end
SESSIONS = "sessions.json"  # the environment of each session
_ERROR_OF_RANK = re.compile(r"error-rank\d+\.json")


@dataclasses.dataclass(frozen=True)
class ExperimentState:
    """The state of an experiment, with a few words on it."""

    name: Literal["absent", "done", "failed", "running", "interrupted"]
    detail: str = ""
    crashes_in_a_row: int = 0  # of an interrupted one: see the function of this name
    is_damaged: bool = False  # of a failed one: a document is damaged; `detail` names the document and the cure


def write_experiment(store: Store, key: str, document: Mapping[str, Any]) -> None:
    """Write the experiment of a key; the first document that is written stays."""
    _write_once(store, key, EXPERIMENT, document)


def write_result(store: Store, key: str, document: Mapping[str, Any]) -> bool:
    """Write the result and return True; return False, and write nothing, where there is one."""
    return _write_once(store, key, RESULT, document)


def read_json(store: Store, key: str, name: str) -> dict[str, Any] | None:
    """Return a document under a key; None where there is none."""
    data = store.read(key, name)
    # An empty file is a name whose process was killed before it wrote the content.
    return parse(data, f"{store.place(key)}/{name}") if data else None


def read_metrics(store: Store, key: str) -> list[dict[str, Any]]:
    """Return all logged lines, without a last one that was cut off by a kill."""
    return [document for _, document in _lines(store, key, METRICS)]


def official_miou(line: Mapping[str, Any]) -> float | None:
    """Return the mIoU of the first network in the line of an evaluation; None for any other line."""
    return next((value for name, value in line.items() if name.endswith("/miou")), None)


def scores(store: Store, key: str) -> dict[int, float]:
    """Return the official network's mIoU by step, up to the last logged evaluation."""
    evaluations = ((line["step"], official_miou(line)) for line in read_metrics(store, key))
    return {step: miou for step, miou in evaluations if miou is not None}


def metrics_up_to(store: Store, key: str, step: int) -> bytes:
    """Return the log as it was at `step`, byte by byte: the part that a training continued from there keeps."""
    return b"".join(raw for raw, document in _lines(store, key, METRICS) if document["step"] <= step)


def add_failure(store: Store, key: str, document: Mapping[str, Any], *, final: bool) -> None:
    """Add a failure to the history; after a final one the key is failed until `retry`."""
    _add_to_history(store, key, {**document, "final": final})


def begin_attempt(store: Store, key: str, document: Mapping[str, Any]) -> None:
    """Write down that an attempt begins, before it can end in any way."""
    _add_to_history(store, key, document, name=ATTEMPTS)


def end_attempt(store: Store, key: str, how: str) -> None:
    """Write down how the last attempt ended; a killed attempt leaves no such line."""
    _add_to_history(store, key, {"ended": how}, name=ATTEMPTS)


def attempts(store: Store, key: str) -> list[dict[str, Any]]:
    """Return the attempts that were begun, oldest first."""
    return [document for _, document in _lines(store, key, ATTEMPTS) if "ended" not in document]


def crashes_in_a_row(store: Store, key: str) -> int:
    """Return the number of last attempts that ended by a kill or a crash, and that reached no new checkpoint.

    The cause is unknown: the experiment may have ended them, or a person.
    """
    count, step = 0, None
    reached = max(checkpoints.steps(store.names(key)), default=0)
    for _, document in reversed(_lines(store, key, ATTEMPTS)):
        began = document.get("from_step", 0)
        if "ended" in document or reached > began or (step is not None and began != step):
            break
        step = began
        count += 1
    return count


def workers_before(store: Store, key: str) -> int | None:
    """Return the number of workers of the session that wrote the newest checkpoint; None without a checkpoint."""
    reached = max(checkpoints.steps(store.names(key)), default=0)
    return next((ranks for step, ranks in reversed(_workers(store, key)) if step < reached), None)


def workers_last(store: Store, key: str) -> int | None:
    """Return the number of workers of the last session, with or without a checkpoint; None without a session."""
    return next((ranks for _, ranks in reversed(_workers(store, key))), None)


def _workers(store: Store, key: str) -> list[tuple[int, int]]:
    """Return, for each session, its first step and its number of workers."""
    try:
        sessions = (read_json(store, key, SESSIONS) or {"sessions": []})["sessions"]
    except DamagedDocument:  # the training itself will report it
        return []
    return [(int(session["from_step"]), int(session["ranks"])) for session in sessions]


def workers_changed_note(before: int, now: int) -> str:
    """Return the note on a training that continues with another number of workers."""
    return f"begun with {before} worker{'s' * (before != 1)}, continues with {now}: equal to rounding, recorded"


def retry(store: Store, key: str) -> None:
    """Free a failed key for another attempt; its history stays."""
    if _final_failure(store, key) is not None:
        clear_errors_of_ranks(store, key)
        end_attempt(store, key, "given another try")
        _add_to_history(store, key, {"retry": True})


def failures(store: Store, key: str, *, all_times: bool = True) -> list[dict[str, Any]]:
    """Return the failures, oldest first: all of them, or those since the last `retry`."""
    history = [document for _, document in _lines(store, key, FAILURES)]
    retries = [index for index, document in enumerate(history) if "retry" in document]
    begin = retries[-1] + 1 if retries and not all_times else 0
    recorded = [document for document in history[begin:] if "retry" not in document]
    errors = {document.get("error") for document in recorded}
    return recorded + [document for document in errors_of_ranks(store, key) if document.get("error") not in errors]


def write_error_of_rank(store: Store, key: str, rank: int, document: Mapping[str, Any]) -> None:
    """Write the error that ended another rank than the first. Rank 0 alone writes the history, but may be killed."""
    store.write(key, f"error-rank{rank}.json", pretty(document))


def errors_of_ranks(store: Store, key: str) -> list[dict[str, Any]]:
    """Return the errors of other ranks than the first in the last attempt, final ones last."""
    errors = [read_json(store, key, name) for name in store.names(key) if _ERROR_OF_RANK.fullmatch(name)]
    return sorted((error for error in errors if error), key=lambda error: bool(error["final"]))


def clear_errors_of_ranks(store: Store, key: str) -> None:
    """Delete the errors of other ranks of the attempt before."""
    for name in store.names(key):
        if _ERROR_OF_RANK.fullmatch(name):
            store.delete(key, name)


def state(
    store: Store, key: str, *, observer: Observer | None = None, stale_after: float = STALE_AFTER
) -> ExperimentState:
    """Return the state of a key's experiment. While one of its documents is damaged, the experiment is failed.

    The claim of a process on another machine counts as living unless `observer` has watched it without a beat.
    """
    try:
        return _state(store, key, observer or Observer(), stale_after)
    except DamagedDocument as damage:
        return ExperimentState("failed", str(damage), is_damaged=True)


def _state(store: Store, key: str, observer: Observer, stale_after: float) -> ExperimentState:
    names = store.names(key)
    if not names:
        return ExperimentState("absent")
    if RESULT in names and read_json(store, key, RESULT) is not None:
        return ExperimentState("done")
    claim, is_free = observer.observe(store, key, stale_after=stale_after)
    if claim is not None and not is_free:
        return ExperimentState("running", claim.describe())
    failure = _final_failure(store, key)
    if failure is not None:
        return ExperimentState("failed", str(failure.get("error", "")))
    reached = checkpoints.steps(names)
    where = f"at step {reached[-1]}" if reached else "before its first checkpoint"
    return ExperimentState("interrupted", where, crashes_in_a_row(store, key))


def _final_failure(store: Store, key: str) -> dict[str, Any] | None:
    recent = failures(store, key, all_times=False)
    return recent[-1] if recent and recent[-1].get("final") else None


def _add_to_history(store: Store, key: str, document: Mapping[str, Any], *, name: str = FAILURES) -> None:
    history = b"".join(raw for raw, _ in _lines(store, key, name))
    store.write(key, name, history + line(document))


def _lines(store: Store, key: str, name: str) -> list[tuple[bytes, dict[str, Any]]]:
    return parse_lines(store.read(key, name) or b"", f"{store.place(key)}/{name}")


def _write_once(store: Store, key: str, name: str, document: Mapping[str, Any]) -> bool:
    data = pretty(document)
    if store.create(key, name, data):
        return True
    if read_json(store, key, name) is not None:
        return False
    store.write(key, name, data)
    return True
