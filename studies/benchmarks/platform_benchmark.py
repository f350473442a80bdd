"""What the platform costs beside the training: seconds per experiment, to a first step, and of a quick study.

    python studies/platform_benchmark.py

Trivial experiments (drawn 16 x 16 images, two steps) are run in five ways, side by side in one run. What the same
experiments take in a plain loop of one process is subtracted, so that what is left is overhead.
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
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

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
BASELINES = ROOT / "studies" / "baseline_benchmark.py"
LOGS_EVERY_STEP = f"""
import dataclasses, sys
sys.path[:0] = {[str(ROOT / "platform"), str(ROOT)]!r}
from assay.run import main
from studies.baseline_benchmark import STUDY
quick = dataclasses.replace(STUDY.profiles[0], runtime={{**STUDY.profiles[0].runtime, "log_every": 1}})
sys.exit(main(dataclasses.replace(STUDY, profiles=(quick,))))
"""  # the same study in all else


def trivial(number: int) -> Experiment:
    """An experiment of two steps, another one for each number."""
    return apply(starting_point("supervised", "shapes", seed=number), overrides_of(TRIVIAL, "benchmark"))


def train_one(number: int, out: str) -> None:
    """Train a trivial experiment into a store, the plain way."""
    from assay.resolve import resolve
    from assay.store.local import LocalStore
    from assay.training.session import SessionOptions, train

    quiet = SessionOptions(print_line=lambda text: None)
    train(resolve(trivial(number), Places()), LocalStore(Path(out)), places=Places(), runtime=RUNTIME, options=quiet)


# --- five ways ------------------------------------------------------------------------------------------------


def plain_loop(count: int, out: Path) -> float:
    """Seconds per experiment in a loop of this process, the first one (imports, caches) left out."""
    train_one(10_000, str(out))
    began = time.perf_counter()
    for number in range(count):
        train_one(number, str(out))
    return (time.perf_counter() - began) / count


def in_gangs(count: int, out: Path) -> float:
    """Seconds per experiment of a gang with one worker, from the second experiment's start to the last one's end."""
    from assay.cluster.gangs import GangRun, run_gangs
    from assay.cluster.placement import GangShape
    from assay.execution.events import Listeners
    from assay.execution.plan import Node, Plan
    from assay.resolve import resolve
    from assay.signals import StopRequest
    from assay.store.local import LocalStore
    from assay.store.records import ExperimentState

    resolved = [resolve(trivial(number), Places()) for number in range(count + 1)]
    nodes = {each.key: Node(key=each.key, resolved=each, state=ExperimentState("absent")) for each in resolved}
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
    # A result's file is written last: the time between two of them is one experiment with everything around it.
    ends = sorted((out / "store" / key / "result.json").stat().st_mtime for key in nodes)
    return (ends[-1] - ends[0]) / count


def _train_as_told(config: dict[str, Any]) -> None:
    train_one(config["number"], config["out"])


def fit_each(count: int, out: Path) -> float:
    """Seconds per experiment with a TorchTrainer.fit() for each."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    began = time.perf_counter()
    for number in range(count):
        TorchTrainer(
            _train_as_told,
            train_loop_config={"number": number, "out": str(out)},
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(name=f"fit-{number}", storage_path=str(out / "ray")),
        ).fit()
    return (time.perf_counter() - began) / count


def tune_each(count: int, out: Path) -> float:
    """Seconds per experiment as plain function trials of Ray Tune, two at a time; per slot, not per wall second."""
    from ray import tune

    began = time.perf_counter()
    tune.Tuner(
        _train_as_told,
        param_space={"number": tune.grid_search(list(range(count))), "out": str(out)},
        tune_config=tune.TuneConfig(max_concurrent_trials=2),
        run_config=tune.RunConfig(name="tune", storage_path=str(out / "ray"), verbose=0),
    ).fit()
    return 2 * (time.perf_counter() - began) / count


# --- from command to first step, and a quick study ------------------------------------------------------------


def first_step(*flags: str) -> float:
    """Seconds from the command to the first line of metrics, which comes when the first step is made."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        chosen = ["--rows", "Supervised", "--seeds", "0", "--out", folder, *flags]
        command = [sys.executable, "-c", LOGS_EVERY_STEP, *chosen]
        process = subprocess.Popen([*command, "--set", "recipe.steps=60"], stdout=subprocess.DEVNULL)
        while process.poll() is None and not any(
            path.stat().st_size for path in Path(folder).glob("store/*/metrics.jsonl")
        ):
            time.sleep(0.01)
        took = time.time() - began
        if process.wait():
            raise SystemExit(f"a study with {' '.join(chosen)} ended with {process.returncode}")
        return took


def plan_of_10000() -> float:
    """Seconds of `--plan` for 10,000 cells, the start of Python and all imports included."""
    seeds = [str(seed) for seed in range(1000)]
    command = [sys.executable, str(BASELINES), "--plan", "--columns", "1/16(92)", "1/8(183)", "--seeds", *seeds]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        said = subprocess.run([*command, "--out", folder], check=True, capture_output=True, text=True).stdout
        assert "10000 cells are 10000 experiments" in said
        return time.perf_counter() - began


def quick_study(steps: int) -> dict[str, float]:
    """A study of three rows in one process: its wall time, and how much of that was training."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        rows = ["Supervised", "CutMix-Seg", "CPS"]
        command = [sys.executable, str(BASELINES), "--gangs", "0", "--rows", *rows, "--out", folder]
        began = time.perf_counter()
        subprocess.run([*command, "--set", f"recipe.steps={steps}"], check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - began
        frame = pd.read_parquet(Path(folder) / "baseline_benchmark" / "quick" / "results.parquet")
        return {"wall": wall, "training": float(frame["seconds"].sum()), "steps": steps}


# --- the run --------------------------------------------------------------------------------------------------


@contextmanager
def quiet_ray() -> Iterator[None]:
    """One Ray for what is compared with gangs."""
    from assay.cluster.connection import connect

    with connect("local", dashboard=True):
        yield


def measured(what: str, run: Callable[[], float], raw: dict[str, Any]) -> float:
    """A number, printed and kept."""
    value = run()
    raw[what] = value
    print(f"{what:58} {value:9.3f} s", flush=True)
    return value


def main() -> int:
    """Measure, print and write down."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--experiments", type=int, default=40, metavar="N", help="trivial experiments (default: 40)")
    flags.add_argument("--fits", type=int, default=3, metavar="N", help="TorchTrainer.fit() runs (default: 3)")
    flags.add_argument("--steps", type=int, default=800, metavar="N", help="steps of the quick study (default: 800)")
    flags.add_argument("--out", metavar="FILE", help="where to write the numbers as JSON")
    asked = flags.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    raw: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    print(f"{raw['cores']} cores, load {raw['load_before']:.2f} before")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        out = Path(folder)
        loop = measured("plain loop, per experiment", lambda: plain_loop(asked.experiments, out / "loop"), raw)
        gang = measured("gang, per experiment", lambda: in_gangs(asked.experiments, out / "gang"), raw)
        with quiet_ray():
            fit = measured("TorchTrainer.fit() each, per experiment", lambda: fit_each(asked.fits, out / "fit"), raw)
            tune = measured("Tune function trial each, per slot", lambda: tune_each(12, out / "tune"), raw)
    here = [measured("command to first step, in process", lambda: first_step("--gangs", "0"), raw) for _ in range(3)]
    on_ray = [measured("command to first step, one gang", lambda: first_step("--gangs", "1"), raw) for _ in range(3)]
    plan = measured("--plan of 10,000 cells", plan_of_10000, raw)
    study = quick_study(asked.steps)
    raw |= {"study": study, "in_process": here, "on_ray": on_ray}
    outside = 1 - study["training"] / study["wall"]
    print(f"quick study: {study['wall']:.1f} s, of which {100 * outside:.1f} % is not training")
    print("\noverhead per experiment beside the plain loop (aim in brackets)")
    print(f"  gang            {gang - loop:8.3f} s  (< 0.1 s: {_met(gang - loop < 0.1)})")
    print(f"  Tune function   {tune - loop:8.3f} s")
    print(f"  fit() each      {fit - loop:8.3f} s, {_times(fit - loop, gang - loop)}")
    print(f"first step in process {statistics.median(here):.1f} s (< 8: {_met(statistics.median(here) < 8)})", end="")
    print(f", on Ray {statistics.median(on_ray):.1f} s (< 30: {_met(statistics.median(on_ray) < 30)})")
    print(f"--plan of 10,000 cells {plan:.1f} s (< 5: {_met(plan < 5)})")
    print(f"not training in a quick study {100 * outside:.1f} % (< 10: {_met(outside < 0.1)})")
    if asked.out:
        Path(asked.out).write_text(json.dumps(raw, indent=2) + "\n")
    return 0


def _times(much: float, little: float) -> str:
    """How many times more; a loop and a gang may differ by less than two runs of either do."""
    if little < 0.005:
        return "and a gang's is too small to be told from none (at least 100 times less: met)"
    return f"{much / little:.0f} times a gang's (at least 100: {_met(much >= 100 * little)})"


def _met(yes: bool) -> str:
    return "met" if yes else "not met"


if __name__ == "__main__":
    sys.exit(main())
