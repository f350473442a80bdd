"""The comparisons of Multi-Granularity Distillation (Qin et al., ECCV 2022): tables 1, 2 and 3 of the paper.

    python studies/mgd_benchmark.py --plan                       the experiments, with the teachers of each row
    python studies/mgd_benchmark.py                              table 1 on drawn textures: ResNet-18's rows
    python studies/mgd_benchmark.py --rows 'Sup. l, MobileNetv2' 'KD, MobileNetv2' 'MGD, MobileNetv2'   more rows
    python studies/mgd_benchmark.py --columns '1/16(662)' '1/8(1323)' '1/4(2646)' '1/2(5291)'   for figure 3
    python studies/mgd_benchmark.py --profile paper --workers 4  VOC and Cityscapes, losses as the paper prints them

On drawn textures a run without --rows trains the two teachers and ResNet-18's six rows, in minutes on two cores.
MobileNetv2's rows reuse these teachers.

The tables show Params and FLOPs of the backbone beside the paper's. The report has the paper's figure 1 (mIoU against
FLOPs) with the paper's points, and figure 3 (mIoU over the shares of labels) if at least two of these columns are
trained; on drawn textures that needs --columns. Between the drawn students and teachers the ratios of parameters are
about the paper's; Params and FLOPs are counted of the drawn networks.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.presets import quick, voc  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Changes, Profile, Row, Study, Table, by_column  # noqa: E402
from studies.recipes.baselines import CPS_CUTMIX, MEAN_TEACHER, SUPERVISED  # noqa: E402
from studies.recipes.columns import (  # noqa: E402
    CITYSCAPES,
    MANY_LABELS,
    TEXTURES_NOTE,
    drawn,
    drawn_again,
    few_labels,
    share_of,
)
from studies.recipes.mgd import (  # noqa: E402
    AS_IN_CODE,
    AS_PRINTED,
    FIXED,
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
    networks_on_cityscapes,
    on_cityscapes,
    on_voc,
    student_changes,
    teacher_changes,
)

METHODS: dict[str, Changes] = {  # by the paper's row label
    "Sup. l": SUPERVISED,
    "MT [44]": MEAN_TEACHER,
    "CPS [7]": CPS_CUTMIX,
    "KD [46]": {"method": "kd"},
    "CWD [38]": {"method": "cwd"},
    "Ours (MGD)": {"method": "mgd"},
    "Ours": {"method": "mgd"},
}
NOTES = {"CPS [7]": ("with CutMix, as its teachers; not stated in the paper",)}
# The settings that methods/kd.py and methods/cwd.py give reasons for.
NOT_STATED = "the paper states neither T, nor the weight, nor the images; here"
DISTILLED = "from both teachers, on labelled and unlabelled images"
NOT_COMPARABLE = {
    "KD [46]": f"{NOT_STATED} T = 1 and weight 1, {DISTILLED}",
    "CWD [38]": f"{NOT_STATED} T = 4 and weight 3, {DISTILLED}",
}
BY_CPS = "the paper's numbers are CPS's own published ones"
LIGHT = ("ResNet-18", "MobileNetv2")
COMPARED = ("Sup. l", "MT [44]", "CPS [7]", "KD [46]", "CWD [38]", "Ours (MGD)")


def make_row(method: str, network: str) -> Row:
    """Return the row of a printed method and backbone; its label leaves out the citation, and Ours is MGD."""
    name = "MGD" if method.startswith("Ours") else method.partition(" [")[0]
    notes = NOTES.get(method, ()) if network in LIGHT else ()
    return Row(
        f"{name}, {network}",
        METHODS[method],
        paper=f"{method} / {network}",
        notes=notes,
        not_comparable=NOT_COMPARABLE.get(method, ""),
    )


def student_rows(methods: tuple[str, ...], students: tuple[str, ...] = LIGHT) -> tuple[Row, ...]:
    """Return a row for every method on every light network, network by network."""
    return tuple(make_row(method, student) for student in students for method in methods)


TEACHERS = (make_row("CPS [7]", "ResNet-101 (T_D)"), make_row("CPS [7]", "Wide ResNet-34 (T_W)"))
FIGURE3 = tuple(make_row(method, LIGHT[0]).label for method in COMPARED)
TABLE1 = Table(
    name="mgd.table1",
    count_flops_of="encoder",
    title="PASCAL VOC with augmented labels",
    plot_over_columns=FIGURE3,
    columns=MANY_LABELS,
    rows=(*TEACHERS, *student_rows(COMPARED)),
    reference="Sup. l, ResNet-18",
)
TABLE2 = Table(
    name="mgd.table2",
    count_flops_of="encoder",
    title="PASCAL VOC, few labels",
    columns=("1/16(92)", "1/8(183)", "1/4(366)", "1/2(732)"),
    rows=(
        dataclasses.replace(make_row("CPS [7]", "ResNet-101"), not_comparable=BY_CPS),
        make_row("CPS [7]", "Wide ResNet-34"),
        *student_rows(("Sup. l", "MT [44]", "CPS [7]", "Ours"), LIGHT[:1]),
    ),
    reference="Sup. l, ResNet-18",
    caption="PseudoSeg's lists. Not stated: the unlabelled images (here the rest of the 1464) and the steps.",
)
TABLE3 = Table(
    name="mgd.table3",
    count_flops_of="encoder",
    title="Cityscapes",
    plot_over_columns=FIGURE3,
    columns=CITYSCAPES,
    rows=(
        dataclasses.replace(TEACHERS[0], not_comparable=f"{BY_CPS} at 1/16(186) and 1/8(372)"),
        *TABLE1.rows[1:],
    ),
    reference="Sup. l, ResNet-18",
)
TABLES = (TABLE1, TABLE2, TABLE3)


def row_changes(row: Row, resnet18: Networks, mobilenetv2: Networks) -> dict[str, object]:
    """Return a row's network, which its label names, and its teachers, whose seed is 0."""
    network = row.label.rpartition(", ")[2]
    if network in LIGHT:
        return student_changes(row.changes, resnet18 if network == "ResNet-18" else mobilenetv2, seed=0)
    return teacher_changes(resnet18.deep if "101" in network else resnet18.wide, resnet18)


def rows(resnet18: Networks, mobilenetv2: Networks) -> dict[str, Changes]:
    """Return every row's network and teachers by the row's label."""
    return {row.label: row_changes(row, resnet18, mobilenetv2) for row in (*TABLE1.rows, *TABLE2.rows)}


def cells_of_table3(resnet18: Networks, mobilenetv2: Networks) -> dict[str, Changes]:
    """Return the changes of table 3's cells, since the teachers' steps depend on the column."""
    return {
        f"{TABLE3.name}/{row.label}/{column}": row_changes(
            row, networks_on_cityscapes(resnet18, column), networks_on_cityscapes(mobilenetv2, column)
        )
        for row, column in TABLE3.cells()
    }


def few_labels_with_steps(column: str) -> Changes:
    """Return the changes for PseudoSeg's lists with the steps of table 1: the paper does not state table 2's."""
    return {**few_labels(column), "recipe.steps": STEPS[share_of(column)]}


QUICK = Profile(
    name="quick",
    note=f"{TEXTURES_NOTE}; 400 steps instead of 600; without --rows all but MobileNetv2's; {FROM_SCRATCH_NOTE};"
    f" {FIXED}",
    start=quick,
    changes={"recipe.steps": 400, "recipe.evaluation.every": 100},
    columns=by_column(TABLE1, drawn) | by_column(TABLE2, drawn) | by_column(TABLE3, drawn_again),
    rows=rows(SMALL, SMALLER),
    tables=(TABLE1.name,),
    shown=MANY_LABELS[:1],
    shown_rows=tuple(row.label for row in (*TABLE1.rows, *TABLE2.rows) if not row.label.endswith(LIGHT[1])),
    parallel_by_default=True,
    not_comparable="trained on drawn textures",
)
ON_PAPER = Profile(
    name="paper",
    note=f"{PAPER_NOTE}; {FIXED}",
    start=voc,
    changes=PAPER,
    columns=by_column(TABLE1, on_voc) | by_column(TABLE2, few_labels_with_steps) | by_column(TABLE3, on_cityscapes),
    rows=rows(RESNET18, MOBILENETV2),
    cells=cells_of_table3(RESNET18, MOBILENETV2),
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
            cells=cells_of_table3(RESNET18_CODE, MOBILENETV2_CODE),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
