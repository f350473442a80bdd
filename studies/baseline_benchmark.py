"""The baselines of the MKD paper's tables 1 and 2: what labels alone reach, and what four methods add.

python studies/baseline_benchmark.py                      drawn shapes, a few minutes on two cores
python studies/baseline_benchmark.py --profile paper      PASCAL VOC, as the paper trains
python studies/baseline_benchmark.py --help
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # from here on, imports included

from assay.presets import camvid, quick, voc  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Profile, Row, Study, Table, by_column  # noqa: E402
from studies.recipes.shared import (  # noqa: E402
    CAMVID_NOTE,
    CPS_CUTMIX,
    FEW_LABELS,
    MANY_LABELS_BY_ENCODER,
    MKD_NOTE,
    MKD_PAPER,
    PUBLISHED,
    SHAPES_NOTE,
    drawn,
    few_labels,
    many_labels,
)

TABLE1 = Table(
    name="mkd.table1",
    title="PASCAL VOC, few labels",
    columns=FEW_LABELS,
    rows=(
        Row("Supervised", {"method": "supervised"}, paper="SupOnly-R101"),
        Row("Mean Teacher", {"method": "mean_teacher"}, paper="MT-R101 [31]", not_comparable=PUBLISHED),
        Row("CutMix-Seg", {"method": "cutmix_seg"}, paper="CutMix-Seg-R101 [42]", not_comparable=PUBLISHED),
        Row("CPS", {"method": "cps"}, notes=("the paper quotes CPS with CutMix only",)),
        Row("CPS + CutMix", CPS_CUTMIX, paper="CPS-R101 [5]", not_comparable=PUBLISHED),
    ),
    reference="Supervised",
)
TABLE2 = Table(
    name="mkd.table2",
    title="PASCAL VOC with augmented labels",
    columns=MANY_LABELS_BY_ENCODER,
    rows=(
        Row("Supervised", {"method": "supervised"}, paper="SupOnly"),
        Row("Mean Teacher", {"method": "mean_teacher"}, paper="MT [31]", not_comparable=PUBLISHED),
        Row("CutMix-Seg", {"method": "cutmix_seg"}, paper="CutMix-Seg [42]", not_comparable=PUBLISHED),
        Row("CPS", {"method": "cps"}, paper="CPS [5]", not_comparable=PUBLISHED),
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
            note=SHAPES_NOTE,
            start=quick,
            parallel_by_default=True,
            columns=ON_ANY_DATA,
            seeds=(0, 1),
            tables=(TABLE1.name,),
            shown=("1/16(92)",),
            not_comparable="trained on drawn shapes",
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
            note=MKD_NOTE,
            start=voc,
            changes=MKD_PAPER,
            runtime={"loader_workers": 4},
            columns=by_column(TABLE1, few_labels) | by_column(TABLE2, many_labels),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
