"""What several studies have: columns by the share of labels and what they mean, CPS with CutMix, profiles' notes."""

from __future__ import annotations

from assay.study import Changes

# PASCAL VOC's usual columns, each a share of labelled images and their number: of the 1464 finely labelled ones, and of
# all 10582.
FEW_LABELS = ("1/16(92)", "1/8(183)", "1/4(366)", "1/2(732)", "Full(1464)")
MANY_LABELS = ("1/16(662)", "1/8(1323)", "1/4(2646)", "1/2(5291)")
ENCODERS = {"R50": "resnet50", "R101": "resnet101"}
MANY_LABELS_BY_ENCODER = tuple(f"{net} {share}" for net in ENCODERS for share in MANY_LABELS)

CPS_CUTMIX: Changes = {"method": "cps", "method.cutmix": "boxes", "method.weight": 1.0, "method.on_labeled": False}

SHAPES_NOTE = "drawn shapes of 32 x 32 pixels and very small networks; nothing here repeats the paper's numbers"
CAMVID_NOTE = "CamVid street scenes of 480 x 360, for one GPU or a patient CPU; not the paper's data"
VOC_NOTE = "PASCAL VOC 2012 with ImageNet weights and the paper's lists, for four A100s a training"


def share_of(column: str) -> str:
    """The share of labels that a column names: 1/16 of 1/16(662) and of R50 1/16(662)."""
    return column.split()[-1].partition("(")[0]


def drawn(column: str) -> Changes:
    """The same share of whatever data the profile has; the network is the profile's too."""
    share = share_of(column)
    return {"data.split.labeled": "all" if share == "Full" else share}


def many_labels(column: str) -> Changes:
    """The CPS authors' lists of the 10582 images, the rest of which has no labels; and the network, where named."""
    changes = {
        "data.split.labeled": f"cps/voc/train_aug_labeled_{share_of(column).replace('/', '-')}.txt",
        "data.split.unlabeled": "rest",
    }
    encoder = ENCODERS.get(column.split()[0])
    return {**changes, "net.encoder.arch": encoder} if encoder else changes
