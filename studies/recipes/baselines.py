"""Baselines that several studies train."""

from __future__ import annotations

from assay.study import Changes

SUPERVISED: Changes = {"method": "supervised"}
MEAN_TEACHER: Changes = {"method": "mean_teacher"}
CUTMIX_SEG: Changes = {"method": "cutmix_seg"}
CPS: Changes = {"method": "cps"}
CPS_CUTMIX: Changes = {"method": "cps", "method.cutmix": "boxes", "method.weight": 1.0, "method.on_labeled": False}
ON_PADDING: Changes = {"method.on_padding": True}  # CPS and Mean Teacher, as in the CPS authors' code
# The CPS authors' weights on Cityscapes; on VOC they are those above, 1.5 and 1.
CPS_ON_CITYSCAPES: Changes = {"method.weight": 6.0}
CPS_CUTMIX_ON_CITYSCAPES: Changes = {"method.weight": 5.0}


def ohem_of_cps(batch: int) -> Changes:
    """Return the supervised loss of the CPS authors' code on Cityscapes, which MGD's code shares.

    Each of its GPUs keeps at least 50,000 · batch / GPUs pixels of its own images, so all of them 50,000 · batch.
    """
    return {"recipe.ohem": "ohem", "recipe.ohem.threshold": 0.7, "recipe.ohem.min_kept": 50_000 * batch}


# `not_comparable` of rows whose printed number is not from the paper's own training.
PUBLISHED = "the paper's number is quoted from another paper, which trained with another recipe"
