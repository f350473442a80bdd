"""What a search costs beside its trainings, and what it saves: three parts, each with an aim.

    python studies/search_benchmark.py
    python studies/search_benchmark.py --parts b --space weights rates --start corner preset

a  seconds per configuration of trainings that take almost nothing, with two gangs and in this process, beside a
   study of such trainings; and what Tune's own loop takes for trials that train nothing       (aim: at most 1 s)
b  TPE with pruning, with a quarter of a full grid's training steps, against that grid         (aim: within 0.5 mIoU)
c  a search with two gangs against a TorchTrainer.fit() in every trial of Ray Tune             (aim: 5 times shorter)

Trains drawn shapes. Every number is written to OUT/search_benchmark.json with what it was measured on.
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
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from studies.benchmarks.search_against_grid import SPACES, Contest, searches, whole_grid  # noqa: E402
from studies.benchmarks.search_runs import SEARCH, STARTS, base_and_rungs, ends_in, overheads, searched, studied  # noqa: E402


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured."""

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


# --- numbers and what they were measured on ----------------------------------------------------------------------


class Figures:
    """Numbers, printed as they come and written down with what they were measured on."""

    def __init__(self, file: Path) -> None:
        self.rows: list[dict[str, Any]] = []
        self._file, self._where = file, _where()
        print(", ".join(f"{name} {value}" for name, value in self._where.items()))

    @contextlib.contextmanager
    def row(self, part: str, what: str) -> Iterator[dict[str, Any]]:
        """Takes up the numbers of one measurement."""
        numbers: dict[str, Any] = {}
        before = os.getloadavg()[0]
        yield numbers
        load = {"load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
        self.rows.append({"part": part, "what": what, **numbers, **load, **self._where})
        self._file.write_text(json.dumps([_strict(each) for each in self.rows], indent=2) + "\n")
        shown = {name: value for name, value in (numbers | load).items() if not isinstance(value, list)}
        print(f"{part} {what:36} " + "  ".join(f"{name} {_short(value)}" for name, value in shown.items()), flush=True)

    def get(self, part: str, what: str) -> dict[str, Any]:
        """A row that was measured before."""
        return next(each for each in self.rows if (each["part"], each["what"]) == (part, what))


def _strict(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no word for what is not a number."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _where() -> dict[str, Any]:
    import optuna
    import ray
    import torch

    from assay.experiment import Runtime
    from assay.training.environment import describe

    found = describe(Runtime(), torch.device("cpu"))
    kept = ("git_commit", "git_clean", "machine", "processor", "python", "torch")
    return {"cores": os.cpu_count(), **{each: found[each] for each in kept}} | {
        "ray": ray.__version__,
        "optuna": optuna.__version__,
    }


# --- a: the overhead --------------------------------------------------------------------------------------------


def part_a(figures: Figures, scale: Scale, folder: Path, asked: argparse.Namespace) -> None:
    """Seconds per configuration beside the training, and where they come from."""
    count = scale.configurations
    flags = ("--profile", "trivial", "--pruner", "none", "--configurations", str(count))
    for gangs, what in ((2, "search, two gangs"), (0, "search, this process")):
        with figures.row("a", what) as row:
            found = searched(SEARCH, folder / f"a{gangs}", *flags, "--gangs", str(gangs))
            row |= _slots(found.proposed[0], found.ends, count, max(gangs, 1)) | {"wall": found.wall}
    with figures.row("a", "study, two gangs") as row:
        # The same without a search, so that what the search adds can be told from what a gang takes anyway.
        began, ends = studied(folder / "study", count, "--profile", "trivial", "--gangs", "2")
        row |= _slots(began, ends, count, 2)
    with figures.row("a", "search, all trained before") as row:
        # In the same OUT another search finds every training done: what is left is what deciding takes.
        again = searched(dataclasses.replace(SEARCH, name="again"), folder / "a0", *flags, "--gangs", "0")
        row |= {"configurations": count, "deciding": (again.proposed[-1] - again.proposed[0]) / (count - 1)}
        if len(ends_in(folder / "a0")) != count:
            raise SystemExit("the second search tried other configurations than the first")
    _relays(figures, count, folder)


def _relays(figures: Figures, count: int, folder: Path) -> None:
    """What Tune's own loop takes where its trials are relays."""
    from studies.benchmarks import tune_patterns

    with figures.row("a", "Tune, relays that train nothing") as row, tune_patterns.ray_for_trials() as up:
        times = tune_patterns.relays(count, SEARCH.space, folder / "relays")
        row |= _slots(up, [(at, 0.0) for at in times], count, tune_patterns.AT_ONCE)


def _slots(began: float, ends: Sequence[tuple[float, float]], count: int, slots: int) -> dict[str, Any]:
    if len(ends) != count:
        raise SystemExit(f"{len(ends)} of {count} trainings came to their end")
    training = sum(seconds for _, seconds in ends) / count
    return {"configurations": count, "training": training, **overheads(began, ends, slots)}


# --- b: against a grid ------------------------------------------------------------------------------------------


def part_b(figures: Figures, scale: Scale, folder: Path, asked: argparse.Namespace) -> None:
    """The best of a grid, and of searches with a quarter of its steps."""
    at_once = asked.at_once or os.cpu_count() or 1
    for space in asked.space:
        contest = Contest(space=space, profile=scale.profile, grid=scale.grid, folder=folder, at_once=at_once)
        with figures.row("b", f"{space}: grid of {scale.grid**2}") as row:
            row |= whole_grid(contest)
        aim = row["best"]
        for start in asked.start:
            found = []
            for seed, numbers in searches(contest, start, asked.sampler_seeds or range(scale.seeds)):
                with figures.row("b", f"{space} from the {start}, sampler seed {seed}") as row:
                    row |= {"below_grid": aim - numbers["best"], **numbers}
                found.append(numbers["best"])
            with figures.row("b", f"{space} from the {start}, median") as row:
                row |= {"best": statistics.median(found), "below_grid": aim - statistics.median(found)}


# --- c: against a fit() in every trial ----------------------------------------------------------------------------


def part_c(figures: Figures, scale: Scale, folder: Path, asked: argparse.Namespace) -> None:
    """From when Ray is there to the end of the last training, of the same trainings on both sides."""
    from studies.benchmarks import tune_patterns

    for steps in scale.lengths:
        flags = ("--profile", scale.profile, "--set", f"recipe.steps={steps}", "--pruner", "none")
        ours, theirs = folder / f"gangs{steps}", folder / f"fits{steps}"
        with figures.row("c", f"search, two gangs, {steps} steps") as row:
            found = searched(SEARCH, ours, *flags, "--configurations", str(scale.trials), "--gangs", "2")
            assert found.connected is not None
            row |= _of_trials(ours, found.connected)
        points = [each.values for each in found.tried]
        with figures.row("c", f"fit() in every trial, {steps} steps") as row:
            with tune_patterns.ray_for_trials() as up:
                tune_patterns.fit_in_every_trial(base_and_rungs(SEARCH, *flags)[0], SEARCH.space, points, theirs)
            row |= _of_trials(theirs, up)
            row["times_as_long"] = row["seconds"] / figures.get("c", f"search, two gangs, {steps} steps")["seconds"]
        if ends_in(ours).keys() != ends_in(theirs).keys() or len(ends_in(ours)) != scale.trials:
            raise SystemExit(f"not the same trainings: {sorted(ends_in(ours))} and {sorted(ends_in(theirs))}")


def _of_trials(out: Path, began: float) -> dict[str, Any]:
    ends = ends_in(out)
    seconds = max(at for at, _ in ends.values()) - began
    return {
        "trials": len(ends),
        "seconds": seconds,
        "per_trial": seconds / len(ends),
        "training": sum(each for _, each in ends.values()),
    }


# --- the run --------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print and write down."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="(default: all)")
    flags.add_argument("--out", default="results", metavar="DIR", help="folder of the numbers (default: results)")
    flags.add_argument("--space", nargs="+", choices=SPACES, default=["weights"], help="of part b (default: weights)")
    flags.add_argument("--start", nargs="+", choices=STARTS, default=["corner"], help="of part b (default: corner)")
    flags.add_argument("--sampler-seeds", nargs="+", type=int, metavar="N", help="of part b (default: 0 1 2 3 4)")
    flags.add_argument(
        "--at-once", type=int, metavar="N", help="trainings of part b side by side (default: one a core)"
    )
    flags.add_argument("--quick", action="store_true", help="try the script: trainings and counts that say nothing")
    asked = flags.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    out = Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    figures = Figures(out / "search_benchmark.json")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        for part in asked.parts:
            PARTS[part](figures, QUICK if asked.quick else Scale(), Path(folder), asked)
    print("\naims")
    for line in verdicts(figures.rows):
        print(f"  {line}")
    return 0


PARTS = {"a": part_a, "b": part_b, "c": part_c}


def verdicts(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every aim and whether it is met."""
    found = {(row["part"], row["what"]): row for row in rows}
    ours, plain, relays = (
        found.get(("a", what)) for what in ("search, two gangs", "study, two gangs", "Tune, relays that train nothing")
    )
    if ours and plain and relays:
        for name in ("overhead", "overhead_in_second_half"):
            yield f"a {name.replace('_', ' ')} {ours[name]:.2f} s (at most 1: {_met(ours[name] <= 1)})"
        search, study, alone = (each["overhead_in_second_half"] for each in (ours, plain, relays))
        yield f"a in the second half a search adds {search - study:.2f} s to a study's; relays alone {alone:.2f} s"
    for row in rows:
        if row["what"].endswith("median"):
            yield f"b {row['what']} {row['below_grid']:.2f} mIoU below the grid (0.5: {_met(row['below_grid'] <= 0.5)})"
        if "times_as_long" in row:
            times = row["times_as_long"]
            yield f"c {row['what']}: {times:.1f} times as long as two gangs (at least 5: {_met(times >= 5)})"


def _met(yes: bool) -> str:
    return "met" if yes else "not met"


if __name__ == "__main__":
    sys.exit(main())
