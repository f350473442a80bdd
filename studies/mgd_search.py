"""A search of λ1, λ2, regions and boxes of Multi-Granularity Distillation, around its row with all three losses.

λ1 and λ2 are the paper's. On drawn textures the networks start from random weights, so that λ2 = 100 is too large
(studies/recipes/mgd.py says why); its range reaches down to 0.5.

python studies/mgd_search.py                          drawn textures, minutes on two cores; teachers are trained first
python studies/mgd_search.py --configurations 40      40 in all, those of earlier runs included
python studies/mgd_search.py --help                   the search space, with the published values
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
from studies import mgd_ablation  # noqa: E402
from studies.recipes.searches import TO_THE_END  # noqa: E402

REGIONS = {f"{side}x{side}": (side, side) for side in (1, 3, 5, 7, 9, 11)}

SEARCH = Search(
    name="mgd_search",
    title="Multi-Granularity Distillation: λ1, λ2, regions and CutMix's boxes",
    study=mgd_ablation.STUDY,
    table="mgd.table5a",
    row="Sup + P + I(TD) + R(TW)",
    space={
        "method.weight_image": Float(0.001, 1.0, log=True, paper=0.002),  # λ1
        "method.weight_region": Float(0.5, 200.0, log=True, paper=100.0),  # λ2
        "method.regions": Choice(REGIONS, paper="7x7"),  # H_v x W_v
        "method.cutmix": Choice({"off": None, "on": "boxes"}, paper="off"),  # on in the authors' code
        "method.cutmix.num_boxes": When("method.cutmix", {"on": Int(1, 6)}),
    },
    settings={
        "quick": ProfileSettings(column="VOC", configurations=12, pruning=TO_THE_END),
        "paper": ProfileSettings(column="VOC", configurations=50),
    },
)

if __name__ == "__main__":
    sys.exit(run_search(SEARCH))
