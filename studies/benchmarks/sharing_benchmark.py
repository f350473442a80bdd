"""The savings from shared teachers: MGD's tables 4, 5a, 5b and 6 with short trainings, shared and cell by cell.

    python studies/benchmarks/sharing_benchmark.py
    python studies/benchmarks/sharing_benchmark.py --tables mgd.table5a --steps 20

shared: one command for all cells, in one store.
naive: the same command for each cell, each in its own store, so that every cell trains its teachers.

Device-seconds are the sum over all trainings, teachers included, from their results. Other processes on the machine
make them longer, so the machine's load is printed beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from studies.mgd_ablation import TABLES  # noqa: E402

ABLATION = ROOT / "studies" / "mgd_ablation.py"


def run(out: Path, flags: Sequence[str]) -> dict[str, float]:
    """Run the study; return its wall time, the number of trainings and their device-seconds."""
    command = [sys.executable, str(ABLATION), "--gangs", "0", "--out", str(out), *flags]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"wall": time.perf_counter() - began, **count_trainings(out)}


def count_trainings(out: Path) -> dict[str, float]:
    """Return the number of trainings in a folder's store, and their device-seconds."""
    results = [json.loads(path.read_text()) for path in out.glob("store/*/result.json")]
    return {"trainings": len(results), "device_seconds": sum(result["device_seconds"] for result in results)}


def run_cell_by_cell(out: Path, flags: Sequence[str], tables: Sequence[str], seeds: Sequence[str]) -> dict[str, float]:
    """Run the same cells, each in its own store; return the sums."""
    rows = [(table.name, row.label) for table in TABLES if table.name in tables for row in table.rows]
    runs = [
        run(out / f"{number}-{seed}", [*flags, "--tables", table, "--rows", row, "--seeds", seed])
        for number, (table, row) in enumerate(rows)
        for seed in seeds
    ]
    return {name: sum(numbers[name] for numbers in runs) for name in runs[0]}


def with_load(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return the numbers of `measure`, with the machine's load before and after it."""
    before = os.getloadavg()[0]
    return {"load_before": before, **measure(), "load_after": os.getloadavg()[0]}


def show(name: str, numbers: Mapping[str, float]) -> None:
    """Print one way's numbers on a line."""
    print(
        f"{name:7} {numbers['trainings']:4.0f} trainings {numbers['device_seconds']:9.1f} device-seconds"
        f" {numbers['wall']:9.1f} s wall, load {numbers['load_before']:.2f} before, {numbers['load_after']:.2f} after"
    )


def ratios(naive: Mapping[str, float], shared: Mapping[str, float]) -> dict[str, float]:
    """Return the shared way's trainings and device time relative to the naive way's."""
    return {name: shared[name] / naive[name] for name in ("trainings", "device_seconds")}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [table.name for table in TABLES]
    parser.add_argument(
        "--tables", nargs="+", default=names, choices=names, metavar="TABLE", help="tables to run (default: all four)"
    )
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="steps of each training (default: 100)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="seeds of the students (default: 0)"
    )
    parser.add_argument("--out", metavar="FILE", help="write the numbers to this file as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the numbers, and write them to a file."""
    options = make_parser().parse_args(arguments)
    short = ["--set", f"recipe.steps={options.steps}", "--set", f"recipe.evaluation.every={options.steps}"]
    seeds = [str(seed) for seed in options.seeds]
    print(f"{os.cpu_count()} cores; {', '.join(options.tables)}; {options.steps} steps")
    with tempfile.TemporaryDirectory(prefix="assay-sharing-") as folder:
        root = Path(folder)
        naive = with_load(lambda: run_cell_by_cell(root / "apart", short, options.tables, seeds))
        show("naive", naive)
        together = [*short, "--tables", *options.tables, "--seeds", *seeds]
        shared = with_load(lambda: run(root / "shared", together))
        show("shared", shared)
    shares = ratios(naive, shared)
    met = "met" if shares["device_seconds"] <= 1 / 3 else "not met"
    print(f"shared / naive trainings {shares['trainings']:.2f}")
    print(f"shared / naive device time {shares['device_seconds']:.2f} (at most a third: {met})")
    if options.out:
        setting = {"cores": os.cpu_count(), "tables": options.tables, "steps": options.steps, "seeds": options.seeds}
        numbers = {"naive": naive, "shared": shared, "shares": shares}
        Path(options.out).write_text(json.dumps(setting | numbers, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
