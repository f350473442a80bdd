"""Channel-wise distillation (Shu et al., ICCV 2021) from trained teachers."""

from __future__ import annotations

import torch

from assay.values import param
from methods.distillation import Distillation
from methods.losses import cwd


class CWD(Distillation):
    """L = CE(f(x_l), y) + w · Σ_k T²/C · Σ_c KL(softmax_hw(f_k(x)_c / T) || softmax_hw(f(x)_c / T)), mean over images.

    The softmax is over the positions of a class's logits, not over the classes of a pixel: each class becomes a
    distribution over the image. T = 4 and w = 3 are the values of the authors' code for logits. Differences from it:
    - logits are compared at the images' resolution, so that student and teachers may have different strides;
    - padding takes no part in the softmax, unless `on_padding`.
    MGD's paper has CWD and KD as baselines "on our complementary teacher models". It does not say how two teachers
    combine, nor whether unlabelled images take part (it describes earlier distillation as made for labelled ones).
    Here the teachers' distances are added, and `on_unlabeled` is on. KD does the same, so that CWD and KD differ in the
    distance alone.
    """

    name = "cwd"
    version = 1

    weight: float = param(default=3.0, low=0, help="weight w of the distillation")
    temperature: float = param(default=4.0, above=0, help="temperature T of both softmaxes")

    def distance(self, student: torch.Tensor, teacher: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return cwd(student, teacher, temperature=self.temperature, valid=valid)
