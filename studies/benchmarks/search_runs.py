"""The searches of search_benchmark.py: run a search, read its results, count its steps and its overhead."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import io
import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.experiment import Experiment
from assay.presets import quick
from assay.run import run_search, run_study
from assay.search import Float, ProfileSettings, Search
from assay.study import Profile, Row, Study, Table
from studies.benchmarks.platform_benchmark import TRIVIAL
from studies.recipes.columns import TEXTURES_NOTE

COLUMN = "1/16"
LR, DECAY = Float(0.005, 0.5, log=True), Float(1e-5, 1e-2, log=True)
STARTS = {
    # The worst corner of the space: the preset's values were tuned on these textures and would be a hint.
    "corner": {"recipe.optimizer.lr": LR.low, "recipe.optimizer.weight_decay": DECAY.low},
    "preset": {},
}
IN_COLUMN = {COLUMN: {"data.split.labeled": COLUMN}}
STUDY = Study(
    name="search_benchmark_base",
    title="Supervised, the start of the benchmark's searches",
    tables=(
        Table(
            name="mkd.table1.search",
            columns=(COLUMN,),
            rows=tuple(Row(name, {"method": "supervised", **changes}) for name, changes in STARTS.items()),
            reference="preset",
        ),
    ),
    profiles=(
        Profile(name="quick", note=TEXTURES_NOTE, start=quick, columns=IN_COLUMN),
        Profile(name="trivial", note="two steps of 16 x 16", start=quick, changes=TRIVIAL, columns=IN_COLUMN),
    ),
)
SEARCH = Search(
    name="mkd.table1.search",
    title="Learning rate and weight decay of Supervised",
    study=STUDY,
    table="mkd.table1.search",
    row="corner",
    space={"recipe.optimizer.lr": LR, "recipe.optimizer.weight_decay": DECAY},
    settings={name: ProfileSettings(column=COLUMN, configurations=1) for name in ("quick", "trivial")},
)


# --- budgets and overheads ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """A configuration and its outcome."""

    values: Mapping[str, float]
    origin: str
    state: str
    steps: int  # of its training
    miou: float | None  # in percent, of a complete one
    seconds: float
    key: str


def within(budget: int, tried: Sequence[Tried]) -> Sequence[Tried]:
    """Return the first configurations, as many as a budget of steps covers."""
    return tried[
        : bisect.bisect_right(list(itertools.accumulate(configuration.steps for configuration in tried)), budget)
    ]


def best(tried: Sequence[Tried]) -> float:
    """Return the highest mIoU of the complete configurations; NaN if there is none."""
    mious = [configuration.miou for configuration in tried if configuration.miou is not None]
    return max(mious, default=float("nan"))


def more_that_fit(budget: int, tried: Sequence[Tried], *, rungs: Sequence[int]) -> int:
    """Return the number of configurations to add: all that surely fit, then one at a time while a pruned one fits."""
    left = budget - sum(configuration.steps for configuration in tried)
    return 0 if left < rungs[0] else max(1, left // rungs[-1])


def overhead(began: float, ends: Sequence[tuple[float, float]], workers: int) -> float:
    """Return the worker-seconds per training beyond the training itself.

    ends: for each training, in order, the time of its end and its seconds
    workers: the number of trainings side by side
    """
    return workers * (ends[-1][0] - began) / len(ends) - statistics.fmean(seconds for _, seconds in ends)


def overheads(began: float, ends: Sequence[tuple[float, float]], workers: int) -> dict[str, float]:
    """Return the overhead from the beginning, and in the second half alone, when all gangs have surely started."""
    half = len(ends) // 2
    return {
        "overhead": overhead(began, ends, workers),
        "overhead_in_second_half": overhead(ends[half - 1][0], ends[half:], workers),
    }


# --- one search -----------------------------------------------------------------------------------------------


class TimedOutput(io.StringIO):
    """Printed text with the time of each piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[tuple[float, str]] = []

    def write(self, text: str) -> int:
        """Keep the text with its time."""
        self._pieces.append((time.time(), text))
        return super().write(text)

    def time_of(self, words: str) -> float | None:
        """Return the time at which these words were first printed, or None."""
        return next((time for time, text in self._pieces if words in text), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The outcome and the times of a complete search."""

    tried: tuple[Tried, ...]
    connected: float | None  # the time at which Ray was up
    proposed: tuple[float, ...]  # the time of each configuration's proposal
    ends: tuple[tuple[float, float], ...]  # for each complete configuration, the time of its end and its seconds
    wall: float


def run_timed_search(search: Search, out: Path, *flags: str) -> SearchResult:
    """Run a search and read its results."""
    import pandas as pd

    printed, began = TimedOutput(), time.time()
    with contextlib.redirect_stdout(printed):
        code = run_search(search, ["--out", str(out), *flags])
    wall = time.time() - began
    if code not in (0, 1):  # 1: some failed, where the learning rate was too high
        raise SystemExit(f"the search {' '.join(flags)} ended with {code}:\n{printed.getvalue()}")
    (file,) = out.glob(f"{search.name}/*/trials.parquet")
    rows: list[dict[str, Any]] = pd.read_parquet(file).to_dict("records")  # type: ignore[assignment]
    tried = tuple(_tried(row, tuple(search.space)) for row in rows)
    ends = sorted(
        ((out / "store" / configuration.key / "result.json").stat().st_mtime, configuration.seconds)
        for configuration in tried
        if configuration.miou is not None
    )
    return SearchResult(
        tried=tried,
        connected=printed.time_of(" on this machine"),
        proposed=tuple(row["proposed"].timestamp() for row in rows),
        ends=tuple(ends),
        wall=wall,
    )


def run_timed_study(out: Path, count: int, *flags: str) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Run a study of the start with `count` seeds; return the time at which Ray was up, and the trainings' ends."""
    printed = TimedOutput()
    seeds = [str(seed) for seed in range(count)]
    with contextlib.redirect_stdout(printed):
        code = run_study(STUDY, ["--out", str(out), "--rows", "corner", "--seeds", *seeds, *flags])
    connected = printed.time_of(" on this machine")
    if code or connected is None:
        raise SystemExit(f"the study {' '.join(flags)} ended with {code}:\n{printed.getvalue()}")
    return connected, tuple(sorted(ends_in(out).values()))


def _tried(row: Mapping[str, Any], paths: tuple[str, ...]) -> Tried:
    complete = row["state"] == "complete"
    return Tried(
        values={path: float(row[path]) for path in paths},
        origin=row["origin"],
        state=row["state"],
        steps=int(row["pruned_at"] if row["state"] == "pruned" else row["steps"]),  # too many for a failed one
        miou=float(row["objective/miou"]) if complete else None,
        seconds=float(row["device_seconds"]),
        key=row["key"],
    )


def base_and_rungs(search: Search, *flags: str) -> tuple[Experiment, tuple[int, ...]]:
    """Return the base of a search with these flags, and its rungs."""
    from assay.run.search_flags import parser
    from assay.run.search_options import SearchOptions
    from assay.run.search_run import SearchRun

    run = SearchRun.make(search, SearchOptions.parse(parser(search).parse_args(list(flags))))
    return run.configurations.base(), run.rungs


def ends_in(out: Path) -> dict[str, tuple[float, float]]:
    """Return, by key, the time at which each training of a store ended, and its seconds."""
    return {
        path.parent.name: (path.stat().st_mtime, float(json.loads(path.read_text())["device_seconds"]))
        for path in out.glob("store/*/result.json")
    }
