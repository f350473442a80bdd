"""Part b of search_benchmark.py: spaces of two parameters, the full grid of each, and searches with a quarter of it.

weights: α and β of Mutual Knowledge Distillation, a typical search of this project
rates: learning rate and weight decay of Supervised, where pruning fails: with a falling learning rate, the ranking at
    half a training is not the ranking at its end
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
    run_timed_search,
    within,
)
from studies.recipes.columns import TEXTURES_NOTE
from studies.recipes.mkd import CO_TRAINING, MUTUAL_MT, ON_SMALL_IMAGES

WEIGHT = Float(0.1, 3.0, log=True)
TEACHERS: Changes = {**CO_TRAINING, **MUTUAL_MT, **ON_SMALL_IMAGES}
STUDY = Study(
    name="search_benchmark_weights",
    title="Mutual teachers, the start of the benchmark's searches of their weights",
    tables=(
        Table(
            name="mkd.table4.search",
            columns=(COLUMN,),
            changes=TEACHERS,
            rows=(
                # The worst corner of the space: the preset's weights were tuned on these textures and would be a hint.
                Row("corner", {"method.weight_teachers": WEIGHT.high, "method.weight_students": WEIGHT.high}),
                Row("preset"),
            ),
            reference="preset",
        ),
    ),
    profiles=(
        Profile(
            name="quick",
            note=TEXTURES_NOTE,
            start=quick,
            # Half the usual steps, since there are 36 trainings and five times nine.
            changes={"recipe.steps": 300, "recipe.evaluation.every": 75},
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
class GridComparison:
    """A comparison of searches in one space with the space's full grid."""

    space: str
    profile: str
    grid: int  # values of each parameter
    folder: Path
    concurrent: int  # trainings side by side

    @property
    def search(self) -> Search:
        """The search, by the name of its space."""
        return SPACES[self.space]

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of every search."""
        return ("--profile", self.profile, "--pruner", "asha")

    @property
    def rungs(self) -> tuple[int, ...]:
        """The steps at which a configuration can be pruned, and the last step."""
        return base_and_rungs(self.search, *self.flags)[1]

    @property
    def budget(self) -> int:
        """A quarter of the grid's steps."""
        return self.grid**2 * self.rungs[-1] // 4


def train_grid(comparison: GridComparison) -> dict[str, Any]:
    """Train every point of the grid, and the start where it is none of them."""
    gangs = comparison.concurrent if comparison.concurrent > 1 else 0
    points = (
        "--sampler",
        "grid",
        "--grid-points",
        str(comparison.grid),
        "--configurations",
        str(comparison.grid**2 + 1),
    )
    flags = ("--profile", comparison.profile, "--pruner", "none", "--gangs", str(gangs))
    grid = run_timed_search(comparison.search, comparison.folder / f"{comparison.space}-grid", *flags, *points)
    return _numbers(grid.tried) | {"wall": grid.wall}


def run_searches(comparison: GridComparison, start: str, seeds: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each sampler seed with its search's numbers.

    Every search runs in its own process, so that its proposals do not depend on the others.
    """
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(comparison.concurrent, len(seeds)), mp_context=spawned) as pool:
        running = [(seed, pool.submit(_run_search, comparison, start, seed)) for seed in seeds]
        for seed, future in running:
            yield seed, future.result()


def _run_search(comparison: GridComparison, start: str, seed: int) -> dict[str, Any]:
    """Run a search in the budget: raise its number of configurations until no further one fits."""
    search = dataclasses.replace(comparison.search, row=start)
    tried: tuple[Tried, ...] = ()
    wall, runs = 0.0, 0
    while more := more_that_fit(comparison.budget, tried, rungs=comparison.rungs):
        raised = ("--gangs", "0", "--sampler-seed", str(seed), "--configurations", str(len(tried) + more))
        result = run_timed_search(
            search, comparison.folder / f"{comparison.space}-{start}{seed}", *comparison.flags, *raised
        )
        wall, runs = wall + result.wall, runs + 1
        if len(result.tried) == len(tried):  # the space has no new configuration left
            break
        tried = result.tried
    in_budget = within(comparison.budget, tried)
    return {
        "budget": comparison.budget,
        **_numbers(in_budget),
        "best_of_sampler": best([configuration for configuration in in_budget if configuration.origin == "sampler"]),
        "wall": wall,
        "runs": runs,
        "left_out": len(tried) - len(in_budget),
    }


def _numbers(tried: Sequence[Tried]) -> dict[str, Any]:
    states = [configuration.state for configuration in tried]
    return {
        "best": best(tried),
        "steps": sum(configuration.steps for configuration in tried),
        "configurations": len(tried),
        "complete": states.count("complete"),
        "failed": states.count("failed"),
        "training": sum(configuration.seconds for configuration in tried),
        "tried": [dataclasses.asdict(configuration) for configuration in tried],
    }
