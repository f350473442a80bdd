"""Two usual ways to search with Ray Tune, which search_benchmark.py compares with this project's.

- A relay per trial: the trial leaves the training to another process and reports its numbers.
- A TorchTrainer.fit() in every trial: Ray's own pattern.
In both, trials must not request CPUs, which the trainings need.
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

MAX_CONCURRENT = 2  # trials, each with one worker
TRIAL_RESOURCES = {"node:__internal_head__": 0.001}  # the head node has 1 of it, and nothing else requests it
# With Ray Train's defaults every fit() ends some seconds later; the comparison is with the best settings.
BEST_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}


@contextlib.contextmanager
def ray_for_trials() -> Iterator[float]:
    """Start a Ray with two CPUs; yield the time at which it was up.

    Without Ray's dashboard a fit() in a trial does not remove its placement group.
    """
    with (
        mock.patch.dict(os.environ, BEST_SETTINGS),
        connect("local", cpus=MAX_CONCURRENT, dashboard=True),
        contextlib.redirect_stdout(io.StringIO()),  # Tune prints its tables at any verbosity
    ):
        yield time.time()


# --- a relay per trial --------------------------------------------------------------------------------------------


class Relay(tune.Trainable):  # type: ignore[misc]  # Ray is not checked
    """A trial without a training: its time is Tune's own."""

    def setup(self, config: Mapping[str, Any]) -> None:
        """Do nothing: there is no training to connect to."""

    def step(self) -> dict[str, Any]:
        """Return a number without any work."""
        return {"miou": sum(self.config.values()), "ended": time.time(), "done": True}

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Return True: the actor can serve the next trial, whose config is already set."""
        return True


def run_relays(count: int, space: Space, folder: Path) -> list[float]:
    """Return the times at which this number of relays ended."""
    results = tune.Tuner(
        tune.with_resources(Relay, TRIAL_RESOURCES),
        param_space=_domains(space),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(seed=0),
            metric="miou",
            mode="max",
            num_samples=count,
            max_concurrent_trials=MAX_CONCURRENT,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="relays",
            storage_path=str(folder),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # a relay has no state
        ),
    ).fit()
    return sorted(result.metrics["ended"] for result in _without_errors(results))


# --- a fit() in every trial ---------------------------------------------------------------------------------------


def _train_one(task: Mapping[str, Any]) -> None:
    """Train the base with the trial's values, in the worker of an inner fit(); write the result to a store."""
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
    """Run a trial: a separate worker group, whose numbers reach Tune through a callback."""
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
    """Train the base with each of these values, each in a trial with its own TorchTrainer.fit()."""
    results = tune.Tuner(
        tune.with_resources(tune.with_parameters(_trial, base=base.to_json(), out=str(out)), TRIAL_RESOURCES),
        param_space=_domains(space),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(points_to_evaluate=[dict(point) for point in points], seed=0),
            metric="miou",
            mode="max",
            num_samples=len(points),
            max_concurrent_trials=MAX_CONCURRENT,
        ),
        run_config=tune.RunConfig(name="trials", storage_path=str(out / "ray"), verbose=0),
    ).fit()
    _without_errors(results)


def _domains(space: Space) -> dict[str, Any]:
    """Return the space in Tune's terms; the benchmark's space has logarithmic Floats alone."""
    assert all(isinstance(domain, Float) and domain.log for domain in space.values())
    return {
        path: tune.loguniform(domain.low, domain.high) for path, domain in space.items() if isinstance(domain, Float)
    }


def _without_errors(results: Any) -> Any:
    if results.errors:
        raise SystemExit(f"{len(results.errors)} of Tune's trials failed: {results.errors[0]}")
    return results
