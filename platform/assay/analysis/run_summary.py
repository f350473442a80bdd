"""The trainings of a study apart from their scores: states, failures, code, machines, time.

A training of several cells, or one that is nested in several experiments, has one key and counts once.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any, Literal

import pandas as pd

from assay.analysis.filled_table import RUN_STATES, Record, RunState, records
from assay.analysis.network_sizes import NetworkSize, sizes
from assay.results.layout import StudyLayout
from assay.results.nested import nested_records
from assay.wording import measured_time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """Trainings without a result, and the reason."""

    places: tuple[str, ...]  # table, row and column of their cells, or of the first cell that they are nested in
    seeds: tuple[int, ...]
    state: RunState
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a row's trainings, or of all experiments that are nested in a table's rows."""

    table: str
    row: str
    trainings: int
    params: float | None
    macs: float | None
    seconds: float | None  # of one training: the median
    device_seconds: float | None  # of all trainings


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Everything about a study's trainings apart from their scores."""

    states: dict[RunState, int]
    failures: tuple[Failure, ...]
    details: tuple[tuple[str, tuple[str, ...]], ...]  # a name with one text or several
    costs: tuple[Cost, ...]
    sizes: tuple[NetworkSize, ...]
    comparable: Literal["all", "some", "none"]  # the cells that follow the paper's protocol


def summarize(frame: pd.DataFrame, layout: StudyLayout) -> RunSummary:
    """Return the summary of a study's results."""
    cells = [record for record in records(frame) if record["status"] != "quoted"]
    nested = _nested(cells, {cell["key"] for cell in cells})
    trainings = [*{cell["key"] or number: cell for number, cell in enumerate(cells)}.values(), *nested]
    comparable = [bool(cell["comparable"]) for cell in cells]
    states = Counter(training["status"] for training in trainings)
    return RunSummary(
        states={state: states[state] for state in RUN_STATES if states[state]},
        failures=tuple(_failures([*cells, *nested])),
        details=tuple(_details(trainings)),
        costs=tuple(_costs(cells, layout)),
        sizes=sizes(cells),
        comparable="all" if all(comparable) else "some" if any(comparable) else "none",
    )


def _nested(cells: Iterable[Record], keys: Set[str | None]) -> list[Record]:
    """Return the nested experiments whose keys are not in `keys`; the place of each is that of its first cell.

    An experiment that waits, while its cell is done, was removed after its last use: it is left out.
    """
    trainings: dict[str, Record] = {}
    for cell in cells:
        for nested in nested_records(cell):
            is_unneeded = nested["status"] == "waiting" and cell["status"] == "done"
            if nested["key"] not in keys and not is_unneeded:
                place = {"table": f"inside {cell['table']}", "row": cell["row"], "column": cell["column"]}
                seed = cell["seed"] if nested["seed"] is None else nested["seed"]
                trainings.setdefault(nested["key"], {**nested, **place, "seed": seed})
    return list(trainings.values())


def _failures(trainings: Sequence[Record]) -> Iterator[Failure]:
    """Yield the lost trainings, seeds of the same cells and with the same reason together."""
    lost: dict[Any, list[Record]] = {}
    for training in trainings:
        if training["status"] in ("failed", "blocked"):
            lost.setdefault(training["key"] or (training["error"], training["seed"]), []).append(training)
    seeds: dict[tuple[RunState, tuple[str, ...], str], list[int]] = {}
    for same in lost.values():
        places = tuple(f"{training['table']}: {training['row']}, {training['column']}" for training in same)
        error = same[0]["error"] or "No reason was recorded."
        seeds.setdefault((same[0]["status"], places, error), []).append(int(same[0]["seed"]))
    for (state, places, error), lost_seeds in seeds.items():
        yield Failure(places=places, seeds=tuple(lost_seeds), state=state, error=error)


def _details(trainings: Sequence[Record]) -> Iterator[tuple[str, tuple[str, ...]]]:
    done = [training for training in trainings if training["status"] == "done"]
    yield "Code", _counted(_commit(training) for training in done)
    yield "Versions", _counted(_versions(training["versions"]) for training in done)
    yield "Devices", _counted(_device(training) for training in done)
    yield "One training", (_span([training["seconds"] for training in done]),)
    yield "All trainings", (measured_time(_total(done, "seconds")),)
    yield "Device time", (measured_time(_total(done, "device_seconds")),)
    times = sorted(training[end] for training in done for end in ("started", "finished") if training[end])
    yield "From, to", (" to ".join((times[0], times[-1])) if times else measured_time(None),)


def _counted(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each text once; of several texts, each with the number of its trainings."""
    counts = Counter(texts)
    if len(counts) < 2:
        return tuple(counts) or ("–",)
    return tuple(f"{text} ({count} trainings)" for text, count in counts.most_common())


def _commit(training: Record) -> str:
    if not training["git_commit"]:
        return "commit not recorded"
    changed = "" if training["git_clean"] in (True, None) else ", with changes that are not committed"
    return f"commit {training['git_commit']}{changed}"


def _versions(text: str | None) -> str:
    versions = json.loads(text) if text else {}
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded"


def _device(training: Record) -> str:
    workers = f"{int(training['world_size'] or 1)} × "
    threads = f", {int(training['threads'])} threads each" if training["threads"] else ""
    return f"{workers}{training['device'] or 'device not recorded'}{threads}"


def _total(trainings: Iterable[Record], column: str) -> float | None:
    values = [training[column] for training in trainings if training[column] is not None]
    return sum(values) if values else None


def _median(values: Sequence[float | None]) -> float | None:
    """Return the upper median of the values that are there."""
    present = sorted(value for value in values if value is not None)
    return present[len(present) // 2] if present else None


def _span(values: Sequence[float | None]) -> str:
    present = [value for value in values if value is not None]
    if not present:
        return measured_time(None)
    return f"{measured_time(_median(present))}, from {measured_time(min(present))} to {measured_time(max(present))}"


def _costs(cells: Sequence[Record], layout: StudyLayout) -> Iterator[Cost]:
    keys = {cell["key"] for cell in cells}
    for table in layout.tables:
        of_table = [cell for cell in cells if cell["table"] == table.name]
        rows = {row.label: [cell for cell in of_table if cell["row"] == row.label] for row in table.rows}
        shown = [cell for of_row in rows.values() for cell in of_row]
        for label, trainings in (rows | {"inside its rows": _nested(shown, keys)}).items():
            done = [training for training in trainings if training["status"] == "done"]
            if done:
                yield _cost(table.title, label, done)


def _cost(table: str, row: str, done: Sequence[Record]) -> Cost:
    return Cost(
        table=table,
        row=row,
        trainings=len(done),
        params=_median([training["params"] for training in done]),
        macs=_median([training["macs"] for training in done]),
        seconds=_median([training["seconds"] for training in done]),
        device_seconds=_total(done, "device_seconds"),
    )
