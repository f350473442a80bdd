"""Structured Consistency (Kim et al. 2020): rows, the paper's recipe, and that of Zhu et al., on which it builds.

tests/studies/test_structured_consistency_studies.py lists every value with its source.
"""

from __future__ import annotations

import math

from assay.study import Changes, Nested

STRUCTURED: Changes = {"method": "structured_consistency"}
CONSISTENCY: Changes = {**STRUCTURED, "method.weight_structured": 0.0}  # L_c alone
SUPERVISED_ONLY: Changes = {**CONSISTENCY, "method.weight_consistency": 0.0}  # L_x alone
NO_EMA_TEACHER: Changes = {"method.teacher": "student"}
NO_EMA_VALIDATION: Changes = {"method.validated": "student"}

LABELED = 2975  # images with fine masks
GPUS = 8  # each with one labelled and one mixed image
EPOCHS = 175  # of the labelled images
STEPS_PER_EPOCH = math.ceil(LABELED / GPUS)  # Zhu et al.'s sampler fills up the last step
TILE = 1024  # of class-uniform sampling and of sliding windows
STRIDE = math.ceil(TILE * 2 / 3)  # windows overlap by a third

# Section 4.1 on Cityscapes, and the code of Zhu et al. where it says "following Zhu et al." or nothing.
PAPER: Changes = {
    "data.split.labeled": "all",
    "data.split.labeled_pool": "train",
    "data.split.unlabeled": "train_extra",  # the images with coarse masks, which are ignored
    "data.sampling": "class_uniform",
    "data.sampling.share": 0.5,
    "data.sampling.tile": TILE,
    "net.encoder.arch": "wide_resnet38",
    "net.encoder.output_stride": 8,
    "net.head.atrous_rates": (12, 24, 36),
    "net.head.separable": False,
    "net.head.plain_projections": True,
    "net.head.classifier_bias": False,
    "net.head.classifier_std": math.sqrt(2 / 256),  # Kaiming's, for 256 inputs
    "net.head.align_corners": True,
    "recipe.steps": EPOCHS * STEPS_PER_EPOCH,
    "recipe.labeled_batch": GPUS,
    "recipe.unlabeled_batch": GPUS,  # of u_a, and of u_b
    "recipe.optimizer.lr": 0.002,
    "recipe.optimizer.weight_decay": 0.001,
    "recipe.optimizer.decay_norm_and_bias": True,
    "recipe.schedule.power": 1.0,
    "recipe.ohem": None,
    "recipe.augment.crop": (896, 896),
    "recipe.augment.scales": (0.5, 2.0),
    "recipe.augment.scale_draw": "range",
    "recipe.augment.distort": "jitter_blur",
    "recipe.evaluation.every": 25 * STEPS_PER_EPOCH,
    "recipe.evaluation.window": (TILE, TILE),
    "recipe.evaluation.stride_share": STRIDE / TILE,
    "recipe.evaluation.windows": "scaled",
    "recipe.evaluation.average": "logits",
    "recipe.evaluation.flip": True,
}
MULTI_SCALE: Changes = {"recipe.evaluation.scales": (0.5, 1.0, 2.0)}  # of table 1, which is of the test images

# What the paper changed of Zhu et al.'s recipe (branch sdcnet), with the values of their script.
BASE: Changes = {
    "recipe.labeled_batch": 2 * GPUS,
    "recipe.steps": EPOCHS * math.ceil(LABELED / (2 * GPUS)),
    "recipe.evaluation.every": 25 * math.ceil(LABELED / (2 * GPUS)),
    "recipe.optimizer.lr": 0.001,
    "recipe.optimizer.weight_decay": 1e-4,
    "recipe.schedule.restart": "restart",
    "recipe.schedule.restart.at": 100 / EPOCHS,
    "recipe.schedule.restart.power": 1.5,
}
# Their supervised loss, whose window the paper keeps.
RELAXATION_OF_BASE: Changes = {
    "method.relaxation.strict_classes": (5, 6, 7, 11, 12, 17, 18),
    "method.relaxation.class_weight": 1.0,
    "method.relaxation.ignored_borders": True,
    "method.relaxation.tighten_at": 100 / EPOCHS,
    "method.relaxation.border_weight": 2.0,
}

WITHOUT_MAPILLARY = (
    "networks start from ImageNet weights (the paper's were first trained on Mapillary Vistas), and class-uniform"
    " sampling takes fine masks alone (the paper's takes rare classes from coarse ones as well)"
)
ON_VALIDATION = "scored on the validation images: the paper's number is of the test images"
PAPER_NOTE = (
    "Cityscapes with ImageNet weights, for eight GPUs per training: 2975 labelled images, and 19,998 coarse ones whose"
    " masks are ignored; crop, augmentation, window of boundary relaxation and head are those of Zhu et al.'s code"
    " (branch sdcnet), which the paper follows; the rate falls at every step, in that code after every epoch"
)
BASE_NOTE = (
    f"{PAPER_NOTE}; rate, weight decay, restart of the rate, batch of labelled images and supervised loss are those of"
    " Zhu et al.'s script as well, on which the paper builds; not as there: coarse images of rare classes, which it"
    " draws until epoch 150, and a loss summed over the images of a GPU"
)


def momentum_over(steps: int) -> float:
    """Return the momentum whose average spans the paper's share of a training: 1000 of 65,100 steps."""
    return 1 - (1 - 0.999) * PAPER["recipe.steps"] / steps


# The paper's network was trained on Mapillary Vistas before. From random weights L_c with λ_c = 20 holds a network to
# its own first, constant predictions: at seed 0 it ends at an mIoU of 11, without L_c at 53 (studies/LOG.md).
ON_DRAWN: Changes = {
    "start": Nested({"method": "supervised", "data.source.world": 1, "data.split.labeled": "all"}, seed=0),
    "method.momentum": momentum_over(600),
}
ON_DRAWN_NOTE = (
    "networks start from one that was trained on all labels of the other drawn world (the paper's from Mapillary"
    " Vistas); the moving average spans the paper's share of a training: its momentum is"
    f" {ON_DRAWN['method.momentum']:.3f} (paper: 0.999)"
)
ON_CAMVID: Changes = {"method.momentum": momentum_over(4000)}
ON_CAMVID_NOTE = f"the moving average's momentum is {ON_CAMVID['method.momentum']:.3f} (paper: 0.999 of more steps)"
# 9000 pairs drop none of a drawn box, which has 25 pixels or less.
PAIRS, PAIRS_OF_A_DRAWN_BOX = 9000, 625
