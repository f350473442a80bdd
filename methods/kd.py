"""Knowledge distillation (Hinton et al.) from trained teachers, pixel by pixel."""

from __future__ import annotations

import torch

from methods.distillation import Distillation
from methods.losses import kd


class KD(Distillation):
    """L = CE(f(x_l), y) + w · Σ_k T² KL(softmax(f_k(x) / T) || softmax(f(x) / T)) over the teachers f_k.

    The softmax is over the classes of each pixel, the mean over the pixels. Every teacher is a separate experiment,
    trained once and shared by all experiments that name it; it predicts in eval mode. x are the labelled images and,
    with `on_unlabeled`, the unlabelled images.

    MGD's paper has KD as a baseline and gives neither T nor w. T = 1 is the value of the KD in the code of CWD's
    authors. w = 1 is ours: that code has w = 10 for a mean over pixels and classes, which is 10/21 here with 21
    classes. Padding counts in that code's mean, here only with `on_padding`.
    """

    name = "kd"
    version = 1

    def distance(self, student: torch.Tensor, teacher: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return kd(student, teacher, temperature=self.temperature, valid=valid)
