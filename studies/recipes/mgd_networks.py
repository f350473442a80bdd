"""What MGD's studies are trained with: students, their two teachers, and what a profile adds to a row."""

from __future__ import annotations

import dataclasses

from assay.study import Changes, Nested
from studies.recipes.shared import CPS_CUTMIX, share_of

DEEP, WIDE = "T_D", "T_W"
TWIN = 1000  # added to a teacher's seed for its twin; further than any seed of a study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networks:
    """A student with its two teachers, and the weights λ1 and λ2 that they are trained with."""

    student: Changes
    deep: Changes
    wide: Changes
    losses: Changes = dataclasses.field(default_factory=dict)  # MGD's fields; a row that switches one off keeps it off


def teachers(which: tuple[str, ...], networks: Networks, seed: int | None) -> tuple[Nested, ...]:
    """CPS with CutMix (facts 2.1) of these networks; one that is named again is a twin.

    seed: of all teachers; the student's own if None
    """
    nets = {DEEP: networks.deep, WIDE: networks.wide}
    return tuple(
        Nested({**CPS_CUTMIX, **nets[name]}, seed=seed, offset=TWIN * which[:index].count(name))
        for index, name in enumerate(which)
    )


def taught(
    row: Changes, networks: Networks, *, seed: int | None, which: tuple[str, ...] = (DEEP, WIDE)
) -> dict[str, object]:
    """What a profile adds to a row whose changes are `row`: the student's network, and its teachers if it has any."""
    method = row["method"]
    found: dict[str, object] = dict(networks.student)
    if method in ("mgd", "kd", "cwd"):
        found["method.teachers"] = teachers(which, networks, seed)
    if method == "mgd":
        found |= {path: value for path, value in networks.losses.items() if path not in row}
    return found


# Drawn shapes: widths of the very small encoder, whose teachers then have 3.9 and 6.1 times the parameters of the one
# student and 25.5 and 39.7 times those of the other, as the paper's have 3.8, 6.0 (ResNet-18), 23.6 and 36.9
# (MobileNetV2). It has no depth to vary: T_D and T_W are two widths.
#
# λ1 is what the authors' code has in terms of Eq. 4 as printed: its sum is over 21 classes and the 2 images of a GPU,
# 0.002 · 42. λ2 = 100 is for networks that start from ImageNet weights: from random ones it lets the region loss start
# three times as large as L_P on unlabelled images (0.0625 and 2.14 over the first 20 steps); 30 makes them equal.
FROM_SCRATCH: Changes = {"method.weight_image": 0.084, "method.weight_region": 30.0}
FROM_SCRATCH_NOTE = "MGD's λ2 = 30 was chosen by the size of its terms at the start, and not for the result"
SMALL = Networks(
    student={"net.encoder.width": 8},
    deep={"net.encoder.width": 16},
    wide={"net.encoder.width": 20},
    losses=FROM_SCRATCH,
)
SMALLER = dataclasses.replace(SMALL, student={"net.encoder.width": 3})

# PASCAL VOC: section 4.2, the authors' code where it is silent (facts 2.1 to 2.3).
_DILATIONS = "net.encoder.multi_grid"  # times 2, so that the last stage has 2, 4, 8
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
        "net.encoder.output_stride": 32,
        "net.head.low_level_channels": 24,
        "recipe.optimizer.lr": 0.0035,
    },
)
# Where the authors' code differs from the paper; methods/mgd.py says how. λ1 is divided by the 4 GPUs that it sums on.
CODE: Changes = {
    "method.cutmix": "boxes",
    "method.image_reduction": "sum",
    "method.weight_image": 0.0005,
    "method.on_padding": True,
    "method.teacher_mode": "train",
}
RESNET18_CODE = dataclasses.replace(RESNET18, losses=CODE)
MOBILENETV2_CODE = dataclasses.replace(
    MOBILENETV2, losses={**CODE, "method.weight_image": 0.000125, "method.weight_region": 50.0}
)

PAPER: Changes = {"recipe.optimizer.weight_decay": 5e-4, "net.head.separable": False}
AS_PRINTED = "losses as printed"
PAPER_NOTE = (
    "PASCAL VOC 2012 with ImageNet weights and the CPS authors' lists; ResNet-18's deep stem starts from random"
    f" weights, as in the authors' code, where the paper says ImageNet's; {AS_PRINTED}"
)
AS_IN_CODE = (
    "losses as in the authors' code, and nothing else of it: weight decay is the paper's 5e-4 (the code's 1e-4 acts as"
    " 4e-4 on its 4 GPUs), and MobileNetV2 has no dilations (the code's last blocks have 2, 4 and 8)"
)
# Epochs of max(labelled, unlabelled) / 8 steps: 32, 34, 40 and 60.
STEPS = {"1/16": 39_680, "1/8": 39_338, "1/4": 39_680, "1/2": 39_660}


def on_voc(column: str) -> Changes:
    """The CPS authors' lists of the 10582 images, and how long the authors' code trains on them."""
    share = share_of(column)
    return {
        "data.split.labeled": f"cps/voc/train_aug_labeled_{share.replace('/', '-')}.txt",
        "data.split.unlabeled": "rest",
        "recipe.steps": STEPS[share],
    }
