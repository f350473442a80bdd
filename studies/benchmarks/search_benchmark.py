"""The overhead of a search and its savings, in three parts, each with an aim.

    python studies/benchmarks/search_benchmark.py
    python studies/benchmarks/search_benchmark.py --parts b --space weights rates --start corner preset

a  overhead per configuration with trainings of almost no length, with two gangs and in this process; beside it that
   of a study of such trainings, and that of Tune's loop with trials that train nothing        (aim: at most 1 s)
b  TPE with pruning and a quarter of a full grid's training steps, against that grid           (aim: within 0.5 mIoU)
c  a search with two gangs against a TorchTrainer.fit() in every trial of Ray Tune             (aim: 5 times shorter)

It trains drawn textures, and writes every number with a description of the machine to OUT/search_benchmark.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from studies.benchmarks.search_against_grid import SPACES, GridComparison, run_searches, train_grid  # noqa: E402
from studies.benchmarks.search_runs import (  # noqa: E402
    SEARCH,
    STARTS,
    base_and_rungs,
    ends_in,
    overheads,
    run_timed_search,
    run_timed_study,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """The amount of measurement."""

    configurations: int = 40  # of part a, and relays
    profile: str = "quick"  # of parts b and c
    grid: int = 6  # values of each parameter
    seeds: int = 5  # searches against the grid
    trials: int = 12  # of part c
    lengths: tuple[int, ...] = (2, 200)  # steps of its trainings


QUICK = Scale(
    configurations=6,
    profile="trivial",
    grid=4,
    seeds=2,
    trials=2,
    lengths=(2,),
)


# --- numbers and the machine they were measured on ---------------------------------------------------------------


class Measurements:
    """Numbers, printed as they are measured, and written to a file with a description of the machine."""

    def __init__(self, file: Path) -> None:
        self.rows: list[dict[str, Any]] = []
        self._file, self._machine = file, _describe_machine()
        print(", ".join(f"{name} {value}" for name, value in self._machine.items()))

    @contextlib.contextmanager
    def row(self, part: str, name: str) -> Iterator[dict[str, Any]]:
        """Yield a mapping for the numbers of one measurement; print and write them at the end."""
        numbers: dict[str, Any] = {}
        before = os.getloadavg()[0]
        yield numbers
        load = {"load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
        self.rows.append({"part": part, "what": name, **numbers, **load, **self._machine})
        self._file.write_text(json.dumps([_strict(row) for row in self.rows], indent=2) + "\n")
        shown = {key: value for key, value in (numbers | load).items() if not isinstance(value, list)}
        print(f"{part} {name:36} " + "  ".join(f"{key} {_short(value)}" for key, value in shown.items()), flush=True)

    def get(self, part: str, name: str) -> dict[str, Any]:
        """Return an earlier measurement."""
        return next(row for row in self.rows if (row["part"], row["what"]) == (part, name))


def _strict(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with None for NaN, which JSON does not have."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _describe_machine() -> dict[str, Any]:
    import optuna
    import ray
    import torch

    from assay.experiment import Runtime
    from assay.training.environment import describe

    machine = describe(Runtime(), torch.device("cpu"))
    kept = ("git_commit", "git_clean", "machine", "processor", "python", "torch")
    return {"cores": os.cpu_count(), **{name: machine[name] for name in kept}} | {
        "ray": ray.__version__,
        "optuna": optuna.__version__,
    }


# --- a: the overhead --------------------------------------------------------------------------------------------


def part_a(measurements: Measurements, scale: Scale, folder: Path, options: argparse.Namespace) -> None:
    """Measure the overhead per configuration, and its parts."""
    count = scale.configurations
    flags = ("--profile", "trivial", "--pruner", "none", "--configurations", str(count))
    for gangs, name in ((2, "search, two gangs"), (0, "search, this process")):
        with measurements.row("a", name) as row:
            search = run_timed_search(SEARCH, folder / f"a{gangs}", *flags, "--gangs", str(gangs))
            row |= _overheads(search.proposed[0], search.ends, count, max(gangs, 1)) | {"wall": search.wall}
    with measurements.row("a", "study, two gangs") as row:
        # The same without a search: the difference is the search's own overhead.
        began, ends = run_timed_study(folder / "study", count, "--profile", "trivial", "--gangs", "2")
        row |= _overheads(began, ends, count, 2)
    with measurements.row("a", "search, all trained before") as row:
        # Another search in the same OUT finds every training done: its time is that of its decisions.
        again = run_timed_search(dataclasses.replace(SEARCH, name="again"), folder / "a0", *flags, "--gangs", "0")
        row |= {"configurations": count, "deciding": (again.proposed[-1] - again.proposed[0]) / (count - 1)}
        if len(ends_in(folder / "a0")) != count:
            raise SystemExit("the second search tried other configurations than the first")
    _measure_relays(measurements, count, folder)


def _measure_relays(measurements: Measurements, count: int, folder: Path) -> None:
    """Measure Tune's own loop with relays as trials."""
    from studies.benchmarks import tune_patterns

    with measurements.row("a", "Tune, relays that train nothing") as row, tune_patterns.ray_for_trials() as up:
        times = tune_patterns.run_relays(count, SEARCH.space, folder / "relays")
        row |= _overheads(up, [(end, 0.0) for end in times], count, tune_patterns.MAX_CONCURRENT)


def _overheads(began: float, ends: Sequence[tuple[float, float]], count: int, workers: int) -> dict[str, Any]:
    if len(ends) != count:
        raise SystemExit(f"{len(ends)} of {count} trainings came to their end")
    training = sum(seconds for _, seconds in ends) / count
    return {"configurations": count, "training": training, **overheads(began, ends, workers)}


# --- b: against a grid ------------------------------------------------------------------------------------------


def part_b(measurements: Measurements, scale: Scale, folder: Path, options: argparse.Namespace) -> None:
    """Measure the best of a grid, and of searches with a quarter of its steps."""
    concurrent = options.at_once or os.cpu_count() or 1
    for space in options.space:
        comparison = GridComparison(
            space=space, profile=scale.profile, grid=scale.grid, folder=folder, concurrent=concurrent
        )
        with measurements.row("b", f"{space}: grid of {scale.grid**2}") as row:
            row |= train_grid(comparison)
        best_of_grid = row["best"]
        for start in options.start:
            bests = []
            for seed, numbers in run_searches(comparison, start, options.sampler_seeds or range(scale.seeds)):
                with measurements.row("b", f"{space} from the {start}, sampler seed {seed}") as row:
                    row |= {"below_grid": best_of_grid - numbers["best"], **numbers}
                bests.append(numbers["best"])
            with measurements.row("b", f"{space} from the {start}, median") as row:
                row |= {"best": statistics.median(bests), "below_grid": best_of_grid - statistics.median(bests)}


# --- c: against a fit() in every trial ----------------------------------------------------------------------------


def part_c(measurements: Measurements, scale: Scale, folder: Path, options: argparse.Namespace) -> None:
    """Measure the time from the start of Ray to the end of the last training, with equal trainings on both sides."""
    from studies.benchmarks import tune_patterns

    for steps in scale.lengths:
        flags = ("--profile", scale.profile, "--set", f"recipe.steps={steps}", "--pruner", "none")
        ours, theirs = folder / f"gangs{steps}", folder / f"fits{steps}"
        with measurements.row("c", f"search, two gangs, {steps} steps") as row:
            search = run_timed_search(SEARCH, ours, *flags, "--configurations", str(scale.trials), "--gangs", "2")
            assert search.connected is not None
            row |= _trial_times(ours, search.connected)
        points = [configuration.values for configuration in search.tried]
        with measurements.row("c", f"fit() in every trial, {steps} steps") as row:
            with tune_patterns.ray_for_trials() as up:
                tune_patterns.fit_in_every_trial(base_and_rungs(SEARCH, *flags)[0], SEARCH.space, points, theirs)
            row |= _trial_times(theirs, up)
            row["times_as_long"] = (
                row["seconds"] / measurements.get("c", f"search, two gangs, {steps} steps")["seconds"]
            )
        if ends_in(ours).keys() != ends_in(theirs).keys() or len(ends_in(ours)) != scale.trials:
            raise SystemExit(f"not the same trainings: {sorted(ends_in(ours))} and {sorted(ends_in(theirs))}")


def _trial_times(out: Path, began: float) -> dict[str, Any]:
    ends = ends_in(out)
    seconds = max(end for end, _ in ends.values()) - began
    return {
        "trials": len(ends),
        "seconds": seconds,
        "per_trial": seconds / len(ends),
        "training": sum(training for _, training in ends.values()),
    }


# --- the run --------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print the numbers, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure (default: all)"
    )
    parser.add_argument("--out", default="results", metavar="DIR", help="folder of the numbers (default: results)")
    parser.add_argument(
        "--space", nargs="+", choices=SPACES, default=["weights"], help="spaces of part b (default: weights)"
    )
    parser.add_argument(
        "--start", nargs="+", choices=STARTS, default=["corner"], help="starts of part b (default: corner)"
    )
    parser.add_argument(
        "--sampler-seeds", nargs="+", type=int, metavar="N", help="sampler seeds of part b (default: 0 1 2 3 4)"
    )
    parser.add_argument(
        "--at-once", type=int, metavar="N", help="trainings of part b side by side (default: one per core)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="test the script: trainings too short and too few for results"
    )
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    measurements = Measurements(out / "search_benchmark.json")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        for part in options.parts:
            PARTS[part](measurements, QUICK if options.quick else Scale(), Path(folder), options)
    print("\naims")
    for line in verdicts(measurements.rows):
        print(f"  {line}")
    return 0


PARTS = {"a": part_a, "b": part_b, "c": part_c}


def verdicts(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for every aim: the number, and whether the aim is met."""
    measured = {(row["part"], row["what"]): row for row in rows}
    ours, plain, relays = (
        measured.get(("a", name))
        for name in ("search, two gangs", "study, two gangs", "Tune, relays that train nothing")
    )
    if ours and plain and relays:
        for name in ("overhead", "overhead_in_second_half"):
            yield f"a {name.replace('_', ' ')} {ours[name]:.2f} s (at most 1: {_met(ours[name] <= 1)})"
        search, study, alone = (row["overhead_in_second_half"] for row in (ours, plain, relays))
        yield f"a in the second half a search adds {search - study:.2f} s to a study's; relays alone {alone:.2f} s"
    for row in rows:
        if row["what"].endswith("median"):
            yield f"b {row['what']} {row['below_grid']:.2f} mIoU below the grid (0.5: {_met(row['below_grid'] <= 0.5)})"
        if "times_as_long" in row:
            times = row["times_as_long"]
            yield f"c {row['what']}: {times:.1f} times as long as two gangs (at least 5: {_met(times >= 5)})"


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


if __name__ == "__main__":
    sys.exit(main())
