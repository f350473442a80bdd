"""What sharing teachers saves: MGD's tables 4, 5a, 5b and 6 with short trainings, once in one store, once cell by cell.

    python studies/sharing_benchmark.py
    python studies/sharing_benchmark.py --tables mgd.table5a --steps 20

Both ways are run one after the other with the same command, in one process each; the naive one trains the teachers of
every cell anew. Device-seconds are those of all trainings, teachers included, as their results tell them; what else
runs on the machine makes them longer, so the load stands beside each way's.
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
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from studies.mgd_ablation import TABLES  # noqa: E402

ABLATION = ROOT / "studies" / "mgd_ablation.py"


def run(out: Path, flags: Sequence[str]) -> dict[str, float]:
    """Run the study into a folder; the wall time, the trainings that it took and their device-seconds."""
    command = [sys.executable, str(ABLATION), "--gangs", "0", "--out", str(out), *flags]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"wall": time.perf_counter() - began, **counted(out)}


def counted(out: Path) -> dict[str, float]:
    """The trainings of a folder's store, and their device-seconds."""
    results = [json.loads(path.read_text()) for path in out.glob("store/*/result.json")]
    return {"trainings": len(results), "device_seconds": sum(each["device_seconds"] for each in results)}


def naive(out: Path, flags: Sequence[str], tables: Sequence[str], seeds: Sequence[str]) -> dict[str, float]:
    """The same cells, each in a store of its own."""
    rows = [(table.name, row.label) for table in TABLES if table.name in tables for row in table.rows]
    runs = [
        run(out / f"{number}-{seed}", [*flags, "--tables", table, "--rows", row, "--seeds", seed])
        for number, (table, row) in enumerate(rows)
        for seed in seeds
    ]
    return {name: sum(each[name] for each in runs) for name in runs[0]}


def with_load(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `measure` finds, between the machine's load before and after it."""
    before = os.getloadavg()[0]
    return {"load_before": before, **measure(), "load_after": os.getloadavg()[0]}


def show(name: str, numbers: Mapping[str, float]) -> None:
    """A line of what one way took."""
    print(
        f"{name:7} {numbers['trainings']:4.0f} trainings {numbers['device_seconds']:9.1f} device-seconds"
        f" {numbers['wall']:9.1f} s wall, load {numbers['load_before']:.2f} before, {numbers['load_after']:.2f} after"
    )


def shares(apart: Mapping[str, float], shared: Mapping[str, float]) -> dict[str, float]:
    """What part of the naive way's trainings and device time the shared one takes."""
    return {name: shared[name] / apart[name] for name in ("trainings", "device_seconds")}


def flags() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [table.name for table in TABLES]
    parser.add_argument("--tables", nargs="+", default=names, choices=names, metavar="TABLE", help="default: all four")
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="steps of each training (default: 100)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="students' seeds (default: 0)"
    )
    parser.add_argument("--out", metavar="FILE", help="where to write the numbers as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write down."""
    asked = flags().parse_args(arguments)
    short = ["--set", f"recipe.steps={asked.steps}", "--set", f"recipe.evaluation.every={asked.steps}"]
    seeds = [str(seed) for seed in asked.seeds]
    print(f"{os.cpu_count()} cores; {', '.join(asked.tables)}; {asked.steps} steps")
    with tempfile.TemporaryDirectory(prefix="assay-sharing-") as folder:
        root = Path(folder)
        apart = with_load(lambda: naive(root / "apart", short, asked.tables, seeds))
        show("naive", apart)
        together = [*short, "--tables", *asked.tables, "--seeds", *seeds]
        shared = with_load(lambda: run(root / "shared", together))
        show("shared", shared)
    parts = shares(apart, shared)
    met = "met" if parts["device_seconds"] <= 1 / 3 else "not met"
    print(f"shared / naive trainings {parts['trainings']:.2f}")
    print(f"shared / naive device time {parts['device_seconds']:.2f} (at most a third: {met})")
    if asked.out:
        setting = {"cores": os.cpu_count(), "tables": asked.tables, "steps": asked.steps, "seeds": asked.seeds}
        found = {"naive": apart, "shared": shared, "shares": parts}
        Path(asked.out).write_text(json.dumps(setting | found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
