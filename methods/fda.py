"""Feature augmentation (FDA) in closed form, after ISDA (Wang et al., NeurIPS 2019)."""

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
    """Feature augmentation of unlimited size, in closed form (after ISDA): the term that Eq. 4 adds to the logits.

    Each network has an estimator of the features before its classifier, class by class: a student's labelled pixels
    count under their labels, unlabelled ones under their pseudo-label in the loss. The added term is 0 for the pixel's
    class and positive for the others. It changes the logits of the unlabelled losses alone; confidence is measured
    before it.

    Where paper and code differ:
    - Eq. 4 has a matrix Σ for each class (`full`); the code keeps its diagonal (default).
    - Eq. 4 as a loss also trains the classifier's weight through the term, as ISDA does (`train_weight`, default); in
      the code the term is a constant. A constant term grows with the square of the weights, which it makes grow: from
      random weights it diverged to infinity on drawn images (studies/LOG.md).
    - The class y of an unlabelled pixel is the target of the loss (`classes` = "pseudo_label": paper, default), so that
      the term raises every loss; or the argmax of the network itself ("own": code). With "own" the target may be
      another class, whose logit then rises, and students' pseudo-labels are taken after the term, which may change
      them.
    - A labelled pixel (`MKD.on_labeled`) counts in the estimator under its label. Its class in a student's Eq. 4 is
      the loss's target ("pseudo_label") or its label ("own": code); in a teacher's Eq. 4 it is the label with either.
    - Eq. 4 is applied after an estimator has this step's features of all images, or to labelled pixels before it has
      those of the unlabelled images (code: `MKD.fda_labeled_first`).
    - λ's step is 0 at the first step of a training; in the code it is 1 there.
    - The paper does not mention several ranks. Here an estimator takes the features of all ranks and is equal on
      each; in the code every rank's estimator takes its own features alone.
    """

    name = "fda"

    strength: float = param(default=1.5, above=0, help="λ of Eq. 4 at the end of the training")
    schedule: Literal["cosine", "linear"] = param(default="cosine", help="rise of λ from 0")
    full: bool = param(default=False, help="whole covariance matrices instead of variances")
    train_weight: bool = param(default=True, help="the term also trains the classifier's weight")
    classes: Literal["pseudo_label", "own"] = param(default="pseudo_label", help="class of an unlabelled pixel")

    def strength_at(self, progress: float) -> float:
        """Return λ at this share of the training."""
        return self.strength * (progress if self.schedule == "linear" else (1 - math.cos(math.pi * progress)) / 2)

    def check_head(self, head: Value, path: str) -> None:
        """Refuse a head without one weight vector for each class, which Eq. 4 needs."""
        if isinstance(head, DeepLabV2):
            raise UserError(
                f"method.fda needs a head that ends in one 1x1 convolution, got {path}={head.name}; choose"
                f" {path}=deeplabv3plus or {path}=pspnet, or method.fda=none."
            )

    def make_estimator(self, network: Network) -> ClassCovariance:
        """Return an empty estimator of a network's features."""
        return ClassCovariance(network.num_classes, network.feature_channels, full=self.full)

    def augment(
        self,
        logits: torch.Tensor,
        classes: torch.Tensor,
        covariance: torch.Tensor,
        network: nn.Module,
        progress: float,
    ) -> torch.Tensor:
        """Return the logits (B x C x H x W) of Eq. 4 for pixels of these classes (B x H x W), unchanged at IGNORE."""
        weight = cast(torch.Tensor, cast(Network, network).classifier.weight).flatten(1)
        strength = self.strength_at(progress)
        return augmented_logits(logits, classes, weight, covariance, strength, train_weight=self.train_weight)


@torch.no_grad()
def update_covariance(estimator: ClassCovariance, features: torch.Tensor, labels: torch.Tensor, grid: Size) -> None:
    """Add features (B x A x h x w) of labels (B x H x W) to an estimator.

    Both are resized to the coarser one of the features' grid and `grid`.
    """
    own = (features.shape[2], features.shape[3])
    coarser = min(own, grid)
    labels = resize_nearest(labels, coarser)

    def one_by_one() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for index in range(len(features)):
            image = features[index : index + 1]
            image = image if own == coarser else resize_bilinear(image, coarser)
            yield image[0].flatten(1).T, labels[index].flatten()  # pixels x channels, as a view without a copy

    estimator.update_in_parts(one_by_one)
