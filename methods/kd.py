"""Knowledge distillation (Hinton et al.) from trained teachers, pixel by pixel."""

from __future__ import annotations

import torch

from methods.distillation import Distillation
from methods.losses import kd


class KD(Distillation):
    """L = CE(f(x_l), y) + w · Σ_k T² KL(softmax(f_k(x) / T) || softmax(f(x) / T)) over the teachers f_k.

    The softmax is over the classes of each pixel; the mean is over pixels. Every teacher is an experiment of its own,
    trained before and shared by all that name it; it predicts in eval mode. x are the labelled images and, with
    `on_unlabeled`, the unlabelled ones too.

    MGD's paper has this as a baseline and gives neither T nor w. T = 1 is that of the KD beside CWD in its authors'
    code; w = 1 is ours: there it is 10 for a mean over classes as well, which is 10/21 here with 21 classes.
    """

    name = "kd"
    version = 1

    def distance(self, student: torch.Tensor, teacher: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return kd(student, teacher, temperature=self.temperature, valid=valid)
