"""Two by two pixels for MKD: networks whose logits are channels of their images, and cross entropies by hand."""

from __future__ import annotations

import math

import torch
from torch import nn

from assay.data.batch import Batch, BoxMaps, Labeled, Unlabeled
from assay.method import Losses, Step
from methods.losses import ClassCovariance
from methods.mkd import MKD

IGNORE = 255
PLAIN = {"sda": None, "threshold_teachers": 0.0, "resolution": "features"}
NAMES = ("student1", "student2", "teacher1", "teacher2")
LABEL = [[[0, 1], [1, IGNORE]]]
# The logit of class 0 (that of class 1 is 0) that each network returns for a labelled, a weak and a strong image. Every
# network reads its own channel, so that an image can have another logit for each.
LABELED = [[[1.0, -2.0], [3.0, 0.0]], [[-1.0, 2.0], [0.5, 1.0]], [[2.0, 2.0], [-3.0, 1.0]], [[-4.0, 1.0], [1.0, -1.0]]]
WEAK = [[[0.5, 1.0], [-2.0, 3.0]], [[1.5, -1.0], [2.0, -3.0]], [[4.0, -4.0], [1.0, -1.0]], [[-4.0, 1.0], [4.0, -0.5]]]
STRONG = [[[2.0, -1.0], [0.5, -3.0]], [[-1.0, 2.0], [3.0, 1.0]], [[9.0, 9.0], [9.0, 9.0]], [[9.0, 9.0], [9.0, 9.0]]]


class ChannelNetwork(nn.Module):
    """A network whose features are its images, or means over cells of them.

    The logit of class 0 is one channel of the features, that of class 1 is 0.
    """

    def __init__(self, channel: int, *, cell: int = 1) -> None:
        super().__init__()
        self.cell = cell
        self.classifier = nn.Conv2d(4, 2, 1, bias=False)
        with torch.no_grad():
            self.classifier.weight.zero_()[0, channel] = 1.0

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(images, self.cell)

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return self.classifier(features)


def networks(method: MKD, *, coarse: tuple[str, ...] = ()) -> nn.ModuleDict:
    """Return all networks of a method; those in `coarse` have one feature cell for two by two pixels."""
    nets = {name: ChannelNetwork(channel, cell=2 if name in coarse else 1) for channel, name in enumerate(NAMES)}
    if method.fda:
        augmented = NAMES if method.fda_teachers else NAMES[:2]
        nets |= {f"{name}_scatter": ClassCovariance(2, 4, full=method.fda.full) for name in augmented}
    return nn.ModuleDict(nets).double()


def images(*channels: list[list[list[float]]]) -> torch.Tensor:
    return torch.tensor(channels, dtype=torch.float64)


def batch(*, weak=(WEAK,), strong=(STRONG,), valid=None, mask=None) -> Batch:
    everywhere = torch.ones(len(weak), 2, 2, dtype=torch.bool)
    return Batch(
        labeled=Labeled(weak=images(LABELED), label=torch.tensor(LABEL), valid=everywhere[:1]),
        unlabeled=(
            Unlabeled(
                weak=images(*weak),
                strong=(images(*strong),),
                valid=everywhere if valid is None else torch.tensor(valid),
                truth=torch.zeros(len(weak), 2, 2, dtype=torch.int64),
            ),
        ),
        boxes=None if mask is None else BoxMaps(mask=torch.tensor(mask), owner=torch.zeros(len(weak), 2, 2)),
    )


def compute_losses(
    inputs: Batch | None = None, *, index: int = 0, coarse: tuple[str, ...] = (), **changes: object
) -> Losses:
    method = MKD(**(PLAIN | changes))
    return method.loss(networks(method, coarse=coarse), inputs or batch(), Step(index=index, total=4))


def term(losses: Losses, name: str) -> float:
    return losses.terms[name].value.item()


def ce(*pixels: tuple[float, int]) -> float:
    """Return the mean cross entropy of pixels, each a logit of class 0 (that of class 1 is 0) and a label."""
    return sum(math.log1p(math.exp(-logit if label == 0 else logit)) for logit, label in pixels) / len(pixels)


def variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)
