"""The overhead of the platform: seconds per experiment, seconds to the first step, and the share in a quick study.

    python studies/benchmarks/platform_benchmark.py

One run executes trivial experiments (drawn 16 x 16 images, two steps) in four ways: in a plain loop of one process, in
a gang, with a TorchTrainer.fit() for each, and as function trials of Ray Tune. The overhead of a way is its time
without that of the plain loop.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.experiment import Experiment, Runtime  # noqa: E402
from assay.overrides import apply, overrides_of  # noqa: E402
from assay.places import Places  # noqa: E402
from assay.presets import starting_point  # noqa: E402

TRIVIAL = {
    "recipe.steps": 2,
    "recipe.labeled_batch": 4,
    "recipe.unlabeled_batch": 4,
    "recipe.augment.crop": (16, 16),
    "data.source.size": 16,
    "data.source.num_train": 48,
    "data.source.num_val": 4,
    "net.encoder.width": 4,
}
RUNTIME = Runtime(progress="none", device="cpu")
BASELINE_STUDY = ROOT / "studies" / "baseline_benchmark.py"
LOGS_EVERY_STEP = f"""
import dataclasses, sys
sys.path[:0] = {[str(ROOT / "platform"), str(ROOT)]!r}
from assay.run import run_study
from studies.baseline_benchmark import STUDY
quick = dataclasses.replace(STUDY.profiles[0], runtime={{**STUDY.profiles[0].runtime, "log_every": 1}})
sys.exit(run_study(dataclasses.replace(STUDY, profiles=(quick,))))
"""  # the same study, with metrics of every step


def trivial_experiment(number: int) -> Experiment:
    """Return an experiment of two steps with this number as its seed."""
    return apply(starting_point("supervised", "textures", seed=number), overrides_of(TRIVIAL, "benchmark"))


def train_one(number: int, out: str) -> None:
    """Train a trivial experiment in this process, with its result in a store."""
    from assay.resolve import resolve
    from assay.store.local import LocalStore
    from assay.training.session import SessionOptions, train

    quiet = SessionOptions(print_line=lambda text: None)
    train(
        resolve(trivial_experiment(number), Places()),
        LocalStore(Path(out)),
        places=Places(),
        runtime=RUNTIME,
        options=quiet,
    )


# --- four ways to run an experiment ---------------------------------------------------------------------------


def plain_loop(count: int, out: Path) -> float:
    """Return the seconds per experiment in a loop of this process, without the first one (imports, caches)."""
    train_one(10_000, str(out))
    began = time.perf_counter()
    for number in range(count):
        train_one(number, str(out))
    return (time.perf_counter() - began) / count


def in_gangs(count: int, out: Path) -> float:
    """Return the seconds per experiment of a gang with one worker, from the first result to the last."""
    from assay.cluster.gangs import GangRun, run_gangs
    from assay.cluster.placement import GangShape
    from assay.execution.events import Listeners
    from assay.execution.plan import Node, Plan
    from assay.resolve import resolve
    from assay.signals import StopRequest
    from assay.store.local import LocalStore
    from assay.store.records import ExperimentState

    resolved = [resolve(trivial_experiment(number), Places()) for number in range(count + 1)]
    nodes = {entry.key: Node(key=entry.key, resolved=entry, state=ExperimentState("absent")) for entry in resolved}
    store = LocalStore(out / "store")
    run_gangs(
        GangRun(
            plan=Plan(nodes=nodes),
            store=store,
            out=out,
            places=Places(),
            runtime=RUNTIME,
            name=f"benchmark-{os.getpid()}",
            address=None,
            shape=GangShape(gangs=1, workers=1, gpus_per_worker=0.0, widen=False),
            written_out=str(out),
            tasks=count + 1,
        ),
        stop=StopRequest(),
        listener=Listeners(()),
        print_line=lambda text: None,
    )
    # A result's file is written last, so the time between two files is that of one experiment with its overhead.
    ends = sorted((out / "store" / key / "result.json").stat().st_mtime for key in nodes)
    return (ends[-1] - ends[0]) / count


def _train_from_config(config: dict[str, Any]) -> None:
    train_one(config["number"], config["out"])


def fit_each(count: int, out: Path) -> float:
    """Return the seconds per experiment with a TorchTrainer.fit() for each."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    began = time.perf_counter()
    for number in range(count):
        TorchTrainer(
            _train_from_config,
            train_loop_config={"number": number, "out": str(out)},
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(name=f"fit-{number}", storage_path=str(out / "ray")),
        ).fit()
    return (time.perf_counter() - began) / count


def tune_each(count: int, out: Path) -> float:
    """Return the worker-seconds per experiment as function trials of Ray Tune, two at a time."""
    from ray import tune

    began = time.perf_counter()
    tune.Tuner(
        _train_from_config,
        param_space={"number": tune.grid_search(list(range(count))), "out": str(out)},
        tune_config=tune.TuneConfig(max_concurrent_trials=2),
        run_config=tune.RunConfig(name="tune", storage_path=str(out / "ray"), verbose=0),
    ).fit()
    return 2 * (time.perf_counter() - began) / count


# --- the first step, a large plan and a quick study -----------------------------------------------------------


def first_step(*flags: str) -> float:
    """Return the seconds from the command to the first line of metrics, which follows the first step."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        options = ["--rows", "Supervised", "--seeds", "0", "--out", folder, *flags]
        command = [sys.executable, "-c", LOGS_EVERY_STEP, *options]
        process = subprocess.Popen([*command, "--set", "recipe.steps=60"], stdout=subprocess.DEVNULL)
        while process.poll() is None and not any(
            path.stat().st_size for path in Path(folder).glob("store/*/metrics.jsonl")
        ):
            time.sleep(0.01)
        seconds = time.time() - began
        if process.wait():
            raise SystemExit(f"a study with {' '.join(options)} ended with {process.returncode}")
        return seconds


def plan_of_10000() -> float:
    """Return the seconds of `--plan` for 10,000 cells, with the start of Python and all imports."""
    seeds = [str(seed) for seed in range(1000)]
    command = [sys.executable, str(BASELINE_STUDY), "--plan", "--columns", "1/16(92)", "1/8(183)", "--seeds", *seeds]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        plan = subprocess.run([*command, "--out", folder], check=True, capture_output=True, text=True).stdout
        assert "10000 cells are 10000 experiments" in plan
        return time.perf_counter() - began


def quick_study(steps: int) -> dict[str, float]:
    """Run a study of three rows in one process; return its wall time and the training time in it."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        rows = ["Supervised", "CutMix-Seg", "CPS"]
        command = [sys.executable, str(BASELINE_STUDY), "--gangs", "0", "--rows", *rows, "--out", folder]
        began = time.perf_counter()
        subprocess.run([*command, "--set", f"recipe.steps={steps}"], check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - began
        frame = pd.read_parquet(Path(folder) / "baseline_benchmark" / "quick" / "results.parquet")
        return {"wall": wall, "training": float(frame["seconds"].sum()), "steps": steps}


# --- the run --------------------------------------------------------------------------------------------------


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Start one Ray for the ways that are compared with gangs."""
    from assay.cluster.connection import connect

    with connect("local", dashboard=True):
        yield


def measure(name: str, run: Callable[[], float], numbers: dict[str, Any]) -> float:
    """Return a measured number of seconds; print it and add it to the numbers."""
    value = run()
    numbers[name] = value
    print(f"{name:58} {value:9.3f} s", flush=True)
    return value


def main() -> int:
    """Measure, print the numbers, and write them to a file."""
    options = make_parser().parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    numbers: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    print(f"{numbers['cores']} cores, load {numbers['load_before']:.2f} before")
    seconds = measure_ways(options.experiments, options.fits, numbers)
    in_process = [
        measure("command to first step, in process", lambda: first_step("--gangs", "0"), numbers) for _ in range(3)
    ]
    on_ray = [measure("command to first step, one gang", lambda: first_step("--gangs", "1"), numbers) for _ in range(3)]
    plan = measure("--plan of 10,000 cells", plan_of_10000, numbers)
    study = quick_study(options.steps)
    numbers |= {"study": study, "in_process": in_process, "on_ray": on_ray}
    overhead = 1 - study["training"] / study["wall"]
    print(f"quick study: {study['wall']:.1f} s, {100 * overhead:.1f} % of it not training")
    print_overheads(**seconds)
    print(
        f"first step in process {_aim(statistics.median(in_process), 8)}, on Ray {_aim(statistics.median(on_ray), 30)}"
    )
    print(f"--plan of 10,000 cells {_aim(plan, 5)}")
    print(f"not training in a quick study {100 * overhead:.1f} % (< 10: {_met(overhead < 0.1)})")
    if options.out:
        Path(options.out).write_text(json.dumps(numbers, indent=2) + "\n")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--experiments",
        type=int,
        default=40,
        metavar="N",
        help="trivial experiments in the loop and in the gang (default: 40)",
    )
    parser.add_argument(
        "--fits", type=int, default=3, metavar="N", help="experiments with a TorchTrainer.fit() each (default: 3)"
    )
    parser.add_argument("--steps", type=int, default=600, metavar="N", help="steps of the quick study (default: 600)")
    parser.add_argument("--out", metavar="FILE", help="write the numbers to this file as JSON")
    return parser


def measure_ways(experiments: int, fits: int, numbers: dict[str, Any]) -> dict[str, float]:
    """Return the seconds per experiment of the four ways."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        out = Path(folder)
        loop = measure("plain loop, per experiment", lambda: plain_loop(experiments, out / "loop"), numbers)
        gang = measure("gang, per experiment", lambda: in_gangs(experiments, out / "gang"), numbers)
        with quiet_ray():
            fit = measure("TorchTrainer.fit() each, per experiment", lambda: fit_each(fits, out / "fit"), numbers)
            tune = measure("Tune function trial each, worker-seconds", lambda: tune_each(12, out / "tune"), numbers)
    return {"loop": loop, "gang": gang, "fit": fit, "tune": tune}


def print_overheads(*, loop: float, gang: float, fit: float, tune: float) -> None:
    """Print the overhead of each way, and whether its aim is met."""
    print("\noverhead per experiment, without the plain loop's time (aim in brackets)")
    print(f"  gang            {gang - loop:8.3f} s  (< 0.1 s: {_met(gang - loop < 0.1)})")
    print(f"  Tune function   {tune - loop:8.3f} s")
    print(f"  fit() each      {fit - loop:8.3f} s, {_ratio(fit - loop, gang - loop)}")


def _aim(seconds: float, aim: int) -> str:
    return f"{seconds:.1f} s (< {aim}: {_met(seconds < aim)})"


def _ratio(fit: float, gang: float) -> str:
    """Return the ratio of two overheads; that of a gang may be smaller than the difference between two runs."""
    if gang < 0.005:
        return "and a gang's is too small to measure (at least 100 times a gang's: met)"
    return f"{fit / gang:.0f} times a gang's (at least 100: {_met(fit >= 100 * gang)})"


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


if __name__ == "__main__":
    sys.exit(main())
