"""Optuna's samplers by name, every setting given: their defaults change between Optuna's versions."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import optuna

from assay.search.search import SamplerName
from assay.search.space import Choice, Float, Parameter, Point, Raw

STARTUP = 8  # configurations drawn at random before a model of them is made
POPULATION = 8  # of a generation of NSGA-II: searches here have dozens of configurations, not thousands

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    # Parameters are drawn together, those of a condition in groups; configurations that are being trained count as
    # bad ones, so that several gangs do not try the same place.
    "tpe": {
        "n_startup_trials": STARTUP,
        "multivariate": True,
        "group": True,
        "constant_liar": True,
        "n_ei_candidates": 24,
    },
    "gp": {"n_startup_trials": STARTUP, "deterministic_objective": False},
    "cmaes": {"n_startup_trials": 1, "with_margin": True},
    "nsga2": {"population_size": POPULATION, "crossover_prob": 0.9, "swapping_prob": 0.5},
    "random": {},
    "grid": {},
}


def sampler(name: SamplerName, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """The sampler that draws the number-th configuration.

    Each configuration has a sampler of its own, whose randomness is a function of the search's seed and the number:
    what was drawn before it lies in the study. So a search that was killed goes on as if it had not been.
    """
    made = {
        "tpe": optuna.samplers.TPESampler,
        "gp": optuna.samplers.GPSampler,
        "cmaes": optuna.samplers.CmaEsSampler,
        "nsga2": optuna.samplers.NSGAIISampler,
        "random": optuna.samplers.RandomSampler,
        "grid": optuna.samplers.RandomSampler,  # its points are wished for one by one; nothing is left to draw
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return made(seed=_mixed(seed, number), **SETTINGS[name])


def _mixed(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")


def drawn(trial: optuna.trial.Trial, of: tuple[Parameter, ...]) -> Point:
    """A value of every parameter that is active."""
    point: dict[str, Raw] = {}
    for each in of:
        if each.is_active(point):
            point[each.name] = _one(trial, each)
    return point


def _one(trial: optuna.trial.Trial, parameter: Parameter) -> Raw:
    domain = parameter.domain
    if isinstance(domain, Choice):
        return trial.suggest_categorical(parameter.name, list(domain.labels))
    if isinstance(domain, Float):
        return trial.suggest_float(parameter.name, domain.low, domain.high, log=domain.log, step=domain.step)
    return trial.suggest_int(parameter.name, domain.low, domain.high, log=domain.log, step=domain.step)
