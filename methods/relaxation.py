"""Boundary label relaxation (Zhu et al., CVPR 2019), a supervised loss that trusts labels less where classes meet."""

from __future__ import annotations

import torch

from assay.errors import FieldError
from assay.values import Value, param
from methods.losses import boundary, relaxed_ce


class Relaxation(Value):
    """L_x = -log Σ P(c), over the classes c in the w x w window around a pixel (Eq. 2 of Kim et al.).

    The defaults are Eq. 2 with the window of Zhu et al.'s code, w = 3; Kim et al. do not print theirs. An ignored pixel
    does not count and has no class in another pixel's window. The other fields are of that code, off by default:

    - `strict_classes`: pole, light, sign, person, rider, motorcycle, bicycle there (5, 6, 7, 11, 12, 17, 18);
    - `class_weight` = 1: a class c of a pixel has the weight 1 + 1 - (share of c in the image), a pixel their mean;
    - `ignored_borders`: ignored pixels beside labelled ones count there;
    - `tighten_at` = 100/175, `border_weight` = 2: after epoch 100 the window is 1, and boundary pixels count twice.

    Not adopted of that code: sums over the images of a GPU, each divided by its own number of pixels, where this is the
    mean over all pixels; weights that depend on the other images of the GPU; shares that count ignored pixels.
    """

    name = "relaxation"

    window: int = param(default=3, low=1, help="side w of the window, odd; 1: plain cross entropy")
    strict_classes: tuple[int, ...] = param(default=(), help="classes whose pixels keep their own label alone")
    class_weight: float = param(default=0.0, low=0, help="u in the weight 1 + u (1 - share of the class)")
    ignored_borders: bool = param(default=False, help="ignored pixels count where their window has a class")
    tighten_at: float = param(default=1.0, low=0, high=1, help="share of the training after which the window is 1")
    border_weight: float = param(default=1.0, low=0, help="weight of pixels at boundaries when the window is 1 again")

    def check(self) -> None:
        if self.window % 2 == 0:
            raise FieldError(f"window must be odd, so that a pixel is its middle, got {self.window}")
        if min(self.strict_classes, default=0) < 0:
            raise FieldError(f"strict_classes must be indices of classes from 0, got {self.strict_classes}")

    def unused(self) -> frozenset[str]:
        if self.window == 1:
            return frozenset({"strict_classes", "ignored_borders", "tighten_at", "border_weight"})
        return frozenset({"border_weight"}) if self.tighten_at == 1 else frozenset()

    def loss(self, logits: torch.Tensor, label: torch.Tensor, progress: float) -> torch.Tensor:
        """Return the loss of logits (B x C x H x W) for a label (B x H x W) at this share of the training."""
        if progress < self.tighten_at:
            return relaxed_ce(
                logits,
                label,
                window=self.window,
                strict_classes=self.strict_classes,
                ignored_borders=self.ignored_borders,
                class_weight=self.class_weight,
            )
        at_border = boundary(label, logits.shape[1], window=self.window)
        weight = torch.where(at_border, self.border_weight, 1.0)
        return relaxed_ce(logits, label, window=1, class_weight=self.class_weight, pixel_weight=weight)
