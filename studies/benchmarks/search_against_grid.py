"""Part b of search_benchmark.py: spaces of two parameters, the full grid of each, and searches with a quarter of it.

`weights` is what searches here are for: α and β of Mutual Knowledge Distillation. `rates`, learning rate and weight
decay of Supervised, is where giving up early fails: with a falling rate, half a training does not rank as its end does.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from assay.presets import quick
from assay.search import Float, ProfileSettings, Search
from assay.study import Changes, Profile, Row, Study, Table
from studies.benchmarks.platform_benchmark import TRIVIAL
from studies.benchmarks.search_runs import (
    COLUMN,
    IN_COLUMN,
    SEARCH,
    Tried,
    base_and_rungs,
    best,
    more_that_fit,
    searched,
    within,
)
from studies.recipes.columns import SHAPES_NOTE
from studies.recipes.mkd import CO_TRAINING, MUTUAL_MT, ON_SMALL_IMAGES

WEIGHT = Float(0.1, 3.0, log=True)
TEACHERS: Changes = {**CO_TRAINING, **MUTUAL_MT, **ON_SMALL_IMAGES}
STUDY = Study(
    name="search_benchmark_weights",
    title="Mutual teachers, from which the benchmark's searches of their weights start",
    tables=(
        Table(
            name="mkd.table4.search",
            columns=(COLUMN,),
            changes=TEACHERS,
            rows=(
                # Where the space is worst: the preset's weights were found on these shapes, and would be a hint.
                Row("corner", {"method.weight_teachers": WEIGHT.high, "method.weight_students": WEIGHT.high}),
                Row("preset"),
            ),
            reference="preset",
        ),
    ),
    profiles=(
        Profile(
            name="quick",
            note=SHAPES_NOTE,
            start=quick,
            # Half as long as elsewhere: 36 trainings and five times nine are 20 minutes then, on two cores.
            changes={"recipe.steps": 400, "recipe.evaluation.every": 100},
            columns=IN_COLUMN,
        ),
        Profile(
            name="trivial",
            note="eight steps of 16 x 16",
            start=quick,
            changes={**TRIVIAL, "recipe.steps": 8, "recipe.evaluation.every": 2},
            columns=IN_COLUMN,
        ),
    ),
)
SPACES: Mapping[str, Search] = {
    "weights": Search(
        name="mkd.table4.search",
        title="α and β of mutual teachers",
        study=STUDY,
        table="mkd.table4.search",
        row="corner",
        space={"method.weight_teachers": WEIGHT, "method.weight_students": WEIGHT},  # α, β
        settings={name: ProfileSettings(column=COLUMN, configurations=1) for name in ("quick", "trivial")},
    ),
    "rates": SEARCH,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contest:
    """Searches in one space against its grid."""

    space: str
    profile: str
    grid: int  # values of each parameter
    folder: Path
    at_once: int  # trainings side by side

    @property
    def search(self) -> Search:
        """What is searched."""
        return SPACES[self.space]

    @property
    def flags(self) -> tuple[str, ...]:
        """Of every search in it."""
        return ("--profile", self.profile, "--pruner", "asha")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which a configuration is given up, and the last one."""
        return base_and_rungs(self.search, *self.flags)[1]

    @property
    def budget(self) -> int:
        """A quarter of the grid's steps."""
        return self.grid**2 * self.rungs[-1] // 4


def whole_grid(contest: Contest) -> dict[str, Any]:
    """Train every point; where the start is none of them it was trained beside them."""
    gangs = contest.at_once if contest.at_once > 1 else 0
    points = ("--sampler", "grid", "--grid-points", str(contest.grid), "--configurations", str(contest.grid**2 + 1))
    flags = ("--profile", contest.profile, "--pruner", "none", "--gangs", str(gangs))
    found = searched(contest.search, contest.folder / f"{contest.space}-grid", *flags, *points)
    return _numbers(found.tried) | {"wall": found.wall}


def searches(contest: Contest, start: str, seeds: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """One search for each sampler seed, each in a process of its own: it proposes the same whatever runs beside it."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(contest.at_once, len(seeds)), mp_context=spawned) as pool:
        begun = [(seed, pool.submit(_one_search, contest, start, seed)) for seed in seeds]
        for seed, search in begun:
            yield seed, search.result()


def _one_search(contest: Contest, start: str, seed: int) -> dict[str, Any]:
    """A search within the budget, its number of configurations raised until no other one fits."""
    search = dataclasses.replace(contest.search, row=start)
    tried: tuple[Tried, ...] = ()
    wall, runs = 0.0, 0
    while more := more_that_fit(contest.budget, tried, rungs=contest.rungs):
        raised = ("--gangs", "0", "--sampler-seed", str(seed), "--configurations", str(len(tried) + more))
        found = searched(search, contest.folder / f"{contest.space}-{start}{seed}", *contest.flags, *raised)
        wall, runs = wall + found.wall, runs + 1
        if len(found.tried) == len(tried):  # nothing new is left in the space
            break
        tried = found.tried
    counted = within(contest.budget, tried)
    return {
        "budget": contest.budget,
        **_numbers(counted),
        "best_of_sampler": best([each for each in counted if each.origin == "sampler"]),
        "wall": wall,
        "runs": runs,
        "left_out": len(tried) - len(counted),
    }


def _numbers(tried: Sequence[Tried]) -> dict[str, Any]:
    states = [each.state for each in tried]
    return {
        "best": best(tried),
        "steps": sum(each.steps for each in tried),
        "configurations": len(tried),
        "complete": states.count("complete"),
        "failed": states.count("failed"),
        "training": sum(each.seconds for each in tried),
        "tried": [dataclasses.asdict(each) for each in tried],
    }
