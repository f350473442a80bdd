"""Baselines of the MKD paper's tables 1 and 2: labelled images alone, and four semi-supervised methods.

python studies/baseline_benchmark.py                      drawn textures, a few minutes on two cores
python studies/baseline_benchmark.py --profile paper      PASCAL VOC, as the paper trains
python studies/baseline_benchmark.py --help
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.presets import camvid, quick, voc  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Profile, Row, Study, Table, by_column  # noqa: E402
from studies.recipes import mkd  # noqa: E402
from studies.recipes.baselines import CPS, CPS_CUTMIX, CUTMIX_SEG, MEAN_TEACHER, PUBLISHED, SUPERVISED  # noqa: E402
from studies.recipes.columns import (  # noqa: E402
    CAMVID_NOTE,
    FEW_LABELS,
    MANY_LABELS_BY_ENCODER,
    TEXTURES_NOTE,
    drawn,
    few_labels,
    many_labels,
)

TABLE1 = Table(
    name="mkd.table1",
    title="PASCAL VOC, few labels",
    columns=FEW_LABELS,
    rows=(
        Row("Supervised", SUPERVISED, paper="SupOnly-R101"),
        Row("Mean Teacher", MEAN_TEACHER, paper="MT-R101 [31]", not_comparable=PUBLISHED),
        Row("CutMix-Seg", CUTMIX_SEG, paper="CutMix-Seg-R101 [42]", not_comparable=PUBLISHED),
        Row("CPS", CPS, notes=("the paper quotes CPS with CutMix only",)),
        Row("CPS + CutMix", CPS_CUTMIX, paper="CPS-R101 [5]", not_comparable=PUBLISHED),
    ),
    reference="Supervised",
)
TABLE2 = Table(
    name="mkd.table2",
    title="PASCAL VOC with augmented labels",
    columns=MANY_LABELS_BY_ENCODER,
    rows=(
        Row("Supervised", SUPERVISED, paper="SupOnly"),
        Row("Mean Teacher", MEAN_TEACHER, paper="MT [31]", not_comparable=PUBLISHED),
        Row("CutMix-Seg", CUTMIX_SEG, paper="CutMix-Seg [42]", not_comparable=PUBLISHED),
        Row("CPS", CPS, paper="CPS [5]", not_comparable=PUBLISHED),
        Row("CPS + CutMix", CPS_CUTMIX, paper="CPS w/ CutMix [5]", not_comparable=PUBLISHED),
    ),
    reference="Supervised",
)


ON_ANY_DATA = by_column(TABLE1, drawn) | by_column(TABLE2, drawn)

STUDY = Study(
    name="baseline_benchmark",
    title="Baselines of semi-supervised segmentation (rows of MKD's tables 1 and 2)",
    tables=(TABLE1, TABLE2),
    profiles=(
        Profile(
            name="quick",
            note=TEXTURES_NOTE,
            start=quick,
            parallel_by_default=True,
            columns=ON_ANY_DATA,
            tables=(TABLE1.name,),
            shown=("1/16(92)",),
            not_comparable="trained on drawn textures",
        ),
        Profile(
            name="camvid",
            note=CAMVID_NOTE,
            start=camvid,
            columns=ON_ANY_DATA,
            tables=(TABLE1.name,),
            not_comparable="trained on CamVid",
        ),
        Profile(
            name="paper",
            note=mkd.RECIPE_NOTE,
            start=voc,
            changes=mkd.PAPER,
            runtime={"loader_workers": 4},
            columns=by_column(TABLE1, few_labels) | by_column(TABLE2, many_labels),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
