"""The comparisons of Multi-Granularity Distillation (Qin et al., ECCV 2022): tables 1, 2 and 3 of the paper.

    python studies/mgd_benchmark.py --plan                       which teachers serve which rows
    python studies/mgd_benchmark.py --rows 'Sup. l, ResNet-18' 'KD, ResNet-18' 'MGD, ResNet-18'
    python studies/mgd_benchmark.py --columns '1/16(662)' '1/8(1323)' '1/4(2646)' '1/2(5291)'   figure 3 needs several
    python studies/mgd_benchmark.py --profile paper --workers 4  PASCAL VOC, losses as the paper prints them

Params and FLOPs of the backbone stand beside the paper's. Figure 1 of the paper, mIoU against FLOPs, is a figure of the
report with the paper's points, and so is figure 3, mIoU over the shares of labels, where at least two of these columns
are trained; on drawn shapes it is one unless --columns names more. There a row's network is one of about as many times
less parameters than its teachers, and is counted as it is there.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # a checkout works without being installed

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # from here on, imports included

from assay.presets import quick, voc  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Changes, Profile, Row, Study, Table, by_column  # noqa: E402
from studies.mgd_ablation import FIXED  # noqa: E402
from studies.recipes.mgd_networks import (  # noqa: E402
    AS_IN_CODE,
    AS_PRINTED,
    FROM_SCRATCH_NOTE,
    MOBILENETV2,
    MOBILENETV2_CODE,
    PAPER,
    PAPER_NOTE,
    RESNET18,
    RESNET18_CODE,
    SMALL,
    SMALLER,
    STEPS,
    Networks,
    on_voc,
    taught,
)
from studies.recipes.shared import CPS_CUTMIX, MANY_LABELS, SHAPES_NOTE, drawn, few_labels, share_of  # noqa: E402

METHODS: dict[str, Changes] = {  # by the paper's label
    "Sup. l": {"method": "supervised"},
    "MT [44]": {"method": "mean_teacher"},
    "CPS [7]": CPS_CUTMIX,
    "KD [46]": {"method": "kd"},
    "CWD [38]": {"method": "cwd"},
    "Ours (MGD)": {"method": "mgd"},
    "Ours": {"method": "mgd"},
}
NOTES = {
    "CPS [7]": ("with CutMix, as its teachers; the paper does not say",),
    "KD [46]": ("from both teachers, on all images; the paper does not say",),
    "CWD [38]": ("from both teachers, on all images; the paper does not say",),
}
LIGHT = ("ResNet-18", "MobileNetv2")
COMPARED = ("Sup. l", "MT [44]", "CPS [7]", "KD [46]", "CWD [38]", "Ours (MGD)")


def row(method: str, network: str) -> Row:
    """A row by its printed method and backbone; the citation is left out here, and Ours is MGD."""
    name = "MGD" if method.startswith("Ours") else method.partition(" [")[0]
    notes = NOTES.get(method, ()) if network in LIGHT else ()
    return Row(f"{name}, {network}", METHODS[method], paper=f"{method} / {network}", notes=notes)


def of_students(methods: tuple[str, ...], students: tuple[str, ...] = LIGHT) -> tuple[Row, ...]:
    """Every method on every light network, network by network."""
    return tuple(row(method, student) for student in students for method in methods)


TEACHERS = (row("CPS [7]", "ResNet-101 (T_D)"), row("CPS [7]", "Wide ResNet-34 (T_W)"))
FIGURE3 = tuple(row(method, LIGHT[0]).label for method in COMPARED)
TABLE1 = Table(
    name="mgd.table1",
    count_flops_of="encoder",
    title="PASCAL VOC with augmented labels",
    plot_over_columns=FIGURE3,
    columns=MANY_LABELS,
    rows=(*TEACHERS, *of_students(COMPARED)),
    reference="Sup. l, ResNet-18",
)
TABLE2 = Table(
    name="mgd.table2",
    count_flops_of="encoder",
    title="PASCAL VOC, few labels",
    columns=("1/16(92)", "1/8(183)", "1/4(366)", "1/2(732)"),
    rows=(
        row("CPS [7]", "ResNet-101"),
        row("CPS [7]", "Wide ResNet-34"),
        *of_students(("Sup. l", "MT [44]", "CPS [7]", "Ours"), LIGHT[:1]),
    ),
    reference="Sup. l, ResNet-18",
    caption="PseudoSeg's lists; not stated: the unlabelled images, here the rest of the 1464, and how long it trains.",
)
TABLE3 = Table(
    name="mgd.table3",
    count_flops_of="encoder",
    title="Cityscapes",
    plot_over_columns=FIGURE3,
    columns=("1/16(186)", "1/8(372)", "1/4(744)", "1/2(1488)"),
    rows=TABLE1.rows,
    reference="Sup. l, ResNet-18",
)
TABLES = (TABLE1, TABLE2, TABLE3)


def rows(resnet18: Networks, mobilenetv2: Networks) -> dict[str, Changes]:
    """The network of every row by its label, and its teachers, whose seed is 0."""
    found: dict[str, Changes] = {}
    for each in (*TABLE1.rows, *TABLE2.rows):
        label, network = each.label, each.label.rpartition(", ")[2]
        if network in LIGHT:
            found[label] = taught(each.changes, resnet18 if network == "ResNet-18" else mobilenetv2, seed=0)
        else:
            found[label] = resnet18.deep if "101" in network else resnet18.wide
    return found


def few_labels_as_long(column: str) -> Changes:
    """PseudoSeg's lists, and the length of table 1's trainings: how long the paper trains there is not stated."""
    return {**few_labels(column), "recipe.steps": STEPS[share_of(column)]}


QUICK = Profile(
    name="quick",
    note=f"{SHAPES_NOTE}; {FROM_SCRATCH_NOTE}; {FIXED}",
    start=quick,
    columns=by_column(TABLE1, drawn)
    | by_column(TABLE2, drawn)
    | by_column(TABLE3, lambda column: {**drawn(column), "data.source.world": 1}),
    rows=rows(SMALL, SMALLER),
    seeds=(0,),
    tables=(TABLE1.name,),
    shown=MANY_LABELS[:1],
    parallel_by_default=True,
    not_comparable="trained on drawn shapes",
)
ON_PAPER = Profile(
    name="paper",
    note=f"{PAPER_NOTE}; {FIXED}",
    start=voc,
    changes=PAPER,
    columns=by_column(TABLE1, on_voc) | by_column(TABLE2, few_labels_as_long),
    rows=rows(RESNET18, MOBILENETV2),
    blocked_by=dict.fromkeys(TABLE3.columns, "Cityscapes is not among this project's data sets yet"),
    runtime={"loader_workers": 4},
)
STUDY = Study(
    name="mgd_benchmark",
    title="Multi-Granularity Distillation: comparisons (tables 1, 2 and 3)",
    tables=TABLES,
    profiles=(
        QUICK,
        ON_PAPER,
        dataclasses.replace(
            ON_PAPER,
            name="code",
            note=ON_PAPER.note.replace(AS_PRINTED, AS_IN_CODE),
            rows=rows(RESNET18_CODE, MOBILENETV2_CODE),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
