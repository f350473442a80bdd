"""What a study's trainings were, apart from what they scored: states, failures, code, machines, time.

A training that stands in several tables, or inside several others, has one key and is counted once.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Literal

import pandas as pd

from assay.analysis.filled_table import STATES, State, records
from assay.analysis.network_sizes import Size, sizes
from assay.results.layout import StudyLayout
from assay.results.nested import inside

Line = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """Trainings of some cells without a result, and why."""

    places: tuple[str, ...]  # table, row and column of each cell that they stand in, or of the first one's inside
    seeds: tuple[int, ...]
    state: State
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What the trainings of a row took, or all those inside a table's rows."""

    table: str
    row: str
    trainings: int
    params: float | None
    macs: float | None
    seconds: float | None  # of one training, the middle one
    device_seconds: float | None  # of all of them


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSummary:
    """Everything about how a study was run."""

    states: dict[State, int]
    failures: tuple[Failure, ...]
    details: tuple[tuple[str, tuple[str, ...]], ...]  # a name, and one text or several
    costs: tuple[Cost, ...]
    sizes: tuple[Size, ...]
    comparable: Literal["all", "some", "none"]  # how many cells follow the paper's protocol


def summarize(frame: pd.DataFrame, layout: StudyLayout) -> RunSummary:
    """The facts of a study, from its results."""
    lines = [line for line in records(frame) if line["status"] != "quoted"]
    inner = _inside(lines, {line["key"] for line in lines})
    trainings = [*{line["key"] or number: line for number, line in enumerate(lines)}.values(), *inner]
    followed = [bool(line["comparable"]) for line in lines]
    states = Counter(line["status"] for line in trainings)
    return RunSummary(
        states={state: states[state] for state in STATES if states[state]},
        failures=tuple(_failures([*lines, *inner])),
        details=tuple(_details(trainings)),
        costs=tuple(_costs(lines, layout)),
        sizes=sizes(lines),
        comparable="all" if all(followed) else "some" if any(followed) else "none",
    )


def _inside(lines: Iterable[Line], own: Set[str | None]) -> list[Line]:
    """What stands inside the lines' experiments and is none of the `own` ones, each once; a place is its first one's.

    What was removed once all that needed it was done is not waited for.
    """
    found: dict[str, Line] = {}
    for line in lines:
        for each in inside(line):
            idle = each["status"] == "waiting" and line["status"] == "done"
            if each["key"] not in own and not idle:
                place = {"table": f"inside {line['table']}", "row": line["row"], "column": line["column"]}
                seed = line["seed"] if each["seed"] is None else each["seed"]
                found.setdefault(each["key"], {**each, **place, "seed": seed})
    return list(found.values())


def _failures(lines: Sequence[Line]) -> Iterable[Failure]:
    """Each lost training once, seeds that were lost in the same cells for the same reason together."""
    lost: dict[Any, list[Line]] = {}
    for line in lines:
        if line["status"] in ("failed", "blocked"):
            lost.setdefault(line["key"] or (line["error"], line["seed"]), []).append(line)
    seeds: dict[tuple[State, tuple[str, ...], str], list[int]] = {}
    for same in lost.values():
        places = tuple(f"{line['table']}: {line['row']}, {line['column']}" for line in same)
        error = same[0]["error"] or "No reason was recorded."
        seeds.setdefault((same[0]["status"], places, error), []).append(int(same[0]["seed"]))
    for (state, places, error), own in seeds.items():
        yield Failure(places=places, seeds=tuple(own), state=state, error=error)


def _details(trainings: Sequence[Line]) -> Iterable[tuple[str, tuple[str, ...]]]:
    done = [line for line in trainings if line["status"] == "done"]
    yield "Code", _counted(_commit(line) for line in done)
    yield "Versions", _counted(_versions(line["versions"]) for line in done)
    yield "Devices", _counted(_device(line) for line in done)
    yield "One training", (_span([line["seconds"] for line in done]),)
    yield "All trainings", (duration(_total(done, "seconds")),)
    yield "Device time", (duration(_total(done, "device_seconds")),)
    times = sorted(line[end] for line in done for end in ("started", "finished") if line[end])
    yield "From, to", (" to ".join((times[0], times[-1])) if times else duration(None),)


def _counted(texts: Iterable[str]) -> tuple[str, ...]:
    """Each text once; where there are several, with how many trainings it holds for."""
    counts = Counter(texts)
    if len(counts) < 2:
        return tuple(counts) or ("–",)
    return tuple(f"{text} ({count} trainings)" for text, count in counts.most_common())


def _commit(line: Line) -> str:
    if not line["git_commit"]:
        return "commit not recorded"
    changed = "" if line["git_clean"] in (True, None) else ", with changes that are not committed"
    return f"commit {line['git_commit']}{changed}"


def _versions(text: str | None) -> str:
    named = json.loads(text) if text else {}
    return ", ".join(f"{name} {version}" for name, version in named.items()) or "not recorded"


def _device(line: Line) -> str:
    workers = f"{int(line['world_size'] or 1)} × "
    threads = f", {int(line['threads'])} threads each" if line["threads"] else ""
    return f"{workers}{line['device'] or 'device not recorded'}{threads}"


def _total(lines: Iterable[Line], column: str) -> float | None:
    known = [line[column] for line in lines if line[column] is not None]
    return sum(known) if known else None


def _middle(values: Sequence[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[len(known) // 2] if known else None


def _span(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return duration(None)
    return f"{duration(_middle(known))}, from {duration(min(known))} to {duration(max(known))}"


def _costs(lines: Sequence[Line], layout: StudyLayout) -> Iterable[Cost]:
    keys = {line["key"] for line in lines}
    for table in layout.tables:
        within = [line for line in lines if line["table"] == table.name]
        rows = {row.label: [line for line in within if line["row"] == row.label] for row in table.rows}
        shown = [line for own in rows.values() for line in own]
        for label, own in (rows | {"inside its rows": _inside(shown, keys)}).items():
            done = [line for line in own if line["status"] == "done"]
            if done:
                yield _cost(table.title, label, done)


def _cost(table: str, row: str, done: Sequence[Line]) -> Cost:
    return Cost(
        table=table,
        row=row,
        trainings=len(done),
        params=_middle([line["params"] for line in done]),
        macs=_middle([line["macs"] for line in done]),
        seconds=_middle([line["seconds"] for line in done]),
        device_seconds=_total(done, "device_seconds"),
    )


def duration(seconds: float | None) -> str:
    """A time in the unit in which it is easily read."""
    if seconds is None:
        return "–"
    for size, unit in ((86400 * 3, "days"), (3600 * 3, "h"), (180, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.1f} {unit}"
    return f"{seconds:.1f} s"
