"""A step's numbers: summed over ranks on the device, and read one step later, so that nobody waits for it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch

from assay.collectives import sum_over_ranks, world_size
from assay.errors import NotFinite
from assay.method import Losses

NAMED = 64  # images that a message names at the most


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """What is known of a step once it is over."""

    loss: float
    terms: dict[str, float]
    shares: dict[str, tuple[float, float]]  # part and whole
    wants_stop: bool  # some rank was asked to stop: all of them see it at the same step


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingStepMetrics:
    """A step's numbers, still on the device."""

    step: int
    weights: dict[str, float]  # by term
    shares: tuple[str, ...]
    values: torch.Tensor  # terms, parts, wholes, number of ranks that want to stop
    images: Callable[[], tuple[str, ...]]  # of the whole step, over all ranks; asked for only where something is wrong

    def read(self) -> StepMetrics:
        """The numbers; a term that is not finite ends the training, with the step and its images named."""
        values = self.values.tolist()
        terms = dict(zip(self.weights, values, strict=False))
        for name, value in terms.items():
            if not math.isfinite(value):
                raise NotFinite(self._complaint(name, value))
        parts = values[len(terms) : len(terms) + len(self.shares)]
        wholes = values[len(terms) + len(self.shares) : -1]
        return StepMetrics(
            loss=sum(self.weights[name] * value for name, value in terms.items()),
            terms=terms,
            shares=dict(zip(self.shares, zip(parts, wholes, strict=True), strict=True)),
            wants_stop=values[-1] > 0,
        )

    def _complaint(self, term: str, value: float) -> str:
        images = self.images()
        named = ", ".join(images[:NAMED]) + (f" and {len(images) - NAMED} more" if len(images) > NAMED else "")
        return (
            f"the loss term {term!r} is {value} at step {self.step} (images: {named}); the same seed gives the same"
            " again: lower recipe.optimizer.lr or the term's weight, or look at these images."
        )


@torch.no_grad()
def measure(
    found: Sequence[Losses], *, step: int, images: Callable[[], tuple[str, ...]], wants_stop: bool
) -> PendingStepMetrics:
    """The numbers of a step's micro-batches."""
    terms = found[0].terms
    shares = tuple(found[0].shares)
    means = [_over_parts([each.terms[name].value for each in found]) / len(found) / world_size() for name in terms]
    parts = [_over_parts([each.shares[name].part for each in found]) for name in shares]
    wholes = [_over_parts([each.shares[name].whole for each in found]) for name in shares]
    wish = torch.full_like(means[0], float(wants_stop))
    return PendingStepMetrics(
        step=step,
        weights={name: term.weight for name, term in terms.items()},
        shares=shares,
        values=sum_over_ranks(torch.stack([*means, *parts, *wholes, wish])),
        images=images,
    )


def _over_parts(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([value.detach().double() for value in values]).sum()
