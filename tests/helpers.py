"""Small experiments for tests."""

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
    """Return a reader of initial weights, in place of trained weights, for the inputs of an experiment."""

    def read(key: str) -> bytes:
        experiment = next(inner for inner in resolved.inputs.values() if inner.key == key)
        return weights_of(Training(experiment, places=Places(), runtime=QUIET))

    return read


def small(method: str = "supervised", **changes: object) -> Experiment:
    """Return an experiment of a dozen steps on tiny images, changed by path with __ in place of the dot."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return apply(starting_point(method, "textures"), overrides_of(SMALL | paths, "test"))
