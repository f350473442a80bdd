"""Implicit semantic augmentation (ISDA, Wang et al., NeurIPS 2019): how the features of each class scatter, and what
that scatter adds to logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from assay.collectives import sum_over_ranks
from assay.data.source import IGNORE

Part = tuple[torch.Tensor, torch.Tensor]  # N x A features, N labels or slots
AT_ONCE = 2**20  # numbers that one temporary holds: all pixels' features at once would be many times as large


class ClassCovariance(nn.Module):
    """The mean and the covariance of each class's features over all that were ever seen, on all ranks.

    mean: C x A. covariance, biased: C x A variances, or C x A x A with `full`. count: C, features seen. All features
    weigh the same, so the order and the sizes of the updates make no difference.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    count: torch.Tensor

    def __init__(self, num_classes: int, num_features: int, *, full: bool = False) -> None:
        super().__init__()
        self.full = full
        self.register_buffer("mean", torch.zeros(num_classes, num_features))
        shape = (num_classes, num_features, num_features) if full else (num_classes, num_features)
        self.register_buffer("covariance", torch.zeros(shape))
        # Whole numbers: a float32 stops counting at 2^24 pixels.
        self.register_buffer("count", torch.zeros(num_classes, dtype=torch.int64))

    def update(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Take in N x A features of N labels; those labelled IGNORE do not count."""
        self.update_in_parts(lambda: [(features, labels)])

    @torch.no_grad()
    def update_in_parts(self, parts: Callable[[], Iterable[Part]]) -> None:
        """Take in all parts as one: N x A features with N labels each. They are asked for twice, and never held all."""
        # Never below single precision, whatever the features come in.
        given = next(iter(parts()))[0]
        self.to(torch.promote_types(torch.float32, torch.promote_types(self.mean.dtype, given.dtype)))
        with torch.autocast(given.device.type, enabled=False):
            counts, sums = self._counts_and_sums(self._slotted(parts()))
            counts = sum_over_ranks(counts)
            mean = sum_over_ranks(sums) / counts.clamp(min=1).unsqueeze(1)
            scatter = (self._outer_products if self.full else self._squares)(self._slotted(parts()), mean)
            self._merge(counts, mean, sum_over_ranks(scatter))

    def _slotted(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The parts with a slot for each pixel: its class, or behind the last class where it is ignored."""
        for features, labels in parts:
            yield features, torch.where(labels == IGNORE, len(self.mean), labels.long())

    def _counts_and_sums(self, parts: Iterable[Part]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels by class (C), and the sums of each class's features (C x A)."""
        counts = torch.cat([torch.zeros_like(self.count), self.count.new_zeros(1)])
        sums = self._per_slot()
        for features, slots in parts:
            counts.index_add_(0, slots, torch.ones_like(slots))
            for rows, of in self._pieces(features, slots):
                sums.index_add_(0, of, rows)
        return counts[:-1], sums[:-1]

    def _squares(self, parts: Iterable[Part], mean: torch.Tensor) -> torch.Tensor:
        """C x A: the sum of squares around the means; differences of sums of squares would lose digits."""
        squares = self._per_slot()
        centres = torch.cat([mean, torch.zeros_like(mean[:1])])
        for features, slots in parts:
            for rows, of in self._pieces(features, slots):
                squares.index_add_(0, of, (rows - centres[of]).square_())
        return squares[:-1]

    def _outer_products(self, parts: Iterable[Part], mean: torch.Tensor) -> torch.Tensor:
        """C x A x A: the sum of x xᵀ over each class's centred features x."""
        products = torch.zeros_like(self.covariance)
        for features, slots in parts:
            # Sorted by class, each class is one stretch, and the host learns all lengths at once.
            lengths = slots.bincount(minlength=len(mean) + 1).tolist()
            for index, members in enumerate(slots.argsort(stable=True).split(lengths)[:-1]):
                for some in members.split(self._rows_at_once()):
                    centred = features[some].to(mean.dtype).sub_(mean[index])
                    products[index].addmm_(centred.T, centred)
        return products

    def _merge(self, counts: torch.Tensor, mean: torch.Tensor, scatter: torch.Tensor) -> None:
        """Means and variances of two sets of features together, in place, by the rule of ISDA's code and of MKD's."""
        self.count += counts
        # Quotients of whole numbers would be in single precision.
        new, both = (each.to(mean.dtype).clamp(min=1).unsqueeze(1) for each in (counts, self.count))
        share = counts.unsqueeze(1) / both  # q = n / (n + N), C x 1
        shift = mean - self.mean
        between = share * (1 - share) * shift  # C x A; times shift: what the distance of the means adds
        old = 1 - share
        per_pixel = share / new  # q / n
        if self.full:
            self.covariance.mul_(old.unsqueeze(2)).add_(scatter.mul_(per_pixel.unsqueeze(2)))
            for index in range(len(mean)):
                self.covariance[index].addr_(between[index], shift[index])
        else:
            self.covariance.mul_(old).add_(scatter * per_pixel).addcmul_(between, shift)
        self.mean.addcmul_(share, shift)

    def _per_slot(self) -> torch.Tensor:
        """A row of zeros for each class, and one for what is ignored."""
        return self.mean.new_zeros(len(self.mean) + 1, self.mean.shape[1])

    def _pieces(self, features: torch.Tensor, slots: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        some = self._rows_at_once()
        for rows, of in zip(features.split(some), slots.split(some), strict=True):
            yield rows.to(self.mean.dtype), of

    def _rows_at_once(self) -> int:
        return max(1, AT_ONCE // self.mean.shape[1])


def augmented_logits(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weight: torch.Tensor,
    covariance: torch.Tensor,
    strength: float,
    *,
    train_weight: bool = True,
) -> torch.Tensor:
    """MKD's Eq. 4: logits (B x C x H x W) plus strength/2 · vᵀ Σ_y v, v = w_j - w_y, for class j at a pixel of class y.

    labels: B x H x W; nothing is added where they are IGNORE. weight: C x A, the classifier's. covariance: C x A
    (diagonals) or C x A x A. What is added has a gradient to the weight, as the equation and ISDA have it; without
    `train_weight` it is a constant, as in MKD's code.
    """
    weight = weight if train_weight else weight.detach()
    with torch.autocast(logits.device.type, enabled=False):
        dtype = torch.promote_types(weight.dtype, covariance.dtype)
        # The term knows only two classes: a C x C table holds all there is.
        table = _terms(weight.to(dtype), covariance.detach().to(dtype)) * (strength / 2)
        table = torch.cat([table, torch.zeros_like(table[:1])]).to(logits.dtype)
        slots = torch.where(labels == IGNORE, logits.shape[1], labels.long())
        added = table[slots].movedim(-1, 1)
    return logits + added


def _terms(weight: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """vᵀ Σ_y v by (y, j)."""
    apart = weight.unsqueeze(0) - weight.unsqueeze(1)  # (y, j): w_j - w_y
    if covariance.dim() == 3:
        return (apart @ covariance * apart).sum(dim=2)
    return (apart.square() @ covariance.unsqueeze(2)).squeeze(2)
