"""A search of the weights and boxes of two baselines: CPS with CutMix, and Mean Teacher.

python studies/baseline_search.py                          drawn textures, minutes on two cores
python studies/baseline_search.py --sampler grid --pruner none --configurations 100
python studies/baseline_search.py --help                   the search space, with the published values
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.run import run_search  # noqa: E402
from assay.search import Choice, Float, Int, ProfileSettings, Search, When  # noqa: E402
from studies import baseline_benchmark  # noqa: E402
from studies.recipes.searches import TO_THE_END  # noqa: E402

AREAS = {"0.1 to 0.25": (0.1, 0.25), "0.25 to 0.5": (0.25, 0.5), "0.4 to 0.6": (0.4, 0.6)}

SEARCH = Search(
    name="baseline_search",
    title="CPS and Mean Teacher: the weight of the unlabelled images, and CutMix's boxes",
    study=baseline_benchmark.STUDY,
    table="mkd.table1",
    row="CPS + CutMix",
    space={
        "method": Choice(("cps", "mean_teacher"), paper="cps"),
        "method.weight": When(
            "method",
            {"cps": Float(0.1, 10.0, log=True, paper=1.0), "mean_teacher": Float(0.1, 100.0, log=True, paper=100.0)},
        ),
        "method.cutmix.area": When("method", {"cps": Choice(AREAS, paper="0.25 to 0.5")}),
        "method.cutmix.num_boxes": When("method", {"cps": Int(1, 6, paper=3)}),
    },
    settings={
        "quick": ProfileSettings(column="1/16(92)", configurations=14, pruning=TO_THE_END),
        "camvid": ProfileSettings(column="1/16(92)", configurations=30),
        "paper": ProfileSettings(column="1/16(92)", configurations=50),
    },
)

if __name__ == "__main__":
    sys.exit(run_search(SEARCH))
