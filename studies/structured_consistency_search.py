"""A search of N, the boxes' area, N_box, N_pair, λ_c and λ_sc of Structured Consistency, around table 2's last row.

The paper gives all but the area as found "from the empirical experiments"; the boxes cover about half of the image at
an area of 0.75. A box of a drawn image has 625 pairs at most, so that N_pair = 900 and 9000 are equal there.

python studies/structured_consistency_search.py                      drawn textures, minutes on two cores
python studies/structured_consistency_search.py --configurations 40  40 in all, those of earlier runs included
python studies/structured_consistency_search.py --plan               the results so far
python studies/structured_consistency_search.py --help               the search space, with the published values
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.run import run_search  # noqa: E402
from assay.search import Choice, Float, ProfileSettings, Search  # noqa: E402
from studies import structured_consistency_ablation  # noqa: E402
from studies.recipes.searches import TO_THE_END  # noqa: E402

AREAS = {f"{share:g}": (share, share) for share in (0.25, 0.5, 0.75, 1.0)}

SEARCH = Search(
    name="structured_consistency_search",
    title="Structured Consistency: boxes, pairs and weights",
    study=structured_consistency_ablation.STUDY,
    table="scl.table2",
    row="+ structured consistency loss",
    space={
        "method.weight_consistency": Float(1.0, 100.0, log=True, paper=20.0),  # λ_c
        "method.weight_structured": Float(0.1, 30.0, log=True, paper=3.0),  # λ_sc
        "method.boxes.num_boxes": Choice((16, 32, 64), paper=32),  # N
        "method.boxes.area": Choice(AREAS),
        "method.last_boxes": Choice((1, 4, 8, 16), paper=16),  # N_box
        "method.pairs": Choice((90, 900, 9000), paper=9000),  # N_pair
    },
    settings={
        "quick": ProfileSettings(column="mIoU", configurations=12, pruning=TO_THE_END),
        "camvid": ProfileSettings(column="mIoU", configurations=30),
        "paper": ProfileSettings(column="mIoU", configurations=50),
    },
)

if __name__ == "__main__":
    sys.exit(run_search(SEARCH))
