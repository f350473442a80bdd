"""The ablations of Multi-Granularity Distillation (Qin et al., ECCV 2022): tables 4, 5a, 5b and 6 of the paper.

python studies/mgd_ablation.py                                     table 5a on drawn textures, minutes on two cores
python studies/mgd_ablation.py --tables mgd.table4 --columns VOC Cityscapes    another table, on two drawn data sets
python studies/mgd_ablation.py --profile quick-tied                teachers with the student's seed
python studies/mgd_ablation.py --profile paper --plan              PASCAL VOC and Cityscapes, as the paper prints it
python studies/mgd_ablation.py --profile code                      the same with the losses of the authors' code

All tables share two teachers and their twins, which are trained once.
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
from assay.study import Changes, Profile, Row, Study, Table  # noqa: E402
from studies.recipes.columns import CITYSCAPES, MANY_LABELS, TEXTURES_NOTE  # noqa: E402
from studies.recipes.mgd import (  # noqa: E402
    AS_IN_CODE,
    AS_PRINTED,
    DEEP,
    FIXED,
    FROM_SCRATCH_NOTE,
    PAPER,
    PAPER_NOTE,
    RESNET18,
    RESNET18_CODE,
    SMALL,
    TIED,
    WIDE,
    Networks,
    networks_on_cityscapes,
    on_cityscapes,
    on_voc,
    student_changes,
)

MGD: Changes = {"method": "mgd"}
PIXEL_ALONE: Changes = {"method.weight_image": 0.0, "method.weight_region": 0.0}  # L_P without L_I and L_R
EIGHTH, EIGHTH_OF_CITYSCAPES = MANY_LABELS[1], CITYSCAPES[1]

TABLE4 = Table(
    name="mgd.table4",
    title="One teacher, twins, and two complementary teachers",
    columns=("VOC", "Cityscapes"),
    changes=MGD,
    rows=tuple(
        Row(" + ".join(which), paper=" + ".join(which), notes=notes)
        for which, notes in (
            ((DEEP,), ("a lone teacher gives all three losses; not stated in the paper",)),
            ((WIDE,), ("a lone teacher gives all three losses; not stated in the paper",)),
            ((DEEP, DEEP), ("twins are two seeds; L_I is from the first, L_R from the second",)),
            ((WIDE, WIDE), ("twins are two seeds; L_I is from the first, L_R from the second",)),
            ((DEEP, WIDE), ()),
        )
    ),
    reference="T_D",
)
TABLE5A = Table(
    name="mgd.table5a",
    title="Distillation at three granularities",
    columns=("VOC", "City"),
    changes=MGD,
    rows=(
        Row("Sup", {"method": "supervised"}, paper="Sup"),
        Row("Sup + P", PIXEL_ALONE, paper="Sup + P"),
        Row("Sup + P + I(TD)", {"method.weight_region": 0.0}, paper="Sup + P + I(TD)"),
        Row("Sup + P + R(TW)", {"method.weight_image": 0.0}, paper="Sup + P + R(TW)"),
        Row("Sup + P + I(TD) + R(TW)", paper="Sup + P + I(TD) + R(TW)"),
        Row(
            "Sup + P + I(TD,TW) + R(TD,TW)",
            {"method.image_teacher": "all", "method.region_teacher": "all"},
            paper="Sup + P + I(TD,TW) + R(TD,TW)",
            notes=("the losses of both teachers are added, as in Eq. 2; not stated in the paper",),
        ),
    ),
    reference="Sup",
)
TABLE5B = Table(
    name="mgd.table5b",
    title="Distillation on labelled and on unlabelled images",
    columns=TABLE5A.columns,
    changes=MGD,
    rows=(
        Row(
            "labelled distillation only",
            {**PIXEL_ALONE, "method.pixel_on": "labeled"},
            paper="labelled distillation only",
        ),
        Row("labelled + unlabelled distillation", paper="labelled + unlabelled distillation"),
    ),
    reference="labelled distillation only",
)
TABLE6 = Table(
    name="mgd.table6",
    title="Regions of an image",
    columns=("mIoU",),
    changes=MGD,
    rows=tuple(Row(f"{n}x{n}", {"method.regions": (n, n)}, paper=f"{n}x{n}") for n in (3, 5, 7, 9, 11)),
    reference="7x7",
)
TABLES = (TABLE4, TABLE5A, TABLE5B, TABLE6)


def row_changes(table: Table, row: Row, networks: Networks, seed: int | None) -> dict[str, object]:
    """Return a row's network and teachers; the labels of table 4 name its teachers."""
    return student_changes(
        {**table.changes, **row.changes},
        networks,
        seed=seed,
        which=tuple(row.label.split(" + ")) if table is TABLE4 else (DEEP, WIDE),
    )


def rows(networks: Networks, *, seed: int | None) -> dict[str, Changes]:
    """Return every row's network and teachers."""
    return {
        f"{table.name}/{row.label}": row_changes(table, row, networks, seed) for table in TABLES for row in table.rows
    }


def cells(networks: Networks, *, seed: int | None) -> dict[str, Changes]:
    """Return the changes of the cells on Cityscapes, where students and teachers have another recipe than on VOC."""
    there = networks_on_cityscapes(networks, EIGHTH_OF_CITYSCAPES)
    return {
        f"{table.name}/{row.label}/{column}": row_changes(table, row, there, seed)
        for table in TABLES
        for row, column in table.cells()
        if column in ON_CITYSCAPES
    }


ON_VOC = ("VOC", "mIoU")
ON_CITYSCAPES = ("Cityscapes", "City")
WORLDS = {  # all these tables have 1/8 of the labels; Cityscapes is a second drawn data set
    column: {"data.split.labeled": "1/8", "data.source.world": world}
    for world, columns in enumerate((ON_VOC, ON_CITYSCAPES))
    for column in columns
}

QUICK = Profile(
    name="quick",
    note=f"{TEXTURES_NOTE}; {FROM_SCRATCH_NOTE}; {FIXED}",
    start=quick,
    columns=WORLDS,
    rows=rows(SMALL, seed=0),
    tables=(TABLE5A.name,),
    shown=ON_VOC,
    parallel_by_default=True,
    not_comparable="trained on drawn textures",
)
ON_PAPER = Profile(
    name="paper",
    note=f"{PAPER_NOTE}; {FIXED}",
    start=voc,
    changes=PAPER,
    columns=dict.fromkeys(ON_VOC, on_voc(EIGHTH)) | dict.fromkeys(ON_CITYSCAPES, on_cityscapes(EIGHTH_OF_CITYSCAPES)),
    rows=rows(RESNET18, seed=0),
    cells=cells(RESNET18, seed=0),
    runtime={"loader_workers": 4},
)

STUDY = Study(
    name="mgd_ablation",
    title="Multi-Granularity Distillation: ablations (tables 4, 5a, 5b and 6)",
    tables=TABLES,
    profiles=(
        QUICK,
        dataclasses.replace(
            QUICK, name="quick-tied", note=QUICK.note.replace(FIXED, TIED), rows=rows(SMALL, seed=None)
        ),
        ON_PAPER,
        dataclasses.replace(
            ON_PAPER,
            name="paper-tied",
            note=ON_PAPER.note.replace(FIXED, TIED),
            rows=rows(RESNET18, seed=None),
            cells=cells(RESNET18, seed=None),
        ),
        dataclasses.replace(
            ON_PAPER,
            name="code",
            note=ON_PAPER.note.replace(AS_PRINTED, AS_IN_CODE),
            rows=rows(RESNET18_CODE, seed=0),
            cells=cells(RESNET18_CODE, seed=0),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
