"""What lies under a key, in what form, and what it means together."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from assay.store import checkpoints
from assay.store.claims import STALE_AFTER, Observer
from assay.store.documents import line, parse, parse_lines, pretty
from assay.store.store import DamagedDocument, Store

EXPERIMENT = "experiment.json"  # the experiment, resolved, and what it was run with
METRICS = "metrics.jsonl"  # one line per logged step
RESULT = "result.json"  # the final numbers; where it is, the experiment is done
FAILURES = "failures.jsonl"  # one line per failed attempt, and one per decision to try again after a final one
LOG = "log.txt"  # what was said while a study trained it: notes, warnings, tracebacks
PANEL = "panel.npz"  # the first validation images with their truth and prediction
ATTEMPTS = "attempts.jsonl"  # one line per begun attempt, written before it trains, and one per end that was seen
SESSIONS = "sessions.json"  # where it was trained, session by session
_ERROR_OF_RANK = re.compile(r"error-rank\d+\.json")


@dataclasses.dataclass(frozen=True)
class ExperimentState:
    """How far a key is, and a few words on it."""

    name: Literal["absent", "done", "failed", "running", "interrupted"]
    detail: str = ""
    crashes_in_a_row: int = 0  # of an interrupted one: see `silent_ends`
    is_damaged: bool = False  # of a failed one: a document is, and `detail` says which and what helps


def write_experiment(store: Store, key: str, document: Mapping[str, Any]) -> None:
    """Write down which experiment a key stands for; the first one to do so stays."""
    _write_once(store, key, EXPERIMENT, document)


def write_result(store: Store, key: str, document: Mapping[str, Any]) -> bool:
    """Write the result; False, and nothing done, where there is one."""
    return _write_once(store, key, RESULT, document)


def read_json(store: Store, key: str, name: str) -> dict[str, Any] | None:
    """A document under a key, or None where there is none."""
    data = store.read(key, name)
    # An empty file is a name that was taken by a process that was killed before it wrote.
    return parse(data, f"{store.place(key)}/{name}") if data else None


def read_metrics(store: Store, key: str) -> list[dict[str, Any]]:
    """All logged lines; a last one that was cut off by a kill is left out."""
    return [document for _, document in _lines(store, key, METRICS)]


def official_miou(line: Mapping[str, Any]) -> float | None:
    """The mIoU of the first network in a line of an evaluation."""
    return next((value for name, value in line.items() if name.endswith("/miou")), None)


def scores(store: Store, key: str) -> dict[int, float]:
    """The official network's mIoU by step, as far as the training came."""
    found = ((line["step"], official_miou(line)) for line in read_metrics(store, key))
    return {step: miou for step, miou in found if miou is not None}


def metrics_up_to(store: Store, key: str, step: int) -> bytes:
    """The log as it was at `step`, byte by byte: what a training that goes on from there keeps."""
    return b"".join(raw for raw, document in _lines(store, key, METRICS) if document["step"] <= step)


def add_failure(store: Store, key: str, document: Mapping[str, Any], *, final: bool) -> None:
    """Add an attempt that failed to the history; after a final one the key is failed until `retry`."""
    _add_to_history(store, key, {**document, "final": final})


def begin_attempt(store: Store, key: str, document: Mapping[str, Any]) -> None:
    """Write down that an attempt begins, before it can end in any way."""
    _add_to_history(store, key, document, name=ATTEMPTS)


def end_attempt(store: Store, key: str, how: str) -> None:
    """Write down that the last attempt ended, and was there to say so."""
    _add_to_history(store, key, {"ended": how}, name=ATTEMPTS)


def attempts(store: Store, key: str) -> list[dict[str, Any]]:
    """The attempts that were begun, oldest first."""
    return [document for _, document in _lines(store, key, ATTEMPTS) if "ended" not in document]


def crashes_in_a_row(store: Store, key: str) -> int:
    """How many attempts in a row ended without a word, by a kill or a crash, and without getting further.

    Who ended them is not known: it may have been the experiment, or a person.
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
    """How many workers trained up to the checkpoint that a training continues from; None where it begins anew."""
    reached = max(checkpoints.steps(store.names(key)), default=0)
    return next((ranks for step, ranks in reversed(_workers(store, key)) if step < reached), None)


def workers_last(store: Store, key: str) -> int | None:
    """How many workers trained last, however far they came; None where nobody did."""
    return next((ranks for _, ranks in reversed(_workers(store, key))), None)


def _workers(store: Store, key: str) -> list[tuple[int, int]]:
    """The step that each session began at, and its number of workers."""
    try:
        sessions = (read_json(store, key, SESSIONS) or {"sessions": []})["sessions"]
    except DamagedDocument:  # the training itself will fail with it
        return []
    return [(int(each["from_step"]), int(each["ranks"])) for each in sessions]


def workers_changed_note(before: int, now: int) -> str:
    """What is said of a training that goes on with another number of workers."""
    return f"begun with {before} worker{'s' * (before != 1)}, continues with {now}: equal to rounding, recorded"


def retry(store: Store, key: str) -> None:
    """Let a failed key be tried again; its history stays."""
    if _final_failure(store, key) is not None:
        clear_errors_of_ranks(store, key)
        end_attempt(store, key, "given another try")
        _add_to_history(store, key, {"retry": True})


def failures(store: Store, key: str, *, all_times: bool = True) -> list[dict[str, Any]]:
    """The attempts that failed, oldest first; of all times, or since it was last decided to try again."""
    history = [document for _, document in _lines(store, key, FAILURES)]
    retries = [index for index, document in enumerate(history) if "retry" in document]
    begin = retries[-1] + 1 if retries and not all_times else 0
    told = [document for document in history[begin:] if "retry" not in document]
    known = {document.get("error") for document in told}
    return told + [document for document in errors_of_ranks(store, key) if document.get("error") not in known]


def write_error_of_rank(store: Store, key: str, rank: int, document: Mapping[str, Any]) -> None:
    """Keep what ended another rank than the first, which alone writes the history and may not live to do so."""
    store.write(key, f"error-rank{rank}.json", pretty(document))


def errors_of_ranks(store: Store, key: str) -> list[dict[str, Any]]:
    """What other ranks than the first wrote in the last attempt, the final ones last."""
    found = [read_json(store, key, name) for name in store.names(key) if _ERROR_OF_RANK.fullmatch(name)]
    return sorted((each for each in found if each), key=lambda each: bool(each["final"]))


def clear_errors_of_ranks(store: Store, key: str) -> None:
    """Forget what other ranks wrote in the attempt before."""
    for name in store.names(key):
        if _ERROR_OF_RANK.fullmatch(name):
            store.delete(key, name)


def state(
    store: Store, key: str, *, observer: Observer | None = None, stale_after: float = STALE_AFTER
) -> ExperimentState:
    """How far a key is; one of which a document is damaged is failed for as long as that lies there.

    The claim of a process on another machine counts as living unless `observer` has seen it stand still.
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
    claim, free = observer.observe(store, key, stale_after=stale_after)
    if claim is not None and not free:
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
