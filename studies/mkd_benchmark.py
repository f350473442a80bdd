"""The comparisons of Mutual Knowledge Distillation (Yuan et al., ACM MM 2023): tables 1, 2 and 3 of the paper.

    python studies/mkd_benchmark.py                              table 1 on drawn textures, minutes on two cores
    python studies/mkd_benchmark.py --profile paper --plan       what would be trained, and what is only quoted
    python studies/mkd_benchmark.py --profile paper --workers 4  VOC, Cityscapes and COCO, as the paper trains
    python studies/mkd_benchmark.py --profile paper --workers 4 --tables mkd.table2.cityscapes
    python studies/mkd_benchmark.py --profile code --plan        the same with the authors' released configuration

Rows of methods that this project has are trained, all with one recipe; the other rows quote the paper's numbers. In the
profile `code`, CPS has OHEM on Cityscapes as in its authors' code. Rows with a double dagger have U2PL's lists, and
COCO has PseudoSeg's by the names of UniMatch's authors; all lists are part of this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]  # runs from a checkout without installation

from assay.terminal import interrupt_in_one_line  # noqa: E402

interrupt_in_one_line()  # Ctrl-C also ends the imports below in one line

from assay.presets import camvid, quick, voc  # noqa: E402
from assay.run import run_study  # noqa: E402
from assay.study import Changes, Profile, Row, Study, Table, by_column  # noqa: E402
from studies.recipes.baselines import (  # noqa: E402
    CPS,
    CPS_CUTMIX,
    CPS_CUTMIX_ON_CITYSCAPES,
    CPS_ON_CITYSCAPES,
    CUTMIX_SEG,
    MEAN_TEACHER,
    ON_PADDING,
    PUBLISHED,
    SUPERVISED,
    ohem_of_cps,
)
from studies.recipes.columns import (  # noqa: E402
    CAMVID_NOTE,
    CITYSCAPES_BY_ENCODER,
    COCO,
    FEW_LABELS,
    LISTS_OF_U2PL,
    MANY_LABELS_BY_ENCODER,
    TEXTURES_NOTE,
    cityscapes,
    coco,
    drawn,
    drawn_again,
    few_labels,
    few_labels_of_all,
    lists_of_u2pl,
    many_labels,
    u2pls_list_of_cityscapes,
)
from studies.recipes.mkd import (  # noqa: E402
    CODE,
    CODE_NOTE,
    ON_ALL,
    ON_CITYSCAPES,
    ON_COCO,
    ON_SMALL_IMAGES,
    ON_VOC,
    PAPER,
    PAPER_NOTE,
    in_code,
    not_comparable,
)

OURS: Changes = {"method": "mkd"}  # table 4's last row
WITHOUT_KS: Changes = {**OURS, "method.threshold_teachers": 0.0}
PARTS_NOT_STATED = "the parts of the paper's row are not stated: here those of the row marked *, without selection"


def trained(printed: str, changes: Changes, *notes: str, not_comparable: str = "") -> Row:
    """Return a row that this project can train; its label is the printed one without the citation."""
    return Row(printed.partition(" [")[0], changes, paper=printed, notes=notes, not_comparable=not_comparable)


def quoted(*labels: str) -> tuple[Row, ...]:
    """Return rows of methods that this project does not have."""
    return tuple(Row(label, paper=label, quoted=True) for label in labels)


TABLE1 = Table(
    name="mkd.table1",
    title="PASCAL VOC, few labels",
    columns=FEW_LABELS,
    rows=(
        trained("SupOnly-R50", SUPERVISED),
        trained("SupOnly-R101", SUPERVISED),
        *quoted("CCT-R50 [28]"),
        trained("MT-R101 [31]", MEAN_TEACHER, not_comparable=PUBLISHED),
        *quoted("AdvSemSeg-R101 [19]", "VAT-R101 [26]"),
        trained("CutMix-Seg-R101 [42]", CUTMIX_SEG, not_comparable=PUBLISHED),
        *quoted("PC 2 Seg-R101 [46]", "GCT-R101 [20]", "PseudoSeg-R101 [48]"),
        trained("CPS-R101 [5]", CPS_CUTMIX, "with CutMix", not_comparable=PUBLISHED),
        *quoted("SimpleBaseline-R101 [41]"),
        trained("Ours-R50", WITHOUT_KS, not_comparable=PARTS_NOT_STATED),
        trained("Ours-R101", WITHOUT_KS, not_comparable=PARTS_NOT_STATED),
    ),
    reference="SupOnly-R101",
    caption="Pool not stated at Full(1464), which leaves none of the 1464: labelled images serve as unlabelled ones.",
)
# Labelled by U2PL's lists; the rest of all 10582 images is unlabelled.
TABLE1_ALL = Table(
    name="mkd.table1.dagger",
    title="PASCAL VOC, few labels, all 10582 images",
    columns=FEW_LABELS,
    rows=(
        *quoted("PS-MT-R101 [24] †", "ST++-R101 [39] †", "U2PL-R101 [35] †"),
        trained("Ours-R101 †", WITHOUT_KS, not_comparable=PARTS_NOT_STATED),
        trained("Ours-R101 † *", OURS, "* = knowledge selection at T = 0.95 (section 4.2)"),
    ),
    reference="Ours-R101 †",
    caption=LISTS_OF_U2PL,
)
TABLE2 = Table(
    name="mkd.table2",
    title="PASCAL VOC with augmented labels",
    columns=MANY_LABELS_BY_ENCODER,
    rows=(
        trained("SupOnly", SUPERVISED),
        trained("MT [31]", MEAN_TEACHER, not_comparable=PUBLISHED),
        *quoted("CCT [28]"),
        trained("CutMix-Seg [42]", CUTMIX_SEG, not_comparable=PUBLISHED),
        *quoted("GCT [20]"),
        trained("CPS [5]", CPS, not_comparable=PUBLISHED),
        trained("CPS w/ CutMix [5]", CPS_CUTMIX, not_comparable=PUBLISHED),
        *quoted("PS-MT [24]", "ST++ [39]"),
        trained("Ours", OURS),
    ),
    reference="SupOnly",
)
TABLE2_U2PL = Table(
    name="mkd.table2.u2pl",
    title="PASCAL VOC with augmented labels, U2PL's lists",
    columns=MANY_LABELS_BY_ENCODER,
    rows=(
        trained("SupOnly ‡", SUPERVISED),
        *quoted("U2PL ‡ [35]"),
        trained("Ours ‡", OURS),
    ),
    reference="SupOnly ‡",
)
TABLE2_CITYSCAPES = Table(
    name="mkd.table2.cityscapes",
    title="Cityscapes",
    columns=CITYSCAPES_BY_ENCODER,
    rows=(
        trained("SupOnly", SUPERVISED),
        trained("SupOnly ‡", SUPERVISED),
        trained("MT [31]", MEAN_TEACHER, not_comparable=PUBLISHED),
        *quoted("CCT [28]"),
        trained("CutMix-Seg [11]", CUTMIX_SEG, not_comparable=PUBLISHED),
        *quoted("GCT [20]"),
        trained("CPS [5]", CPS, not_comparable=PUBLISHED),
        trained("CPS w/ CutMix [5]", CPS_CUTMIX, not_comparable=PUBLISHED),
        trained("CPS ‡★ [5]", CPS, "reproduced by U2PL's authors", not_comparable=PUBLISHED),
        *quoted("SimpleBaseline [41]", "PS-MT [24]", "U2PL ‡ [35]"),
        trained("Ours", OURS),
        trained("Ours ‡", OURS),
    ),
    reference="SupOnly",
    caption="‡: U2PL's lists; the other rows have CPS's. Not stated: the steps (here 30,000, those of the released VOC"
    " configuration) and the scales (here 0.5 to 2 of an image's own size, at which it is evaluated).",
)
TABLE3 = Table(
    name="mkd.table3",
    title="COCO, Xception-65",
    columns=COCO,
    rows=(
        trained("SupOnly", SUPERVISED),
        *quoted("PseudoSeg [48]", "PC2Seg [46]"),
        trained("Ours", OURS),
    ),
    reference="SupOnly",
    caption="PseudoSeg's lists. Not stated: the steps and the scales; here those of the released VOC configuration.",
)
TABLES = (TABLE1, TABLE1_ALL, TABLE2, TABLE2_U2PL, TABLE2_CITYSCAPES, TABLE3)

ON_THEIR_DATA = (
    by_column(TABLE1, few_labels)
    | by_column(TABLE1_ALL, few_labels_of_all)
    | by_column(TABLE2, many_labels)
    | by_column(TABLE2_U2PL, lists_of_u2pl)
    | by_column(TABLE2_CITYSCAPES, lambda column: {**cityscapes(column), **ON_CITYSCAPES})
    | by_column(TABLE3, lambda column: {**coco(column), **ON_COCO})
)
ON_ANY_DATA = {
    name: changes
    for table in (TABLE1, TABLE1_ALL, TABLE2, TABLE2_CITYSCAPES, TABLE3)
    for name, changes in by_column(table, drawn).items()
}
OURS_LABELS = [row.label for table in TABLES for row in table.rows if row.label.startswith("Ours")]
# Rows of table 2 on Cityscapes: U2PL's lists of those with its mark, and the CPS authors' weights there.
WITH_LISTS_OF_U2PL = {
    f"{TABLE2_CITYSCAPES.name}/{row.label}/{column}": u2pls_list_of_cityscapes(column)
    for row, column in TABLE2_CITYSCAPES.cells()
    if "‡" in row.label and not row.quoted
}
WEIGHTS_ON_CITYSCAPES: dict[str, Changes] = {
    f"{TABLE2_CITYSCAPES.name}/{label}": weight
    for label, weight in (
        ("CPS", CPS_ON_CITYSCAPES),
        ("CPS ‡★", CPS_ON_CITYSCAPES),
        ("CPS w/ CutMix", CPS_CUTMIX_ON_CITYSCAPES),
    )
}


def network_of(row: Row) -> Changes:
    """Return the network that a row's label names; without one it is the profile's or the column's."""
    return {"net.encoder.arch": "resnet50"} if row.label.endswith("-R50") else {}


def losses_in_code(row: Row) -> Changes:
    """Return a row's losses as in its authors' code: MKD's, and CPS's and Mean Teacher's from the CPS authors."""
    if row.changes.get("method") == "mkd":
        return in_code(row.changes)
    return ON_PADDING if row.changes.get("method") in ("cps", "mean_teacher") else {}


def rows(changes: Callable[[Row], Changes]) -> dict[str, Changes]:
    """Return a profile's changes of every row by its label."""
    return {row.label: changes(row) for table in TABLES for row in table.rows}


STUDY = Study(
    name="mkd_benchmark",
    title="Mutual Knowledge Distillation: comparisons (tables 1, 2 and 3)",
    tables=TABLES,
    profiles=(
        Profile(
            name="quick",
            note=TEXTURES_NOTE,
            start=quick,
            parallel_by_default=True,
            columns=ON_ANY_DATA | by_column(TABLE2_CITYSCAPES, drawn_again),
            rows=dict.fromkeys(OURS_LABELS, ON_SMALL_IMAGES),
            tables=(TABLE1.name,),
            shown=("1/16(92)",),
            not_comparable=not_comparable("drawn textures", ON_SMALL_IMAGES),
        ),
        Profile(
            name="camvid",
            note=CAMVID_NOTE,
            start=camvid,
            columns=ON_ANY_DATA,
            tables=(TABLE1.name,),
            not_comparable=not_comparable("CamVid", {}),
        ),
        Profile(
            name="paper",
            note=PAPER_NOTE.replace(ON_VOC, ON_ALL, 1),
            start=voc,
            changes=PAPER,
            rows=rows(network_of) | WEIGHTS_ON_CITYSCAPES,
            cells=WITH_LISTS_OF_U2PL,
            runtime={"loader_workers": 4},
            columns=ON_THEIR_DATA,
        ),
        Profile(
            name="code",
            note=f"{CODE_NOTE.replace(ON_VOC, ON_ALL, 1)}. Cityscapes and COCO have no released configuration: their"
            " rates, crops and scales are those of the profile paper. CPS and Mean Teacher train on padding, and CPS"
            " has OHEM on Cityscapes, as in the CPS authors' code",
            start=voc,
            changes=CODE,
            rows=rows(lambda row: {**network_of(row), **losses_in_code(row)})
            | {
                place: {**weight, **ON_PADDING, **ohem_of_cps(CODE["recipe.labeled_batch"])}
                for place, weight in WEIGHTS_ON_CITYSCAPES.items()
            },
            cells=WITH_LISTS_OF_U2PL,
            runtime={"loader_workers": 4},
            columns=ON_THEIR_DATA,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(run_study(STUDY))
