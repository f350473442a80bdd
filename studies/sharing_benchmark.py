"""What sharing teachers saves: MGD's tables 4, 5a, 5b and 6 with short trainings, once in one store, once cell by cell.

    python studies/sharing_benchmark.py
    python studies/sharing_benchmark.py --tables mgd.table5a --steps 20

Both ways are run one after the other with the same command, in one process each; the naive one trains the teachers of
every cell anew. Device-seconds are those of all trainings, teachers included, as their results tell them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from studies.mgd_ablation import TABLES  # noqa: E402

ABLATION = ROOT / "studies" / "mgd_ablation.py"


def run(out: Path, flags: Sequence[str]) -> dict[str, float]:
    """Run the study into a folder; the wall time, the trainings that it took and their device-seconds."""
    command = [sys.executable, str(ABLATION), "--gangs", "0", "--out", str(out), *flags]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    results = [json.loads(path.read_text()) for path in out.glob("store/*/result.json")]
    return {
        "wall": time.perf_counter() - began,
        "trainings": len(results),
        "device_seconds": sum(each["device_seconds"] for each in results),
    }


def naive(out: Path, flags: Sequence[str], tables: Sequence[str], seeds: Sequence[str]) -> dict[str, float]:
    """The same cells, each in a store of its own."""
    rows = [(table.name, row.label) for table in TABLES if table.name in tables for row in table.rows]
    runs = [
        run(out / f"{number}-{seed}", [*flags, "--tables", table, "--rows", row, "--seeds", seed])
        for number, (table, row) in enumerate(rows)
        for seed in seeds
    ]
    return {name: sum(each[name] for each in runs) for name in runs[0]}


def main() -> int:
    """Measure, print and write down."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [table.name for table in TABLES]
    flags.add_argument("--tables", nargs="+", default=names, choices=names, metavar="TABLE", help="default: all four")
    flags.add_argument("--steps", type=int, default=100, metavar="N", help="steps of each training (default: 100)")
    flags.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="students' seeds (default: 0)")
    flags.add_argument("--out", metavar="FILE", help="where to write the numbers as JSON")
    asked = flags.parse_args()
    short = ["--set", f"recipe.steps={asked.steps}", "--set", f"recipe.evaluation.every={asked.steps}"]
    seeds = [str(seed) for seed in asked.seeds]
    raw: dict[str, object] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], "steps": asked.steps}
    raw |= {"tables": asked.tables, "seeds": asked.seeds}
    print(f"{raw['cores']} cores, load {raw['load_before']:.2f} before; {', '.join(asked.tables)}; {asked.steps} steps")
    with tempfile.TemporaryDirectory(prefix="assay-sharing-") as folder:
        apart = naive(Path(folder) / "apart", short, asked.tables, seeds)
        shared = run(Path(folder) / "shared", [*short, "--tables", *asked.tables, "--seeds", *seeds])
    for name, numbers in (("naive", apart), ("shared", shared)):
        print(
            f"{name:7} {numbers['trainings']:4.0f} trainings {numbers['device_seconds']:9.1f} device-seconds"
            f" {numbers['wall']:9.1f} s wall"
        )
    share = shared["device_seconds"] / apart["device_seconds"]
    print(f"shared / naive device time {share:.2f} (at most a third: {'met' if share <= 1 / 3 else 'not met'})")
    if asked.out:
        Path(asked.out).write_text(json.dumps(raw | {"naive": apart, "shared": shared}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
