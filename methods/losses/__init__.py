"""Losses as pure functions of tensors. B images, C classes, H x W pixels; 255 marks pixels that do not count.

Means are over the pixels of the *global* batch: with several ranks, sums and counts are added up over all.
"""

from methods.losses.consistency import probability_distance
from methods.losses.covariance import ClassCovariance, augmented_logits
from methods.losses.cross_entropy import pixel_ce, pixel_ce_ohem, supervised_ce
from methods.losses.distillation import cwd, kd
from methods.losses.granularity import image_semantic, region_content
from methods.losses.grids import bilinear, nearest
from methods.losses.pseudo_labels import agreement, confident, pseudo_label

__all__ = [
    "ClassCovariance",
    "agreement",
    "augmented_logits",
    "bilinear",
    "confident",
    "cwd",
    "image_semantic",
    "kd",
    "nearest",
    "pixel_ce",
    "pixel_ce_ohem",
    "probability_distance",
    "pseudo_label",
    "region_content",
    "supervised_ce",
]
