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
from assay.run import main  # noqa: E402
from assay.study import Profile, Row, Study, Table, by_column  # noqa: E402

CUTMIX = {"method": "cps", "method.cutmix": "boxes", "method.weight": 1.0, "method.on_labeled": False}

TABLE1 = Table(
    name="mkd.table1",
    title="PASCAL VOC, few labels",
    columns=("1/16(92)", "1/8(183)", "1/4(366)", "1/2(732)", "Full(1464)"),
    rows=(
        Row("Supervised", {"method": "supervised"}, paper="SupOnly-R101"),
        Row("Mean Teacher", {"method": "mean_teacher"}, paper="MT-R101 [31]"),
        Row("CutMix-Seg", {"method": "cutmix_seg"}, paper="CutMix-Seg-R101 [42]"),
        Row("CPS", {"method": "cps"}, notes=("the paper quotes CPS with CutMix only",)),
        Row("CPS + CutMix", CUTMIX, paper="CPS-R101 [5]"),
    ),
    reference="Supervised",
)
TABLE2 = Table(
    name="mkd.table2",
    title="PASCAL VOC with augmented labels",
    columns=tuple(
        f"{net} {share}" for net in ("R50", "R101") for share in ("1/16(662)", "1/8(1323)", "1/4(2646)", "1/2(5291)")
    ),
    rows=(
        Row("Supervised", {"method": "supervised"}, paper="SupOnly"),
        Row("Mean Teacher", {"method": "mean_teacher"}, paper="MT [31]"),
        Row("CutMix-Seg", {"method": "cutmix_seg"}, paper="CutMix-Seg [42]"),
        Row("CPS", {"method": "cps"}, paper="CPS [5]"),
        Row("CPS + CutMix", CUTMIX, paper="CPS w/ CutMix [5]"),
    ),
    reference="Supervised",
)

SHARES = {"1/16": "1/16", "1/8": "1/8", "1/4": "1/4", "1/2": "1/2", "Full": "all"}
ENCODERS = {"R50": "resnet50", "R101": "resnet101"}


def share_of(column: str) -> str:
    """The share of labels that a column's name begins with: 1/16 of "R50 1/16(662)"."""
    return column.removeprefix("R50 ").removeprefix("R101 ").partition("(")[0]


def drawn(column: str) -> dict[str, object]:
    """The same share of whatever data the profile has; the network is the profile's too."""
    return {"data.split.labeled": SHARES[share_of(column)]}


def few_labels(column: str) -> dict[str, object]:
    """Table 1: PseudoSeg's lists of the 1464 finely labelled images; the rest of them has no labels."""
    share = share_of(column)
    listed = "all" if share == "Full" else f"cps/voc/pseudoseg_labeled_{share.replace('/', '-')}.txt"
    return {
        "data.source.masks": "fine",
        "data.split.labeled": listed,
        "data.split.labeled_pool": "train",
        "data.split.unlabeled": "train",
        "net.encoder.arch": "resnet101",
    }


def many_labels(column: str) -> dict[str, object]:
    """Table 2: the CPS authors' lists of the 10582 images."""
    net, _, _ = column.partition(" ")
    listed = f"cps/voc/train_aug_labeled_{share_of(column).replace('/', '-')}.txt"
    return {"data.split.labeled": listed, "data.split.unlabeled": "rest", "net.encoder.arch": ENCODERS[net]}


ON_ANY_DATA = by_column(TABLE1, drawn) | by_column(TABLE2, drawn)

STUDY = Study(
    name="baseline_benchmark",
    title="Baselines of semi-supervised segmentation (rows of MKD's tables 1 and 2)",
    tables=(TABLE1, TABLE2),
    profiles=(
        Profile(
            name="quick",
            note="drawn shapes of 32 x 32 pixels and a very small network; nothing here repeats the paper's numbers",
            start=quick,
            columns=ON_ANY_DATA,
            seeds=(0, 1),
            tables=(TABLE1.name,),
            shown=("1/16(92)",),
            differs="trained on drawn shapes",
        ),
        Profile(
            name="camvid",
            note="CamVid street scenes of 480 x 360, for one GPU or a patient CPU; not the paper's data",
            start=camvid,
            columns=ON_ANY_DATA,
            tables=(TABLE1.name,),
            differs="trained on CamVid",
        ),
        Profile(
            name="paper",
            note="PASCAL VOC 2012 with ImageNet weights and the paper's lists, for four A100s a training",
            start=voc,
            runtime={"loader_workers": 4},
            columns=by_column(TABLE1, few_labels) | by_column(TABLE2, many_labels),
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(main(STUDY))
