"""Experiments small enough for tests."""

from __future__ import annotations

from collections.abc import Callable

from small_values import SMALL

from assay.experiment import Experiment, Runtime
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.resolve import Resolved
from assay.training.loop import Training
from assay.training.result import weights_of

QUIET = Runtime(progress="none", checkpoint_every=4, log_every=2, device="cpu")


def fresh_weights(resolved: Resolved) -> Callable[[str], bytes]:
    """The first weights of the experiments inside this one, in place of trained ones."""

    def read(key: str) -> bytes:
        (inner,) = {each.key: each for each in resolved.inputs.values() if each.key == key}.values()
        return weights_of(Training(inner, places=Places(), runtime=QUIET))

    return read


def small(method: str = "supervised", **changes: object) -> Experiment:
    """A training of a dozen steps of tiny images; changes by path, with __ for the dot."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return apply(starting_point(method, "shapes"), overrides_of(SMALL | paths, "test"))
