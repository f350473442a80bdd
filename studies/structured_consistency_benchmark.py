"""The comparison of Structured Consistency (Kim et al. 2020): table 1, the IoU of each class of Cityscapes.

    python studies/structured_consistency_benchmark.py                  mIoU on drawn textures, minutes on two cores
    python studies/structured_consistency_benchmark.py --profile camvid CamVid, which has eleven of the classes
    python studies/structured_consistency_benchmark.py --profile paper --workers 8  Cityscapes, as the paper trains

All columns of a row are one training. It is scored as the paper scores the test images, whose masks are not public: at
three scales, mirrored, by overlapping tiles; on the validation images. The other rows quote the paper's numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.data.sources import Cityscapes  # noqa: E402
from assay.presets import camvid, cityscapes, quick  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Profile, Row, Study, Table  # noqa: E402
from studies.recipes.columns import CAMVID_NOTE, TEXTURES_NOTE, drawn  # noqa: E402
from studies.recipes.structured_consistency import (  # noqa: E402
    MULTI_SCALE,
    ON_CAMVID,
    ON_CAMVID_NOTE,
    ON_DRAWN,
    ON_DRAWN_NOTE,
    ON_VALIDATION,
    PAPER,
    PAPER_NOTE,
    STRUCTURED,
    WITHOUT_MAPILLARY,
)

MIOU = "mIoU"
# The paper's headings, in the order of the benchmark's classes.
HEADINGS = (
    "road", "s.walk", "build.", "wall", "fence", "pole", "t-light", "t-sign", "veg", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motor", "bike",
)  # fmt: skip
CLASSES = dict(zip(HEADINGS, Cityscapes().classes(), strict=True))
# CamVid's classes that Cityscapes has.
CLASSES_OF_CAMVID = {
    "road": "road",
    "s.walk": "pavement",
    "build.": "building",
    "fence": "fence",
    "pole": "pole",
    "t-sign": "sign",
    "veg": "tree",
    "sky": "sky",
    "person": "pedestrian",
    "car": "car",
    "bike": "bicyclist",
}


def quoted(*labels: str) -> tuple[Row, ...]:
    """Return rows of methods that this project does not have."""
    return tuple(Row(label, paper=label, quoted=True) for label in labels)


TABLE1 = Table(
    name="scl.table1",
    title="Cityscapes, class by class",
    columns=(*HEADINGS, MIOU),
    rows=(
        *quoted("PSPNet", "DeeplabV3+", "Gated-SCNN", "DRN-CRL", "GALD-Net", "Video Propagation"),
        Row("Ours", STRUCTURED, paper="Ours"),
        *quoted("Tencent AI Lab", "GGCF", "iFLYTEK-CV", "openseg-group"),
        Row("Ours+", paper="Ours+", quoted=True, notes=("trained on the validation images as well: only quoted",)),
    ),
    reference="Ours",
    not_comparable=dict.fromkeys((*HEADINGS, MIOU), ON_VALIDATION),
    caption="Published methods, then entries of the benchmark that are not. The paper's numbers are of the test images:"
    " three scales (0.5, 1, 2), mirrored, overlapping tiles.",
)

STUDY = Study(
    name="structured_consistency_benchmark",
    title="Structured Consistency: comparison (table 1)",
    tables=(TABLE1,),
    profiles=(
        Profile(
            name="quick",
            note=f"{TEXTURES_NOTE}; {ON_DRAWN_NOTE}; no class of Cityscapes is drawn, so mIoU alone is trained",
            start=quick,
            columns={MIOU: drawn("1/16")},
            rows={"Ours": ON_DRAWN},
            parallel_by_default=True,
            not_comparable="trained on drawn textures",
        ),
        Profile(
            name="camvid",
            note=f"{CAMVID_NOTE}; {ON_CAMVID_NOTE}",
            start=camvid,
            rows={"Ours": ON_CAMVID},
            columns=dict.fromkeys((*CLASSES_OF_CAMVID, MIOU), MULTI_SCALE),
            classes=CLASSES_OF_CAMVID,
            not_comparable="trained on CamVid",
        ),
        Profile(
            name="paper",
            note=PAPER_NOTE,
            start=cityscapes,
            changes={**PAPER, **MULTI_SCALE},
            columns={column: {} for column in TABLE1.columns},
            classes=CLASSES,
            not_comparable=WITHOUT_MAPILLARY,
            runtime={"loader_workers": 4},
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
