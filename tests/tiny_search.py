"""A search of a few seconds over a learning rate and a weight of CPS on tiny images; tests run it like users do."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT), str(ROOT / "tests")]

from small_values import SMALL  # noqa: E402

from assay.presets import quick  # noqa: E402
from assay.run import run_search  # noqa: E402
from assay.search import Choice, Float, ProfileSettings, Pruning, Search, When  # noqa: E402
from assay.study import Profile, Row, Study, Table  # noqa: E402

STUDY = Study(
    name="tiny_base",
    title="The base of the tiny search",
    tables=(Table(name="mkd.table1", columns=("1/16(92)",), rows=(Row("CPS", {"method": "cps"}),)),),
    profiles=(
        Profile(
            name="quick",
            note="drawn textures of 16 x 16",
            start=quick,
            changes=SMALL | {"recipe.steps": 40, "recipe.evaluation.every": 10},
            columns={"1/16(92)": {"data.split.labeled": "1/4"}},
            not_comparable="trained on drawn textures",
            runtime={"checkpoint_every": 5, "log_every": 5},
        ),
    ),
)
SEARCH = Search(
    name="tiny_search",
    title="A search of a few seconds",
    study=STUDY,
    table="mkd.table1",
    row="CPS",
    space={
        "recipe.optimizer.lr": Float(0.001, 0.1, log=True, paper=0.05),
        "method": Choice(("cps", "supervised"), paper="cps"),
        "method.weight": When("method", {"cps": Float(0.1, 3.0, log=True, paper=1.5)}),
    },
    settings={"quick": ProfileSettings(column="1/16(92)", configurations=6, seeds=(0, 1))},
    pruning=Pruning(),  # explicit, since a space with a learning rate is not pruned by default
)

if __name__ == "__main__":
    sys.exit(run_search(SEARCH))
