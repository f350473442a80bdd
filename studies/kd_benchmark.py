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
from assay.study import Like, Profile, Row, Study, Table, by_column  # noqa: E402

CUTMIX = {"method": "cps", "method.cutmix": "boxes", "method.weight": 1.0, "method.on_labeled": False}


def rows(student: dict[str, object], deep: dict[str, object], wide: dict[str, object]) -> tuple[Row, ...]:
    """The table's rows for a student and its two teachers, each a network as changes."""
    by_deep, by_wide = Like(CUTMIX | deep, seed=0), Like(CUTMIX | wide, seed=0)
    kd = {"method": "kd", **student}
    return (
        Row("teacher, deep", CUTMIX | deep, paper="CPS [7] / ResNet-101 (T_D)"),
        Row("teacher, wide", CUTMIX | wide, paper="CPS [7] / Wide ResNet-34 (T_W)"),
        Row("Supervised", {"method": "supervised", **student}, paper="Sup. l / ResNet-18"),
        Row("KD, deep", {**kd, "method.teachers": (by_deep,)}),
        Row("KD, wide", {**kd, "method.teachers": (by_wide,)}),
        Row("KD, both", {**kd, "method.teachers": (by_deep, by_wide)}, paper="KD [46] / ResNet-18"),
        Row(
            "KD, both, labelled images only",
            {**kd, "method.teachers": (by_deep, by_wide), "method.on_unlabeled": False},
        ),
    )


COLUMNS = ("1/16(662)", "1/8(1323)", "1/4(2646)", "1/2(5291)")
SMALL = Table(
    name="mgd.table1.shapes",
    title="A small student of teachers with more channels",
    columns=COLUMNS,
    rows=rows({"net.encoder.width": 8}, {"net.encoder.width": 16}, {"net.encoder.width": 24}),
    reference="Supervised",
)
VOC18 = Table(
    name="mgd.table1.resnet18",
    title="PASCAL VOC with augmented labels, ResNet-18",
    columns=COLUMNS,
    rows=rows(
        {"net.encoder.arch": "resnet18", "net.encoder.stem_width": 32},
        {"net.encoder.arch": "resnet101"},
        {"net.encoder.arch": "wide_resnet50_2"},
    ),
    reference="Supervised",
)


def drawn(column: str) -> dict[str, object]:
    """The same share of the drawn images."""
    return {"data.split.labeled": column.partition("(")[0]}


def listed(column: str) -> dict[str, object]:
    """The CPS authors' lists of the 10582 images."""
    share = column.partition("(")[0].replace("/", "-")
    return {"data.split.labeled": f"cps/voc/train_aug_labeled_{share}.txt"}


STUDY = Study(
    name="kd_benchmark",
    title="Knowledge distillation (rows of MGD's table 1)",
    tables=(SMALL, VOC18),
    profiles=(
        Profile(
            name="quick",
            note="drawn shapes of 32 x 32 pixels and very small networks; nothing here repeats the paper's numbers",
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
            columns=by_column(VOC18, listed),
            tables=(VOC18.name,),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
