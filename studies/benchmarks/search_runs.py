"""The searches of search_benchmark.py as functions: run one, read what it wrote, count its steps and its overhead."""

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
from studies.recipes.columns import SHAPES_NOTE

COLUMN = "1/16"
LR, DECAY = Float(0.005, 0.5, log=True), Float(1e-5, 1e-2, log=True)
STARTS = {
    # Where the space is worst: the preset's own values were tuned on these shapes, and would be a hint.
    "corner": {"recipe.optimizer.lr": LR.low, "recipe.optimizer.weight_decay": DECAY.low},
    "preset": {},
}
IN_COLUMN = {COLUMN: {"data.split.labeled": COLUMN}}
STUDY = Study(
    name="search_benchmark_base",
    title="Supervised, from which the benchmark's searches start",
    tables=(
        Table(
            name="mkd.table1.search",
            columns=(COLUMN,),
            rows=tuple(Row(name, {"method": "supervised", **changes}) for name, changes in STARTS.items()),
            reference="preset",
        ),
    ),
    profiles=(
        Profile(name="quick", note=SHAPES_NOTE, start=quick, columns=IN_COLUMN),
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


# --- what is computed -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """A configuration and what came of it."""

    values: Mapping[str, float]
    origin: str
    state: str
    steps: int  # that it was trained
    miou: float | None  # in percent, of a complete one
    seconds: float
    key: str


def within(budget: int, tried: Sequence[Tried]) -> Sequence[Tried]:
    """The first ones, as many as can be trained with so many steps."""
    return tried[: bisect.bisect_right(list(itertools.accumulate(each.steps for each in tried)), budget)]


def best(tried: Sequence[Tried]) -> float:
    """The highest mIoU of those that were trained to the end; not a number where none was."""
    return max((each.miou for each in tried if each.miou is not None), default=float("nan"))


def more_that_fit(budget: int, tried: Sequence[Tried], *, rungs: Sequence[int]) -> int:
    """How many more are proposed: as many as surely fit, then one by one while a pruned one would."""
    left = budget - sum(each.steps for each in tried)
    return 0 if left < rungs[0] else max(1, left // rungs[-1])


def overhead(began: float, ends: Sequence[tuple[float, float]], slots: int) -> float:
    """Seconds of a slot per training that are not the training's own; of each its end and its seconds, in order."""
    return slots * (ends[-1][0] - began) / len(ends) - statistics.fmean(seconds for _, seconds in ends)


def overheads(began: float, ends: Sequence[tuple[float, float]], slots: int) -> dict[str, float]:
    """From the beginning, and in the second half alone, when all gangs have surely come."""
    half = len(ends) // 2
    return {
        "overhead": overhead(began, ends, slots),
        "overhead_in_second_half": overhead(ends[half - 1][0], ends[half:], slots),
    }


# --- one search -----------------------------------------------------------------------------------------------


class Stamped(io.StringIO):
    """What is printed, and when."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[tuple[float, str]] = []

    def write(self, text: str) -> int:
        """Keep it with the time of day."""
        self._pieces.append((time.time(), text))
        return super().write(text)

    def when(self, words: str) -> float | None:
        """When these words were printed first."""
        return next((at for at, text in self._pieces if words in text), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A search that came to its end."""

    tried: tuple[Tried, ...]
    connected: float | None  # when Ray was there
    proposed: tuple[float, ...]  # when each configuration was
    ends: tuple[tuple[float, float], ...]  # of those trained to the end: when that was, and their seconds
    wall: float


def searched(search: Search, out: Path, *flags: str) -> Found:
    """Run a search, and read what it wrote."""
    import pandas as pd

    printed, began = Stamped(), time.time()
    with contextlib.redirect_stdout(printed):
        code = run_search(search, ["--out", str(out), *flags])
    wall = time.time() - began
    if code not in (0, 1):  # a learning rate may be too high for a training, which is a failed configuration
        raise SystemExit(f"the search {' '.join(flags)} ended with {code}:\n{printed.getvalue()}")
    (file,) = out.glob(f"{search.name}/*/trials.parquet")
    rows: list[dict[str, Any]] = pd.read_parquet(file).to_dict("records")  # type: ignore[assignment]
    tried = tuple(_tried(row, tuple(search.space)) for row in rows)
    ends = sorted(
        ((out / "store" / each.key / "result.json").stat().st_mtime, each.seconds)
        for each in tried
        if each.miou is not None
    )
    return Found(
        tried=tried,
        connected=printed.when(" on this machine"),
        proposed=tuple(row["proposed"].timestamp() for row in rows),
        ends=tuple(ends),
        wall=wall,
    )


def studied(out: Path, count: int, *flags: str) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Train the start with so many seeds as a study does: when Ray was there, and the ends."""
    printed = Stamped()
    seeds = [str(seed) for seed in range(count)]
    with contextlib.redirect_stdout(printed):
        code = run_study(STUDY, ["--out", str(out), "--rows", "corner", "--seeds", *seeds, *flags])
    connected = printed.when(" on this machine")
    if code or connected is None:
        raise SystemExit(f"the study {' '.join(flags)} ended with {code}:\n{printed.getvalue()}")
    return connected, tuple(sorted(ends_in(out).values()))


def _tried(row: Mapping[str, Any], paths: tuple[str, ...]) -> Tried:
    complete = row["state"] == "complete"
    return Tried(
        values={path: float(row[path]) for path in paths},
        origin=row["origin"],
        state=row["state"],
        steps=int(row["pruned_at"] if row["state"] == "pruned" else row["steps"]),  # of a failed one too many
        miou=float(row["objective/miou"]) if complete else None,
        seconds=float(row["device_seconds"]),
        key=row["key"],
    )


def base_and_rungs(search: Search, *flags: str) -> tuple[Experiment, tuple[int, ...]]:
    """What a search with these flags starts from, and the steps at which it decides."""
    from assay.run.search_flags import parser
    from assay.run.search_options import SearchOptions
    from assay.run.search_run import SearchRun

    exploration = SearchRun.make(search, SearchOptions.parse(parser(search).parse_args(list(flags))))
    return exploration.configurations.base(), exploration.rungs


def ends_in(out: Path) -> dict[str, tuple[float, float]]:
    """By key, when each training in a store ended, and its seconds."""
    return {
        path.parent.name: (path.stat().st_mtime, float(json.loads(path.read_text())["device_seconds"]))
        for path in out.glob("store/*/result.json")
    }
