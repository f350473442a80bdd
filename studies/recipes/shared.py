"""What several studies have: columns by the share of labels and what they mean, CPS with CutMix, MKD's recipe."""

from __future__ import annotations

from assay.study import Changes

# PASCAL VOC's usual columns, each a share of labelled images and their number: of the 1464 finely labelled ones, and of
# all 10582.
FEW_LABELS = ("1/16(92)", "1/8(183)", "1/4(366)", "1/2(732)", "Full(1464)")
MANY_LABELS = ("1/16(662)", "1/8(1323)", "1/4(2646)", "1/2(5291)")
ENCODERS = {"R50": "resnet50", "R101": "resnet101"}
MANY_LABELS_BY_ENCODER = tuple(f"{net} {share}" for net in ENCODERS for share in MANY_LABELS)

CPS_CUTMIX: Changes = {"method": "cps", "method.cutmix": "boxes", "method.weight": 1.0, "method.on_labeled": False}

# Why a row is not comparable with the numbers that the paper printed.
PUBLISHED = "the paper's number is another paper's own, trained with another recipe"
# Under tables whose labels are `few_labels_of_all`.
LISTS_OF_U2PL = (
    "On VOC labelled by U2PL's lists, which are PseudoSeg's (tables 1 and 5) but at 1/2(732), where the two share 371"
    " images."
)

_ALL_UNLABELED = "unlabelled images are all of the training set, labelled ones among them"
SHAPES_NOTE = (
    "drawn shapes of 32 x 32 pixels and very small networks; nothing here repeats the paper's numbers;"
    f" {_ALL_UNLABELED}"
)
CAMVID_NOTE = f"CamVid street scenes of 480 x 360, for one GPU or a patient CPU; not the paper's data; {_ALL_UNLABELED}"
MKD_NOTE = (
    "PASCAL VOC 2012 with ImageNet weights and the paper's lists, for four A100s a training; bf16 where the authors'"
    " code has fp16 with a static loss scale"
)

# MKD's recipe of sections 4.1 and 4.2 on VOC; where the paper is silent, the authors' code's; tests/studies has a table
# of every value with its source.
MKD_PAPER: Changes = {
    "net.encoder.arch": "resnet101",
    "net.batch_norm.momentum": 0.001,
    "recipe.steps": 30_000,
    "recipe.labeled_batch": 16,
    "recipe.unlabeled_batch": 16,
    "recipe.optimizer.weight_decay": 5e-4,
    "recipe.optimizer.decay_norm_and_bias": True,
    "recipe.augment.fit": 512,
    "recipe.augment.scales": (0.5, 2.0),
    "recipe.augment.scale_draw": "range",
    "recipe.augment.distort": "distort",
    "recipe.evaluation.mode": "whole",
    "recipe.evaluation.fit": 512,
    "recipe.precision": "bf16",
}


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


def few_labels(column: str) -> Changes:
    """PseudoSeg's lists of the 1464 finely labelled images; those that they leave have no labels.

    Full(1464) leaves none: there the labelled images serve as unlabelled ones too.
    """
    share = share_of(column)
    listed = "train.txt" if share == "Full" else f"pseudoseg_labeled_{share.replace('/', '-')}.txt"
    return {
        "data.source.masks": "fine",
        "data.split.labeled": f"cps/voc/{listed}",
        "data.split.labeled_pool": "train",
        "data.split.unlabeled": "train" if share == "Full" else "rest",
    }


def few_labels_of_all(column: str) -> Changes:
    """U2PL's lists, which are PseudoSeg's but for 732; what they leave of all 10582 images has no labels."""
    count = column.partition("(")[2].rstrip(")")
    return {
        "data.source.masks": "fine",
        "data.split.labeled": f"unimatch/pascal/{count}/labeled.txt",
        "data.split.labeled_pool": "train_aug",
        "data.split.unlabeled": "rest",
    }
