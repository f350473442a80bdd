"""Mutual Knowledge Distillation (Yuan et al., ACM MM 2023): components, recipe, and weights."""

from __future__ import annotations

from assay.study import Changes

# The paper's components. Each row of its table 4 has some of them.
CO_TRAINING: Changes = {
    "method": "mkd",
    "method.teaching": "none",
    "method.sda": None,
    "method.threshold_teachers": 0.0,
}
MUTUAL_MT: Changes = {"method.teaching": "mutual"}
PLAIN_MT: Changes = {"method.teaching": "plain"}
SDA: Changes = {"method.sda": "sda"}
KS: Changes = {"method.threshold_teachers": 0.95}
FDA: Changes = {"method.fda": "fda"}

# Sections 4.1 and 4.2 on VOC; the authors' code where the paper is silent. tests/studies/test_mkd_studies.py lists
# every value with its source.
PAPER: Changes = {
    "net.encoder.arch": "resnet101",
    "net.encoder.stem": "deep",
    "net.encoder.stem_width": 32,
    "net.encoder.multi_grid": (),
    "net.head.separable": True,
    "net.batch_norm.momentum": 0.001,
    "recipe.steps": 30_000,
    "recipe.labeled_batch": 16,
    "recipe.unlabeled_batch": 16,
    "recipe.optimizer.weight_decay": 5e-4,
    "recipe.optimizer.decay_norm_and_bias": True,
    "recipe.augment.fit": 512,
    "recipe.augment.scales": (0.5, 2.0),
    "recipe.augment.scale_draw": "range",
    "recipe.evaluation.mode": "whole",
    "recipe.evaluation.fit": 512,
    "recipe.precision": "bf16",
}
# Section 4.1 on Cityscapes: it writes 1024 × 512 of images of 2048 × 1024, so width × height. The released
# configuration fits images into 512 × 512, which would be 512 × 256 here, less than a crop: so images keep their size,
# as in MMSegmentation's own configurations of Cityscapes.
ON_CITYSCAPES: Changes = {
    "recipe.optimizer.lr": 0.01,
    "recipe.augment.crop": (512, 1024),
    "recipe.augment.fit": None,
    "recipe.evaluation.fit": None,
}
# Section 4.1 on COCO: rate and crop are VOC's. Xception-65 has one stem, and dilations for output stride 16.
ON_COCO: Changes = {"net.encoder.arch": "xception65", "net.encoder.stem": "plain"}

ON_VOC, ON_ALL = "PASCAL VOC 2012", "PASCAL VOC 2012, Cityscapes and COCO"
RECIPE_NOTE = (
    f"{ON_VOC} with ImageNet weights and the paper's lists, for four A100s per training; bf16 where the authors'"
    " code has fp16 with a static loss scale"
)
PAPER_NOTE = (
    f"{RECIPE_NOTE}; MKD's α = 0.6 and β = 0.4 are the code's 1.5 and 1.0, whose means run over labelled images and"
    " padding as well, for means over unlabelled images without padding"
)

# The released configuration of the authors' code (VOC Aug, 1/16(662)), on top of PAPER: the network and the recipe.
CODE: Changes = {
    **PAPER,
    "net.head.projection": 3,
    "net.head.classifier_std": 0.01,
    "recipe.augment.distort": "distort",
}
ENCODER_IN_CODE: Changes = {"net.encoder.arch": "resnet50"}
# Its losses, whose means run over labelled and unlabelled images and over padding; and its FDA.
LOSSES_IN_CODE: Changes = {
    "method.weight_teachers": 1.5,
    "method.weight_students": 1.0,
    "method.on_labeled": True,
    "method.on_padding": True,
}
FDA_IN_CODE: Changes = {
    "method.fda.train_weight": False,
    "method.fda.classes": "own",
    "method.fda_teachers": True,
    "method.fda_labeled_first": True,
}
CODE_NOTE = (
    f"{RECIPE_NOTE}. The row '+ Mutual MT + SDA + FDA' of mkd_ablation's mkd.table4.released at 1/16(662) is the"
    " authors' released configuration; other rows and columns change it as their names say. Also not as there: FDA's"
    " λ begins at step 0 (code: 1), and labels on the losses' grid are a cell's middle pixel (code: its first); FDA's"
    " estimators take the features of all ranks, and CutMix's partner is the next image of the global batch (code: each"
    " rank's own); the head's convolutions before the classifier start from torch's random weights (code: Kaiming's)"
)


def in_code(changes: Changes) -> Changes:
    """Return MKD's losses in the released configuration, for a row with these changes of the method."""
    return {**LOSSES_IN_CODE, **(FDA_IN_CODE if changes.get("method.fda") else {})}


# Rows without teachers get the whole of α + β as β, so that every row has the same weight on unlabelled images.
ALL_IN_STUDENTS: Changes = {"method.weight_students": 1.0}
WEIGHT_OF_STUDENTS_ALONE = (
    f"MKD's β is {ALL_IN_STUDENTS['method.weight_students']:g} in rows without teachers (profile paper: 0.4), so that"
    " all rows have the same weight on unlabelled images"
)
# Half the features' resolution would be a grid of 8 x 8 on a drawn image: cells of more than half a texture's period.
ON_SMALL_IMAGES: Changes = {"method.resolution": "image"}


def not_comparable(data: str, changes: Changes, *more: str) -> str:
    """Return the reasons why cells on other data, with these changes of the method, are not the paper's."""
    reasons = [f"trained on {data}", *more]
    if changes.get("method.resolution") == "image":
        reasons.append("MKD's loss at the images' resolution (code: half the features')")
    return "; ".join(reasons)
