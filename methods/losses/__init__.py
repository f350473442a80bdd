"""Losses as pure functions of tensors: B images, C classes, H x W pixels, IGNORE (255) for pixels that do not count.

Means are over the pixels of the *global* batch: with several ranks, sums and counts are added over all ranks.
"""

from methods.losses.consistency import consistency
from methods.losses.covariance import ClassCovariance, augmented_logits
from methods.losses.cross_entropy import pixel_ce, pixel_ce_ohem, supervised_ce
from methods.losses.distillation import cwd, kd
from methods.losses.granularity import image_semantic, region_content
from methods.losses.grids import resize_bilinear, resize_nearest
from methods.losses.pseudo_labels import confidence_mask, pseudo_label, pseudo_label_accuracy
from methods.losses.relaxed_ce import boundary, relaxed_ce
from methods.losses.structured_consistency import structured_consistency

__all__ = [
    "ClassCovariance",
    "augmented_logits",
    "boundary",
    "confidence_mask",
    "consistency",
    "cwd",
    "image_semantic",
    "kd",
    "pixel_ce",
    "pixel_ce_ohem",
    "pseudo_label",
    "pseudo_label_accuracy",
    "region_content",
    "relaxed_ce",
    "resize_bilinear",
    "resize_nearest",
    "structured_consistency",
    "supervised_ce",
]
