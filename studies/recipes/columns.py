"""Columns of tables (shares of labelled images of VOC, Cityscapes and COCO) and the data of each column."""

from __future__ import annotations

from assay.study import Changes

# Each column is a share of labelled images and their number: of the 1464 finely labelled ones, and of all 10582.
FEW_LABELS = ("1/16(92)", "1/8(183)", "1/4(366)", "1/2(732)", "Full(1464)")
MANY_LABELS = ("1/16(662)", "1/8(1323)", "1/4(2646)", "1/2(5291)")
ENCODERS = {"R50": "resnet50", "R101": "resnet101"}
MANY_LABELS_BY_ENCODER = tuple(f"{encoder} {share}" for encoder in ENCODERS for share in MANY_LABELS)
# Of Cityscapes' 2975 finely labelled training images, and of COCO's 118,287.
CITYSCAPES = ("1/16(186)", "1/8(372)", "1/4(744)", "1/2(1488)")
CITYSCAPES_BY_ENCODER = tuple(f"{encoder} {share}" for encoder in ENCODERS for share in CITYSCAPES)
COCO = ("1/512(232)", "1/256(463)", "1/128(925)", "1/64(1849)", "1/32(3697)")

# Caption of tables whose columns are `few_labels_of_all`.
LISTS_OF_U2PL = (
    "On VOC labelled by U2PL's lists, which are PseudoSeg's (tables 1 and 5) except at 1/2(732), where the two share"
    " 371 images."
)

# Notes of profiles: the data that all their columns are trained on.
_ALL_UNLABELED = "unlabelled images are all of the training set, labelled ones among them"
TEXTURES_NOTE = (
    f"drawn textures of 32 x 32 pixels and very small networks; the numbers do not repeat the paper's; {_ALL_UNLABELED}"
)
CAMVID_NOTE = (
    "CamVid street scenes of 480 x 360 and EfficientNet-Lite0 with ImageNet weights, for one GPU; on a CPU it is a"
    f" demonstration; not the paper's data; {_ALL_UNLABELED}"
)


def share_of(column: str) -> str:
    """Return the share of labels in a column's name: 1/16 for 1/16(662) and for R50 1/16(662)."""
    return column.split()[-1].partition("(")[0]


def count_of(column: str) -> str:
    """Return the number of labelled images in a column's name: 662 for R50 1/16(662)."""
    return column.partition("(")[2].rstrip(")")


def drawn(column: str) -> Changes:
    """Return the changes for a column's share of labels on the profile's own data and network."""
    share = share_of(column)
    return {"data.split.labeled": "all" if share == "Full" else share}


def drawn_again(column: str) -> Changes:
    """Return the same on the second drawn data set, which stands for Cityscapes."""
    return {**drawn(column), "data.source.world": 1}


def many_labels(column: str) -> Changes:
    """Return the changes for the CPS authors' lists of the 10582 images, and for the encoder that a column names.

    The images that a list leaves out are the unlabelled ones.
    """
    return {
        "data.split.labeled": f"cps/voc/train_aug_labeled_{share_of(column).replace('/', '-')}.txt",
        "data.split.unlabeled": "rest",
        **_encoder(column),
    }


def _encoder(column: str) -> Changes:
    """Return the change for the encoder that a column names, if it names one."""
    encoder = ENCODERS.get(column.split()[0])
    return {"net.encoder.arch": encoder} if encoder else {}


def few_labels(column: str) -> Changes:
    """Return the changes for PseudoSeg's lists of the 1464 finely labelled images.

    The images that a list leaves out are the unlabelled ones. Full(1464) leaves none out: there the labelled images
    are also the unlabelled ones.
    """
    share = share_of(column)
    listed = "train.txt" if share == "Full" else f"pseudoseg_labeled_{share.replace('/', '-')}.txt"
    return {
        "data.source.masks": "fine",
        "data.split.labeled": f"cps/voc/{listed}",
        "data.split.labeled_pool": "train",
        "data.split.unlabeled": "train" if share == "Full" else "rest",
    }


def few_labels_in_all(column: str) -> Changes:
    """Return the changes for PseudoSeg's lists, where the other images of all 10582 are the unlabelled ones."""
    return {**few_labels(column), "data.split.labeled_pool": "train_aug", "data.split.unlabeled": "rest"}


def few_labels_of_all(column: str) -> Changes:
    """Return the changes for U2PL's lists, which are PseudoSeg's except at 732.

    The unlabelled images are those of all 10582 that a list leaves out.
    """
    return {
        "data.source.masks": "fine",
        "data.split.labeled": f"unimatch/pascal/{count_of(column)}/labeled.txt",
        "data.split.labeled_pool": "train_aug",
        "data.split.unlabeled": "rest",
    }


def lists_of_u2pl(column: str) -> Changes:
    """Return the changes for U2PL's own lists (data/splits/pascal of its repository): fine masks are labelled first."""
    return {**many_labels(column), "data.split.labeled": f"u2pl/pascal/{count_of(column)}/labeled.txt"}


def cityscapes(column: str) -> Changes:
    """Return the changes for the CPS authors' lists of Cityscapes, and for the encoder that a column names.

    The images that a list leaves out are the unlabelled ones: the rest of the 2975.
    """
    return {
        "data.source": "cityscapes",
        "data.split.labeled": f"cps/cityscapes/train_aug_labeled_{share_of(column).replace('/', '-')}.txt",
        "data.split.labeled_pool": "train",
        "data.split.unlabeled": "rest",
        **_encoder(column),
    }


def u2pls_list_of_cityscapes(column: str) -> Changes:
    """Return the change for U2PL's own list of a column (data/splits/cityscapes of its repository)."""
    return {"data.split.labeled": f"u2pl/cityscapes/{count_of(column)}/labeled.txt"}


def coco(column: str) -> Changes:
    """Return the changes for PseudoSeg's lists of COCO, as UniMatch's authors publish them.

    The images that a list leaves out are the unlabelled ones: the rest of the 118,287.
    """
    return {
        "data.source": "coco",
        "data.split.labeled": f"unimatch/coco/{share_of(column).replace('/', '_')}/labeled.txt",
        "data.split.labeled_pool": "train",
        "data.split.unlabeled": "rest",
    }
