"""Implicit semantic augmentation (ISDA, Wang et al., NeurIPS 2019): class covariances, and the term of the logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from assay.collectives import sum_over_ranks
from assay.data.source import IGNORE

LabelledFeatures = tuple[torch.Tensor, torch.Tensor]  # N x A features, N labels or slots
MAX_TEMPORARY = 2**20  # numbers in one temporary tensor: all pixels' features at once would be many times as large


class ClassCovariance(nn.Module):
    """The mean and the covariance of each class's features over all updates on all ranks.

    mean: C x A
    covariance, biased: C x A variances, or C x A x A with `full`
    count: C, number of features
    All features have equal weight, so the order and the sizes of the updates make no difference.
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
        """Add N x A features of N labels; those labelled IGNORE do not count."""
        self.update_in_parts(lambda: [(features, labels)])

    @torch.no_grad()
    def update_in_parts(self, parts: Callable[[], Iterable[LabelledFeatures]]) -> None:
        """Add all parts as one update: N x A features with N labels each.

        `parts` is called twice, and only one part is in memory at a time.
        """
        # At least single precision, also for features in half precision.
        features = next(iter(parts()))[0]
        self.to(torch.promote_types(torch.float32, torch.promote_types(self.mean.dtype, features.dtype)))
        with torch.autocast(features.device.type, enabled=False):
            counts, sums = self._counts_and_sums(self._with_slots(parts()))
            counts = sum_over_ranks(counts)
            mean = sum_over_ranks(sums) / counts.clamp(min=1).unsqueeze(1)
            scatter = (self._outer_products if self.full else self._squares)(self._with_slots(parts()), mean)
            self._merge(counts, mean, sum_over_ranks(scatter))

    def _with_slots(self, parts: Iterable[LabelledFeatures]) -> Iterator[LabelledFeatures]:
        """Yield the parts with a slot for each pixel: its class, or one past the last class if it is ignored."""
        for features, labels in parts:
            yield features, torch.where(labels == IGNORE, len(self.mean), labels.long())

    def _counts_and_sums(self, parts: Iterable[LabelledFeatures]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the number of pixels of each class (C), and the sum of its features (C x A)."""
        counts = torch.cat([torch.zeros_like(self.count), self.count.new_zeros(1)])
        sums = self._per_slot()
        for features, slots in parts:
            counts.index_add_(0, slots, torch.ones_like(slots))
            for rows, row_slots in self._chunks(features, slots):
                sums.index_add_(0, row_slots, rows)
        return counts[:-1], sums[:-1]

    def _squares(self, parts: Iterable[LabelledFeatures], mean: torch.Tensor) -> torch.Tensor:
        """Return the sum of squares around the means (C x A); differences of sums of squares would lose digits."""
        squares = self._per_slot()
        centres = torch.cat([mean, torch.zeros_like(mean[:1])])
        for features, slots in parts:
            for rows, row_slots in self._chunks(features, slots):
                squares.index_add_(0, row_slots, (rows - centres[row_slots]).square_())
        return squares[:-1]

    def _outer_products(self, parts: Iterable[LabelledFeatures], mean: torch.Tensor) -> torch.Tensor:
        """Return the sum of x xᵀ over each class's centred features x (C x A x A)."""
        products = torch.zeros_like(self.covariance)
        for features, slots in parts:
            # Sorted by slot, the pixels of a class are contiguous; one transfer gives the host all lengths.
            lengths = slots.bincount(minlength=len(mean) + 1).tolist()
            for index, members in enumerate(slots.argsort(stable=True).split(lengths)[:-1]):
                for rows in members.split(self._rows_per_chunk()):
                    centred = features[rows].to(mean.dtype).sub_(mean[index])
                    products[index].addmm_(centred.T, centred)
        return products

    def _merge(self, counts: torch.Tensor, mean: torch.Tensor, scatter: torch.Tensor) -> None:
        """Add the statistics of a second set of features in place, by the rule of ISDA's and MKD's code."""
        self.count += counts
        # In the means' precision: quotients of whole numbers would be in single precision.
        new, both = (number.to(mean.dtype).clamp(min=1).unsqueeze(1) for number in (counts, self.count))
        share = counts.unsqueeze(1) / both  # q = n / (n + N), C x 1
        shift = mean - self.mean
        between = share * (1 - share) * shift  # C x A; times shift: the part from the distance of the means
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
        """Return a row of zeros for each class, and one for ignored pixels."""
        return self.mean.new_zeros(len(self.mean) + 1, self.mean.shape[1])

    def _chunks(self, features: torch.Tensor, slots: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        size = self._rows_per_chunk()
        for rows, row_slots in zip(features.split(size), slots.split(size), strict=True):
            yield rows.to(self.mean.dtype), row_slots

    def _rows_per_chunk(self) -> int:
        return max(1, MAX_TEMPORARY // self.mean.shape[1])


def augmented_logits(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weight: torch.Tensor,
    covariance: torch.Tensor,
    strength: float,
    *,
    train_weight: bool = True,
) -> torch.Tensor:
    """Return MKD's Eq. 4: logits z_j + strength/2 · vᵀ Σ_y v with v = w_j - w_y, at a pixel of class y.

    logits: B x C x H x W
    labels: B x H x W; nothing is added at IGNORE
    weight: C x A, of the classifier
    covariance: C x A (diagonals) or C x A x A
    train_weight: the added term has a gradient to the weight, as in the equation and in ISDA; without it the term is a
        constant, as in MKD's code
    """
    weight = weight if train_weight else weight.detach()
    with torch.autocast(logits.device.type, enabled=False):
        dtype = torch.promote_types(weight.dtype, covariance.dtype)
        # The term depends on y and j alone: a C x C table holds all its values.
        table = _terms(weight.to(dtype), covariance.detach().to(dtype)) * (strength / 2)
        table = torch.cat([table, torch.zeros_like(table[:1])]).to(logits.dtype)
        slots = torch.where(labels == IGNORE, logits.shape[1], labels.long())
        added = table[slots].movedim(-1, 1)
    return logits + added  # Eq. 4


def _terms(weight: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Return vᵀ Σ_y v by (y, j): C x C."""
    v = weight.unsqueeze(0) - weight.unsqueeze(1)  # (y, j): w_j - w_y
    if covariance.dim() == 3:
        return (v @ covariance * v).sum(dim=2)
    return (v.square() @ covariance.unsqueeze(2)).squeeze(2)
