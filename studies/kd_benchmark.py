"""Plain distillation, as the MGD paper's table 1 has it: a small student, and what teachers give it.

    python studies/kd_benchmark.py            drawn shapes, a few minutes on two cores
    python studies/kd_benchmark.py --plan     which teachers serve which rows

One teacher is trained for each column, and every row and seed that names it shares it.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # from here on, imports included

from assay.presets import quick, voc  # noqa: E402
from assay.run import main  # noqa: E402
from assay.study import Changes, Like, Profile, Row, Study, Table, by_column  # noqa: E402
from studies.shared import CPS_CUTMIX, MANY_LABELS, SHAPES_NOTE, drawn, many_labels  # noqa: E402


def rows(student: Changes, deep: Changes, wide: Changes) -> tuple[Row, ...]:
    """The table's rows for a student and its two teachers, each a network as changes."""
    deep_teacher, wide_teacher = {**CPS_CUTMIX, **deep}, {**CPS_CUTMIX, **wide}
    by_deep, by_wide = Like(deep_teacher, seed=0), Like(wide_teacher, seed=0)
    kd = {"method": "kd", **student}
    return (
        Row("teacher, deep", deep_teacher, paper="CPS [7] / ResNet-101 (T_D)"),
        Row("teacher, wide", wide_teacher, paper="CPS [7] / Wide ResNet-34 (T_W)"),
        Row("Supervised", {"method": "supervised", **student}, paper="Sup. l / ResNet-18"),
        Row("KD, deep", {**kd, "method.teachers": (by_deep,)}),
        Row("KD, wide", {**kd, "method.teachers": (by_wide,)}),
        Row("KD, both", {**kd, "method.teachers": (by_deep, by_wide)}, paper="KD [46] / ResNet-18"),
        Row(
            "KD, both, labelled images only",
            {**kd, "method.teachers": (by_deep, by_wide), "method.on_unlabeled": False},
        ),
    )


SMALL = Table(
    name="mgd.table1.shapes",
    title="A small student of teachers with more channels",
    columns=MANY_LABELS,
    rows=rows({"net.encoder.width": 8}, {"net.encoder.width": 16}, {"net.encoder.width": 24}),
    reference="Supervised",
)
VOC18 = Table(
    name="mgd.table1.resnet18",
    title="PASCAL VOC with augmented labels, ResNet-18",
    columns=MANY_LABELS,
    rows=rows(
        {"net.encoder.arch": "resnet18", "net.encoder.stem_width": 32},
        {"net.encoder.arch": "resnet101"},
        {"net.encoder.arch": "wide_resnet50_2"},
    ),
    reference="Supervised",
)


STUDY = Study(
    name="kd_benchmark",
    title="Knowledge distillation (rows of MGD's table 1)",
    tables=(SMALL, VOC18),
    profiles=(
        Profile(
            name="quick",
            note=SHAPES_NOTE,
            start=quick,
            columns=by_column(SMALL, drawn),
            seeds=(0, 1),
            tables=(SMALL.name,),
            shown=("1/16(662)",),
            differs="trained on drawn shapes",
        ),
        Profile(
            name="paper",
            note="PASCAL VOC 2012 with ImageNet weights and the CPS authors' lists",
            start=voc,
            runtime={"loader_workers": 4},
            columns=by_column(VOC18, many_labels),
            tables=(VOC18.name,),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
