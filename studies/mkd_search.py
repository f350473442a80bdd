"""What Mutual Knowledge Distillation's paper leaves open: T, α, β, λ and γ around the last row of its table 4.

python studies/mkd_search.py                          drawn shapes, minutes on two cores
python studies/mkd_search.py --configurations 40      more of them; what was tried already counts
python studies/mkd_search.py --plan                   what was found so far
python studies/mkd_search.py --help                   the space, with the paper's values
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # from here on, imports included

from assay.run import run_search  # noqa: E402
from assay.search import Choice, Float, ProfileSettings, Search, When  # noqa: E402
from studies import mkd_ablation  # noqa: E402

SEARCH = Search(
    name="mkd_search",
    title="Mutual Knowledge Distillation: thresholds and weights (its paper gives T alone, its code the others)",
    study=mkd_ablation.STUDY,
    table="mkd.table4",
    row="+ Mutual MT + SDA + KS",
    space={
        "method.threshold_teachers": Float(0.5, 0.99, paper=0.95),  # T
        "method.weight_teachers": Float(0.1, 3.0, log=True, paper=1.5),  # α
        "method.weight_students": Float(0.1, 3.0, log=True, paper=1.0),  # β
        "method.momentum": Choice((0.3, 0.6, 0.9, 0.99, 0.999), paper=0.6),  # γ
        "method.fda": Choice({"off": None, "on": "fda"}, paper="off"),
        "method.fda.strength": When("method.fda", {"on": Float(0.1, 3.0, log=True, paper=1.5)}),  # λ
    },
    settings={
        "quick": ProfileSettings(column="1/16(662)", configurations=5),
        "camvid": ProfileSettings(column="1/16(662)", configurations=30),
        "paper": ProfileSettings(column="1/16(662)", configurations=50),
    },
)

if __name__ == "__main__":
    sys.exit(run_search(SEARCH))
