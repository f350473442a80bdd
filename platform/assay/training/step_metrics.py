"""The metrics of a step: summed over ranks on the device, and read one step later, so that no rank waits for them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch

from assay.collectives import sum_over_ranks, world_size
from assay.errors import NotFinite
from assay.method import Losses

NAMED_IMAGES = 64  # most images that a message names


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """The metrics of a step that is over."""

    loss: float
    terms: dict[str, float]
    shares: dict[str, tuple[float, float]]  # part and whole
    wants_stop: bool  # some rank has to stop: all ranks read this at the same step


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingStepMetrics:
    """The metrics of a step, still on the device."""

    step: int
    weights: dict[str, float]  # by term
    shares: tuple[str, ...]
    values: torch.Tensor  # terms, parts, wholes, number of ranks that have to stop
    images: Callable[[], tuple[str, ...]]  # of the whole step, over all ranks; called only for an error message

    def read(self) -> StepMetrics:
        """Return the metrics; raise NotFinite, with the step and its images, for a term that is not finite."""
        values = self.values.tolist()
        terms = dict(zip(self.weights, values, strict=False))
        for name, value in terms.items():
            if not math.isfinite(value):
                raise NotFinite(self._not_finite_message(name, value))
        parts = values[len(terms) : len(terms) + len(self.shares)]
        wholes = values[len(terms) + len(self.shares) : -1]
        return StepMetrics(
            loss=sum(self.weights[name] * value for name, value in terms.items()),
            terms=terms,
            shares=dict(zip(self.shares, zip(parts, wholes, strict=True), strict=True)),
            wants_stop=values[-1] > 0,
        )

    def _not_finite_message(self, term: str, value: float) -> str:
        images = self.images()
        rest = len(images) - NAMED_IMAGES
        named = ", ".join(images[:NAMED_IMAGES]) + (f" and {rest} more" if rest > 0 else "")
        return (
            f"the loss term {term!r} is {value} at step {self.step} (images: {named}); the same seed gives the same"
            " value again: lower recipe.optimizer.lr or the term's weight, or check these images."
        )


@torch.no_grad()
def measure(
    losses: Sequence[Losses], *, step: int, images: Callable[[], tuple[str, ...]], wants_stop: bool
) -> PendingStepMetrics:
    """Return the metrics of a step from the losses of its micro-batches."""
    terms, shares = losses[0].terms, tuple(losses[0].shares)
    means = [_sum([part.terms[name].value for part in losses]) / len(losses) / world_size() for name in terms]
    parts = [_sum([part.shares[name].part for part in losses]) for name in shares]
    wholes = [_sum([part.shares[name].whole for part in losses]) for name in shares]
    stop_votes = torch.full_like(means[0], float(wants_stop))
    return PendingStepMetrics(
        step=step,
        weights={name: term.weight for name, term in terms.items()},
        shares=shares,
        values=sum_over_ranks(torch.stack([*means, *parts, *wholes, stop_votes])),
        images=images,
    )


def _sum(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([value.detach().double() for value in values]).sum()
