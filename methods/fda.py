"""Feature augmentation of unlimited size in closed form, after ISDA (Wang et al., NeurIPS 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, cast

import torch
from torch import nn

from assay.errors import UserError
from assay.nets.network import Network
from assay.nets.spec import DeepLabV2
from assay.values import Value, param
from methods.losses import ClassCovariance, augmented_logits, resize_bilinear, resize_nearest
from methods.losses.grids import Size


class FDA(Value):
    """Feature augmentation of unlimited size, in closed form: the added term of Eq. 4 (after ISDA).

    An estimator per network collects what its classifier sees, class by class: a student's labelled pixels under their
    labels, unlabelled ones under the pseudo-label that teaches it. The term is 0 for the pixel's class and positive for
    the others, and changes the logits of the unlabelled losses alone. Confidence is judged before it.

    Where paper and code differ:
    - Eq. 4 has a matrix Σ for each class (`full`); the code keeps its diagonal (default).
    - Eq. 4 as a loss trains the classifier's weight through the term too, as ISDA does (`train_weight`, default); in
      the code the term is a constant. A constant term grows with the square of the weights that it makes grow: on
      drawn shapes, from random weights, it ran away to infinity within 600 steps, and with `full` within 100 steps of
      the contract suite's memorising training.
    - the class y of an unlabelled pixel is the loss's own target (`classes` = "pseudo_label": paper, default), so that
      the term raises every loss that it enters; or the network's own argmax ("own": code). There the target may be
      another class, whose logit then rises, and students' pseudo-labels are taken after the term, which may turn them.
      A labelled pixel (`MKD.on_labeled`) is collected under its label, and in a student's Eq. 4 its class is the
      loss's target ("pseudo_label") or that label ("own": code); in a teacher's it is the label with either.
    - the paper says nothing of several ranks: an estimator here sees the features of all of them and is the same on
      each; in the code every rank's estimator sees its own alone.
    """

    name = "fda"

    strength: float = param(default=1.5, above=0, help="λ of Eq. 4 at the end of the training")
    schedule: Literal["cosine", "linear"] = param(default="cosine", help="how λ rises from 0")
    full: bool = param(default=False, help="whole covariance matrices rather than variances")
    train_weight: bool = param(default=True, help="the term trains the classifier's weight, too")
    classes: Literal["pseudo_label", "own"] = param(default="pseudo_label", help="the class of an unlabelled pixel")

    def strength_at(self, progress: float) -> float:
        """λ when this share of the training is over."""
        return self.strength * (progress if self.schedule == "linear" else (1 - math.cos(math.pi * progress)) / 2)

    def check_head(self, head: Value, path: str) -> None:
        """Refuse a head without one weight vector for each class, which Eq. 4 needs."""
        if isinstance(head, DeepLabV2):
            raise UserError(
                f"method.fda needs a head that ends in one 1x1 convolution, got {path}={head.name}; choose"
                f" {path}=deeplabv3plus or {path}=pspnet, or method.fda=none."
            )

    def estimator_of(self, network: Network) -> ClassCovariance:
        """What collects a network's features."""
        return ClassCovariance(network.num_classes, network.feature_channels, full=self.full)

    def augmented(
        self,
        logits: torch.Tensor,
        classes: torch.Tensor,
        network: nn.Module,
        estimator: ClassCovariance,
        progress: float,
    ) -> torch.Tensor:
        """Eq. 4's logits (B x C x H x W) at pixels of these classes (B x H x W, nothing is added at IGNORE)."""
        weight = cast(torch.Tensor, cast(Network, network).classifier.weight).flatten(1)
        strength = self.strength_at(progress)
        return augmented_logits(logits, classes, weight, estimator.covariance, strength, train_weight=self.train_weight)


@torch.no_grad()
def update_covariance(estimator: ClassCovariance, features: torch.Tensor, labels: torch.Tensor, grid: Size) -> None:
    """Features (B x A x h x w) of labels (B x H x W) into an estimator, on the coarser one of their grid and `grid`."""
    own = (features.shape[2], features.shape[3])
    coarser = min(own, grid)
    labels = resize_nearest(labels, coarser)

    def image_by_image() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for index in range(len(features)):
            image = features[index : index + 1]
            image = image if own == coarser else resize_bilinear(image, coarser)
            yield image[0].flatten(1).T, labels[index].flatten()  # seen as pixels x channels, without a copy

    estimator.update_in_parts(image_by_image)
