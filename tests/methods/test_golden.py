"""The stored first three losses of every method. If they change, earlier results are no longer comparable.

PYTHONPATH=tests python tests/methods/test_golden.py    stores them again, after the version was raised
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers import QUIET, fresh_weights, small

from assay import NUMERICS
from assay.catalogue import method_class
from assay.places import Places
from assay.resolve import resolve
from assay.training.loop import Training
from methods import METHODS

GOLDEN = Path(__file__).with_name("golden.json")
TEACHERS = (small("supervised", seed=5), small("supervised", seed=6, net__encoder__width=6))
VARIANTS: dict[str, tuple[str, dict[str, object]]] = {name: (name, {}) for name in METHODS} | {
    "kd": ("kd", {"method__teachers": (small("supervised", seed=5),), "method__temperature": 2.0}),
    "cwd": ("cwd", {"method__teachers": (small("supervised", seed=5),)}),
    "mgd": ("mgd", {"method__teachers": TEACHERS}),
    "mgd, as in the code": (
        "mgd",
        {
            "method__teachers": TEACHERS,
            "method__teacher_mode": "train",
            "method__image_reduction": "sum",
            "method__cutmix": "boxes",
            "method__on_padding": True,
        },
    ),
    "pseudo_label": ("pseudo_label", {"method__pseudo": small("supervised", seed=5)}),
    "cps + cutmix": ("cps", {"method__cutmix": "boxes"}),
    "mkd, everything on": (
        "mkd",
        {
            "method__fda": "fda",
            "method__fda__train_weight": False,
            "method__fda_teachers": True,
            "method__on_labeled": True,
            "method__threshold_teachers": 0.2,
            "method__threshold_students": 0.2,
        },
    ),
    "structured_consistency, other readings": (
        "structured_consistency",
        {
            "method__momentum": 0.5,
            "method__pairs": 8,
            "method__drop": "pixels",
            "method__self_pairs": False,
            "method__similarity_of": "logits",
            "method__resolution": "features",
            "method__one_pass": False,
            "method__relaxation__class_weight": 1.0,
            "method__relaxation__strict_classes": (1, 2),
        },
    ),
    "cps, as in the code": ("cps", {"method__on_padding": True}),
    "mean_teacher, as in the code": ("mean_teacher", {"method__on_padding": True}),
    "mkd, as in the code": (
        "mkd",
        {
            "net__head__projection": 3,
            "net__head__classifier_std": 0.01,
            "method__weight_teachers": 1.5,
            "method__weight_students": 1.0,
            "method__threshold_teachers": 0.0,
            "method__on_labeled": True,
            "method__on_padding": True,
            "method__fda": "fda",
            "method__fda__train_weight": False,
            "method__fda__classes": "own",
            "method__fda_teachers": True,
            "method__fda_labeled_first": True,
        },
    ),
    "mkd, heterogeneous": ("mkd", {"method__second_head": "pspnet", "method__threshold_teachers": 0.0}),
    "cutmix_seg, confident": ("cutmix_seg", {"method__threshold": 0.18}),
}


class _Losses:
    def __init__(self) -> None:
        self.losses: list[float] = []

    def write_line(self, line): ...

    def save_checkpoint(self, payload, step): ...

    def report_step(self, step, loss):
        self.losses.append(loss)


def first_losses(variant: str) -> list[float]:
    name, changes = VARIANTS[variant]
    recorder = _Losses()
    resolved = resolve(small(name, recipe__steps=3, **changes), Places())
    Training(resolved, places=Places(), runtime=QUIET, read_weights=fresh_weights(resolved)).run(recorder)
    return recorder.losses


def versions(variant: str) -> dict[str, int]:
    return {"method": method_class(VARIANTS[variant][0]).version, "numerics": NUMERICS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_first_losses_are_the_stored_ones(variant: str) -> None:
    stored = json.loads(GOLDEN.read_text())[variant]
    assert stored["versions"] == versions(variant), (
        f"the version was raised: run {Path(__file__).name}, which stores {GOLDEN.name} again"
    )
    # Processors differ in the last bits; a change of the method's numbers shows in the first digits.
    assert first_losses(variant) == pytest.approx(stored["losses"], rel=1e-4), (
        f"the numbers of {variant} changed: raise the version (the method's `version`, or NUMERICS in assay/__init__.py"
        f" if all methods changed), then run {Path(__file__).name}"
    )


def test_golden_holds_every_variant() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(VARIANTS)


if __name__ == "__main__":
    sys.stdout.write(f"writing {GOLDEN}\n")
    golden = {each: {"versions": versions(each), "losses": first_losses(each)} for each in VARIANTS}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
