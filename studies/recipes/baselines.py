"""Baselines that several studies train."""

from __future__ import annotations

from assay.study import Changes

SUPERVISED: Changes = {"method": "supervised"}
MEAN_TEACHER: Changes = {"method": "mean_teacher"}
CUTMIX_SEG: Changes = {"method": "cutmix_seg"}
CPS: Changes = {"method": "cps"}
CPS_CUTMIX: Changes = {"method": "cps", "method.cutmix": "boxes", "method.weight": 1.0, "method.on_labeled": False}
ON_PADDING: Changes = {"method.on_padding": True}  # CPS and Mean Teacher, as in the CPS authors' code

# `not_comparable` of rows whose printed number is not from the paper's own training.
PUBLISHED = "the paper's number is quoted from another paper, which trained with another recipe"
