"""The training and the evaluation of a network, as values. Everything here decides numbers and is part of the key."""

from __future__ import annotations

from typing import Literal

from assay.data.views import Augment
from assay.errors import FieldError
from assay.values import Value, param


class SGD(Value):
    """Stochastic gradient descent with momentum."""

    name = "sgd"
    lr: float = param(default=0.0025, above=0, help="learning rate of the encoder")
    head_lr: float | None = param(default=None, above=0, help="learning rate of everything else; the encoder's if none")
    momentum: float = param(default=0.9, low=0, below=1)
    nesterov: bool = param(default=False)
    weight_decay: float = param(default=1e-4, low=0)
    decay_norm_and_bias: bool = param(default=False, help="also apply weight decay to batch norm and biases")

    def check(self) -> None:
        if self.nesterov and not self.momentum:
            raise FieldError("momentum must be above 0 with nesterov, got 0.0")


class Adam(Value):
    """Adam, as Three-Stage and French et al. use it."""

    name = "adam"
    lr: float = param(default=3e-5, above=0, help="learning rate of the encoder")
    head_lr: float | None = param(default=None, above=0, help="learning rate of everything else; the encoder's if none")
    betas: tuple[float, float] = param(default=(0.9, 0.999))
    weight_decay: float = param(default=0.0, low=0)
    decay_norm_and_bias: bool = param(default=False, help="also apply weight decay to batch norm and biases")

    def check(self) -> None:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise FieldError(f"betas must be in [0, 1), got {self.betas}")


class Restart(Value):
    """A second fall of the learning rate to 0, from its first value on (scl-poly of Zhu et al.'s code)."""

    name = "restart"
    at: float = param(default=100 / 175, above=0, below=1, help="share of the steps after which the rate restarts")
    power: float = param(default=1.5, low=0, help="power from there on")


class Schedule(Value):
    """The learning rate lr(t) = lr (1 - t/T)^power, with an optional linear warm-up and an optional restart.

    After a restart at step R it is lr (1 - (t - R)/(T - R))^p, with the restart's power p.
    """

    power: float = param(default=0.9, low=0, help="0 keeps the rate constant")
    warmup_steps: int = param(default=0, low=0)
    restart: Restart | None = param(default=None, neutral=None, help="restart the rate once; none: do not")


class OHEM(Value):
    """Online hard example mining: only hard pixels count in the supervised loss.

    A pixel is hard where the true class has a probability below `threshold`. If fewer than `min_kept` pixels of the
    global micro-batch are hard, the `min_kept` hardest count.
    """

    name = "ohem"
    threshold: float = param(default=0.7, above=0, high=1)
    min_kept: int = param(default=100_000, low=1, help="pixels of each micro-batch, over all ranks")


class Evaluation(Value):
    """The interval between evaluations, and the prediction of validation images."""

    every: int = param(default=1000, low=1, help="steps between two evaluations; the last step is always evaluated")
    mode: Literal["whole", "sliding"] = param(default="whole")
    fit: int | None = param(
        default=None,
        neutral=None,
        low=1,
        help="first fit the image into a square of this side, keeping its aspect ratio; evaluated at its own size",
    )
    window: tuple[int, int] = param(default=(512, 512), help="sliding: height and width of the window")
    stride_share: float = param(default=2 / 3, above=0, high=1, help="sliding: step as a share of the window")
    windows: Literal["padded", "scaled"] = param(
        default="padded",
        neutral="padded",
        help="sliding: one size at all scales, with smaller images padded; or growing with the image at scales above 1,"
        " and cut off at its border (Zhu et al.'s code)",
    )
    scales: tuple[float, ...] = param(default=(1.0,), help="the outputs at these scales are averaged")
    flip: bool = param(default=False, help="average with the prediction of the mirrored image")
    average: Literal["probabilities", "logits"] = param(
        default="probabilities",
        neutral="probabilities",
        help="what is averaged over windows, scales and mirrored images",
    )

    def check(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise FieldError(f"scales must be positive, got {self.scales}")
        if min(self.window) < 1:
            raise FieldError(f"window must be two positive sizes, got {self.window}")

    def unused(self) -> frozenset[str]:
        sliding = frozenset() if self.mode == "sliding" else frozenset({"window", "stride_share", "windows"})
        return sliding if self.averages() else sliding | {"average"}

    def averages(self) -> bool:
        """Return True if several outputs may be averaged in a pixel."""
        return self.mode == "sliding" or self.scales != (1.0,) or self.flip


class Recipe(Value):
    """One training schedule."""

    steps: int = param(default=40_000, low=1, help="optimiser steps")
    labeled_batch: int = param(default=8, low=1, help="labelled images per step, over all ranks")
    unlabeled_batch: int = param(default=8, low=1, help="images per step of each unlabelled stream, over all ranks")
    accumulate: int = param(
        default=1, low=1, help="micro-batches per step: batch norm and pixel means are then per micro-batch"
    )
    optimizer: SGD | Adam = param(factory=SGD)
    schedule: Schedule = param(factory=Schedule)
    ohem: OHEM | None = param(default=None, help="count only hard pixels in the supervised loss")
    augment: Augment = param(factory=Augment)
    evaluation: Evaluation = param(factory=Evaluation)
    precision: Literal["float32", "bf16", "float64"] = param(default="float32")

    def check(self) -> None:
        for field in ("labeled_batch", "unlabeled_batch"):
            if getattr(self, field) % self.accumulate:
                raise FieldError(
                    f"{field} must divide into accumulate={self.accumulate} equal parts, got {getattr(self, field)}"
                )

    def notes(self) -> tuple[str, ...]:
        """Return remarks that belong beside every number trained with this recipe."""
        if self.accumulate == 1:
            return ()
        return (
            f"accumulate={self.accumulate}: batch norm's statistics and means over pixels are those of a micro-batch,"
            " not of a step's whole batch",
        )
