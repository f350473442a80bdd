"""Multi-Granularity Distillation (Qin et al., ECCV 2022): students, their teachers, and the recipe of its studies."""

from __future__ import annotations

import dataclasses

from assay.study import Changes, Nested
from studies.recipes.baselines import CPS_CUTMIX, CPS_CUTMIX_ON_CITYSCAPES, ON_PADDING, ohem_of_cps
from studies.recipes.columns import cityscapes, share_of

DEEP, WIDE = "T_D", "T_W"
TWIN = 1000  # the seed of a teacher's twin is larger by this; larger than any seed of a study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networks:
    """A student, its two teachers, and the weights λ1 and λ2 of its losses."""

    student: Changes
    deep: Changes
    wide: Changes
    losses: Changes = dataclasses.field(default_factory=dict)  # MGD's fields; a row's own value wins
    losses_on_cityscapes: Changes = dataclasses.field(default_factory=dict)
    # Fields of CPS (that of the teachers as well) and of Mean Teacher.
    baselines: Changes = dataclasses.field(default_factory=dict)
    cps: Changes = dataclasses.field(default_factory=dict)  # fields of CPS alone, teachers included


def teachers(which: tuple[str, ...], networks: Networks, seed: int | None) -> tuple[Nested, ...]:
    """Return the teachers of a student: CPS with CutMix (as in the authors' code) with these networks.

    which: DEEP and WIDE in any number; a repeated one is a twin, with another seed
    seed: the seed of all teachers; None: the student's seed
    """
    nets = {DEEP: networks.deep, WIDE: networks.wide}
    return tuple(
        Nested(
            {**CPS_CUTMIX, **networks.baselines, **networks.cps, **nets[name]},
            seed=seed,
            offset=TWIN * which[:index].count(name),
        )
        for index, name in enumerate(which)
    )


def student_changes(
    row: Changes, networks: Networks, *, seed: int | None, which: tuple[str, ...] = (DEEP, WIDE)
) -> dict[str, object]:
    """Return a profile's changes for a row: the student's network and, with a method that distils, its teachers.

    row: the row's own changes
    """
    method = row["method"]
    changes: dict[str, object] = dict(networks.student)
    if method in ("mgd", "kd", "cwd"):
        changes["method.teachers"] = teachers(which, networks, seed)
    if method == "mgd":
        changes |= {path: value for path, value in networks.losses.items() if path not in row}
    if method in ("cps", "mean_teacher"):
        changes |= networks.baselines
    if method == "cps":
        changes |= networks.cps
    return changes


def teacher_changes(network: Changes, networks: Networks) -> dict[str, object]:
    """Return a profile's changes for a teacher's row, which is then the same training as the teacher in other rows."""
    return {**networks.baselines, **networks.cps, **network}


# Drawn textures: widths of the very small encoder. The teachers have 3.9 and 6.1 times the parameters of the larger
# student, and 25.5 and 39.7 times those of the smaller one; the paper's have 3.8 and 6.0 times those of ResNet-18, and
# 23.6 and 36.9 times those of MobileNetV2. The encoder's depth is fixed, so T_D and T_W are two widths.
#
# λ1 is the authors' value in terms of Eq. 4 as printed: the code sums over 21 classes and the 2 images of a GPU, so
# 0.002 · 42. λ2 = 100 is for networks that start from ImageNet weights. From random weights the gradient of L_P on
# unlabelled images is 5.0 times that of L_R (means of the norms' ratio over the first 20 steps of the student with L_P
# alone), so λ2 = 5 makes the two equal. Equal losses, which λ2 = 37 gives, let L_R win: no student learns
# (studies/LOG.md).
FROM_SCRATCH: Changes = {"method.weight_image": 0.084, "method.weight_region": 5.0}
FROM_SCRATCH_NOTE = "MGD's λ2 = 5 was chosen by the initial size of the gradients, not by results"
SMALL = Networks(
    student={"net.encoder.width": 8},
    deep={"net.encoder.width": 16},
    wide={"net.encoder.width": 20},
    losses=FROM_SCRATCH,
)
SMALLER = dataclasses.replace(SMALL, student={"net.encoder.width": 3})

# PASCAL VOC: section 4.2, and the authors' code where the paper is silent.
_DILATIONS = "net.encoder.multi_grid"  # times 2: the last stage then has 2, 4, 8
RESNET18 = Networks(
    student={"net.encoder.arch": "resnet18", _DILATIONS: (1, 2)},
    deep={"net.encoder.arch": "resnet101", "net.encoder.stem_width": 64, _DILATIONS: (1, 2, 4)},
    wide={
        "net.encoder.arch": "wide_resnet50_2",
        "net.encoder.stem": "plain",
        _DILATIONS: (1, 2, 4),
        "recipe.optimizer.lr": 0.001,
    },
)
MOBILENETV2 = dataclasses.replace(
    RESNET18,
    student={
        "net.encoder.arch": "mobilenetv2_100",
        "net.encoder.stem": "plain",
        _DILATIONS: (),
        "net.encoder.output_stride": 32,
        "net.head.low_level_channels": 24,
        "recipe.optimizer.lr": 0.0035,
    },
)
# Differences of the authors' code from the paper, described in methods/mgd.py. Its λ1 is divided by its 4 GPUs, each of
# which sums over its own images.
CODE: Changes = {
    "method.cutmix": "boxes",
    "method.image_reduction": "sum",
    "method.weight_image": 0.0005,
    "method.on_padding": True,
    "method.teacher_mode": "train",
}
# Losses of the authors' code on Cityscapes, where it has 8 GPUs; of ResNet-18 alone, so MobileNetV2 has the same.
CODE_ON_CITYSCAPES: Changes = {**CODE, "method.weight_image": 0.000125, "method.weight_region": 100.0}
RESNET18_CODE = dataclasses.replace(
    RESNET18, losses=CODE, losses_on_cityscapes=CODE_ON_CITYSCAPES, baselines=ON_PADDING
)
MOBILENETV2_CODE = dataclasses.replace(
    RESNET18_CODE,
    student=MOBILENETV2.student,
    losses={**CODE, "method.weight_image": 0.000125, "method.weight_region": 50.0},
)

# The stem is the student's; T_D has its own.
PAPER: Changes = {
    "net.encoder.stem_width": 32,
    "net.head.separable": False,
    "recipe.optimizer.weight_decay": 5e-4,
}
AS_PRINTED = "losses as printed"
FIXED = "teachers of seed 0 serve every seed"
TIED = "every seed has its own teachers"
PAPER_NOTE = (
    "PASCAL VOC 2012 and Cityscapes with ImageNet weights and the CPS authors' lists; ResNet-18's deep stem starts from"
    " random weights as in the authors' code (in the paper from ImageNet's); every number is the last step's, where the"
    " authors' code scores its last 15 to 20 snapshots (on Cityscapes 30 to 60) and the paper does not say which one it"
    " prints; on Cityscapes rows have the schedule of the code's ResNet-18, and teachers have that of the code's"
    f" teachers; {AS_PRINTED}"
)
AS_IN_CODE = (
    "losses of MGD as in its authors' code, of CPS and Mean Teacher as in the CPS authors' code: these three train on"
    " padding; all else as in the paper: weight decay is 5e-4 (the code's 1e-4 acts as 4e-4 on its 4 GPUs, and as 8e-4"
    " on the 8 of Cityscapes), and MobileNetV2 has no dilations (the code's last blocks have 2, 4 and 8); the code has"
    " no MobileNetV2 for Cityscapes, where its losses are here ResNet-18's"
)
# 32, 34, 40 and 60 epochs of max(labelled, unlabelled) / 8 steps.
STEPS = {"1/16": 39_680, "1/8": 39_338, "1/4": 39_680, "1/2": 39_660}


def on_voc(column: str) -> Changes:
    """Return the changes for the CPS authors' lists of the 10582 images, and the steps of MGD's code on them."""
    share = share_of(column)
    return {
        "data.split.labeled": f"cps/voc/train_aug_labeled_{share.replace('/', '-')}.txt",
        "data.split.unlabeled": "rest",
        "recipe.steps": STEPS[share],
    }


EPOCHS_ON_CITYSCAPES = {"1/16": 128, "1/8": 137, "1/4": 160, "1/2": 240}
BATCH, BATCH_OF_TEACHERS = 16, 8  # on Cityscapes
# The code's 0.02 on 8 GPUs, whose gradients are an eighth of the mean's. It is that of both teachers as well.
RATE_ON_CITYSCAPES: Changes = {"recipe.optimizer.lr": 0.0025}


def on_cityscapes(column: str) -> Changes:
    """Return the changes for the CPS authors' lists of Cityscapes, and the students' recipe of MGD's code on them."""
    return {
        **cityscapes(column),
        **_schedule(share_of(column), BATCH),
        "recipe.augment.crop": (800, 800),
        "recipe.evaluation.window": (800, 800),
    }


def networks_on_cityscapes(networks: Networks, column: str) -> Networks:
    """Return networks with their settings in a column on Cityscapes; teachers have half the batch, twice the steps."""
    of_teachers = {**RATE_ON_CITYSCAPES, **_schedule(share_of(column), BATCH_OF_TEACHERS)}
    return dataclasses.replace(
        networks,
        student={**networks.student, **RATE_ON_CITYSCAPES},
        deep={**networks.deep, **of_teachers},
        wide={**networks.wide, **of_teachers},
        losses=networks.losses_on_cityscapes,
        cps=CPS_CUTMIX_ON_CITYSCAPES,
    )


def _schedule(share: str, batch: int) -> Changes:
    """Return the batch, the steps and OHEM: epochs of max(labelled, unlabelled) // batch steps, as the code counts."""
    labeled = 2975 // int(share.partition("/")[2])
    steps = EPOCHS_ON_CITYSCAPES[share] * (max(labeled, 2975 - labeled) // batch)
    return {
        "recipe.steps": steps,
        "recipe.labeled_batch": batch,
        "recipe.unlabeled_batch": batch,
        **ohem_of_cps(batch),
    }
