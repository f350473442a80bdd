"""Two usual ways to search with Ray Tune, as search_benchmark.py times them beside this project's own.

A relay per trial, which hands a training to somebody else and passes its numbers on; and a TorchTrainer.fit() in every
trial, Ray's own pattern. Trials of both must not ask for CPUs, which the trainings need.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from ray import train as ray_train
from ray import tune
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.search.optuna import OptunaSearch

from assay.cluster.connection import connect
from assay.experiment import Experiment
from assay.overrides import apply, overrides_of
from assay.search.space import Float, Space

AT_ONCE = 2  # trials, each with one worker
SLOT = {"node:__internal_head__": 0.001}  # of a trial: the head node has 1 of it, and nothing else asks for it
# With Ray Train's own defaults every fit() ends some seconds later: the comparison is with what a user can have.
TUNED = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}


@contextlib.contextmanager
def ray_for_trials() -> Iterator[float]:
    """A Ray with two CPUs, and when it was up. Without its dashboard a fit() in a trial leaves its group behind."""
    with (
        mock.patch.dict(os.environ, TUNED),
        connect("local", cpus=AT_ONCE, dashboard=True),
        contextlib.redirect_stdout(io.StringIO()),  # Tune prints its tables whatever it is asked
    ):
        yield time.time()


# --- a relay per trial --------------------------------------------------------------------------------------------


class Relay(tune.Trainable):  # type: ignore[misc]  # Ray is not checked
    """A trial with nothing behind it: what is left is what Tune itself takes."""

    def setup(self, config: Mapping[str, Any]) -> None:
        """There is nothing to connect to."""

    def step(self) -> dict[str, Any]:
        """A number at once."""
        return {"miou": sum(self.config.values()), "ended": time.time(), "done": True}

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """The actor serves the next trial too; its config is set already."""
        return True


def relays(count: int, space: Space, folder: Path) -> list[float]:
    """When each of so many relays ended."""
    results = tune.Tuner(
        tune.with_resources(Relay, SLOT),
        param_space=_domains(space),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(seed=0),
            metric="miou",
            mode="max",
            num_samples=count,
            max_concurrent_trials=AT_ONCE,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="relays",
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # there is nothing to keep
        ),
    ).fit()
    return sorted(each.metrics["ended"] for each in _without_errors(results))


# --- a fit() in every trial ---------------------------------------------------------------------------------------


def _train_one(task: Mapping[str, Any]) -> None:
    """What the worker of an inner fit() does: train the base with the trial's values into a store."""
    from assay.experiment import Runtime
    from assay.places import Places
    from assay.resolve import resolve
    from assay.store.local import LocalStore
    from assay.training.session import SessionOptions, train

    experiment = apply(Experiment.from_json(task["base"]), overrides_of(task["values"], "the trial"))
    result = train(
        resolve(experiment, Places()),
        LocalStore(Path(task["out"]) / "store"),
        places=Places(),
        runtime=Runtime(progress="none", device="cpu"),
        options=SessionOptions(print_line=lambda text: None),
    )
    assert result is not None
    ray_train.report({"miou": result["miou"]})


def _trial(values: Mapping[str, Any], *, base: Any, out: str) -> None:
    """A trial: a worker group of its own, whose numbers reach Tune through a callback."""
    TorchTrainer(
        _train_one,
        train_loop_config={"base": base, "values": dict(values), "out": out},
        scaling_config=ray_train.ScalingConfig(num_workers=1),
        run_config=ray_train.RunConfig(
            name=f"fit-{tune.get_context().get_trial_id()}",
            storage_path=f"{out}/ray",
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def fit_in_every_trial(base: Experiment, space: Space, points: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Train the base with each of these values, each in a trial with a TorchTrainer.fit() of its own."""
    results = tune.Tuner(
        tune.with_resources(tune.with_parameters(_trial, base=base.to_json(), out=str(out)), SLOT),
        param_space=_domains(space),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(points_to_evaluate=[dict(each) for each in points], seed=0),
            metric="miou",
            mode="max",
            num_samples=len(points),
            max_concurrent_trials=AT_ONCE,
        ),
        run_config=tune.RunConfig(name="trials", storage_path=str(out / "ray"), verbose=0),
    ).fit()
    _without_errors(results)


def _domains(space: Space) -> dict[str, Any]:
    """The space in Tune's words; the benchmark's has nothing but numbers drawn in the logarithm."""
    assert all(isinstance(each, Float) and each.log for each in space.values())
    return {path: tune.loguniform(each.low, each.high) for path, each in space.items() if isinstance(each, Float)}


def _without_errors(results: Any) -> Any:
    if results.errors:
        raise SystemExit(f"{len(results.errors)} of Tune's trials failed: {results.errors[0]}")
    return results
