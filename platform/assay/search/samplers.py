"""Optuna's samplers by name, with every setting written out: their defaults change between Optuna's versions."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import optuna

from assay.search.search import SamplerName
from assay.search.space import Choice, Float, Parameter, Point, Raw

STARTUP = 8  # configurations that are drawn at random before a sampler models them
POPULATION = 8  # per generation of NSGA-II: searches here have dozens of configurations, not thousands

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    # Parameters are drawn jointly, conditional ones in groups. Running configurations count as bad ones, so that
    # several gangs do not try the same region.
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
    """Return the sampler that draws the configuration of this number.

    Each configuration has its own sampler. Its randomness is a function of the search's seed and the number; earlier
    draws are read from the study. A killed search therefore continues with the same proposals.
    """
    sampler_class = {
        "tpe": optuna.samplers.TPESampler,
        "gp": optuna.samplers.GPSampler,
        "cmaes": optuna.samplers.CmaEsSampler,
        "nsga2": optuna.samplers.NSGAIISampler,
        "random": optuna.samplers.RandomSampler,
        "grid": optuna.samplers.RandomSampler,  # it draws nothing: all points of a grid are initial configurations
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return sampler_class(seed=_mix(seed, number), **SETTINGS[name])


def _mix(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")


def draw(trial: optuna.trial.Trial, parameters: tuple[Parameter, ...]) -> Point:
    """Draw a value of every active parameter."""
    point: dict[str, Raw] = {}
    for parameter in parameters:
        if parameter.is_active(point):
            point[parameter.name] = _suggest(trial, parameter)
    return point


def _suggest(trial: optuna.trial.Trial, parameter: Parameter) -> Raw:
    domain = parameter.domain
    if isinstance(domain, Choice):
        return trial.suggest_categorical(parameter.name, list(domain.labels))
    if isinstance(domain, Float):
        return trial.suggest_float(parameter.name, domain.low, domain.high, log=domain.log, step=domain.step)
    return trial.suggest_int(parameter.name, domain.low, domain.high, log=domain.log, step=domain.step)
