"""A study for one gang: eighteen trainings succeed, two fail, and two students of the failed ones are blocked."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT), str(ROOT / "tests")]

from tiny_study import STUDY as TINY  # noqa: E402

from assay.run import run_study  # noqa: E402
from assay.study import Changes, Nested, Row, Study, Table  # noqa: E402

BROKEN: Changes = {"method": "supervised", "recipe.optimizer.lr": 1e30}
TABLE = Table(
    name="mkd.table1",
    columns=("1/16(92)",),
    rows=(
        Row("Supervised", {"method": "supervised"}),
        Row("bf16", {"method": "supervised", "recipe.precision": "bf16"}),
        Row("Broken", BROKEN),
        Row("Mean Teacher", {"method": "mean_teacher"}),
        Row("Student of the broken", {"method": "kd", "method.teachers": (Nested(BROKEN, seed=0),)}),
        Row("CutMix-Seg", {"method": "cutmix_seg"}),
        Row("float64", {"method": "cps", "recipe.precision": "float64"}),
        Row("Student", {"method": "kd", "method.teachers": (Nested({"method": "supervised"}, seed=0),)}),
        Row("Adam", {"method": "supervised", "recipe.optimizer": "adam"}),
        Row("CPS + CutMix", {"method": "cps", "method.cutmix": "boxes"}),
        Row("CPS", {"method": "cps"}),
    ),
)
STUDY = Study(
    name="tiny_gang",
    title="Twenty trainings for one gang",
    tables=(TABLE,),
    profiles=(dataclasses.replace(TINY.profiles[0], columns={"1/16(92)": {"data.split.labeled": "1/4"}}),),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
