"""A search of T, α, β, λ and γ of Mutual Knowledge Distillation, around the last row of its table 4.

The paper gives T alone; γ and λ are the authors' code's. α and β are those of the profile `paper`, converted from the
code's 1.5 and 1.0, which are for means over labelled images and padding as well.

python studies/mkd_search.py                          drawn textures, minutes on two cores
python studies/mkd_search.py --configurations 40      40 in all, those of earlier runs included
python studies/mkd_search.py --plan                   the results so far
python studies/mkd_search.py --help                   the search space, with the published values
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.run import run_search  # noqa: E402
from assay.search import Choice, Float, ProfileSettings, Search, When  # noqa: E402
from studies import mkd_ablation  # noqa: E402
from studies.recipes.searches import TO_THE_END  # noqa: E402

SEARCH = Search(
    name="mkd_search",
    title="Mutual Knowledge Distillation: threshold and weights (T is the paper's; α, β, γ, λ are from its code)",
    study=mkd_ablation.STUDY,
    table="mkd.table4",
    row="+ Mutual MT + SDA + KS",
    space={
        "method.threshold_teachers": Float(0.5, 0.99, paper=0.95),  # T
        "method.weight_teachers": Float(0.1, 3.0, log=True, paper=0.6),  # α
        "method.weight_students": Float(0.1, 3.0, log=True, paper=0.4),  # β
        "method.momentum": Choice((0.3, 0.6, 0.9, 0.99, 0.999), paper=0.6),  # γ
        "method.fda": Choice({"off": None, "on": "fda"}, paper="off"),
        "method.fda.strength": When("method.fda", {"on": Float(0.1, 3.0, log=True, paper=1.5)}),  # λ
    },
    settings={
        "quick": ProfileSettings(column="1/16(662)", configurations=12, pruning=TO_THE_END),
        "camvid": ProfileSettings(column="1/16(662)", configurations=30),
        "paper": ProfileSettings(column="1/16(662)", configurations=50),
    },
)

if __name__ == "__main__":
    sys.exit(run_search(SEARCH))
