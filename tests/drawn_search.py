"""Small searches by Optuna over plain functions, as a search gives its trials to the report.

Nothing is trained: a trial's curve rises to the function's value, and each seed differs a little from it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import optuna
import pandas as pd

from assay.analysis.trials import Trial, front, trials_from
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout

optuna.logging.set_verbosity(optuna.logging.WARNING)

SEEDS = (0, 1)
STEPS = (100, 200, 300, 400)
PAPER = {"method.threshold": 0.95, "method.weight": 1.0, "method.boxes": 1, "method.kind": "cps"}
ERROR = "NotFinite: the term 'cross' became NaN at step 310\n  on rank 0 & <batch>"
MIOU = ObjectiveLayout(name="miou", label="mIoU", direction="maximize", percent=True)
COST = ObjectiveLayout(name="device_seconds", label="device-seconds", direction="minimize")
LAYOUT = SearchLayout(
    name="drawn_search",
    title="Thresholds and weights of <cross> supervision",
    profile="quick",
    profile_note="It trains nothing: a function stands for the networks.",
    not_comparable="drawn textures instead of PASCAL VOC 2012",
    sampler="TPE, seed 0",
    pruner="median after 4 trials",
    seeds=SEEDS,
    objectives=(MIOU,),
    parameters=(
        ParameterLayout(path="method.threshold", kind="float", low=0.5, high=0.99, paper=0.95),
        ParameterLayout(path="method.weight", kind="float", log=True, low=0.01, high=10.0, paper=1.0),
        ParameterLayout(path="method.boxes", kind="int", low=1, high=6, paper=1),
        ParameterLayout(path="method.kind", kind="choice", options=("cps", "mean & teacher"), paper="cps"),
        ParameterLayout(
            path="method.momentum", kind="float", low=0.9, high=0.999, when=(("method.kind", "mean & teacher"),)
        ),
    ),
)


@dataclasses.dataclass(frozen=True)
class Search:
    """Optuna's study of a search, with the arguments of the report."""

    study: optuna.Study
    layout: SearchLayout
    trials: pd.DataFrame


def best_of(search: Search) -> tuple[Trial, ...]:
    """Return the best trial of a search, or its front."""
    return front(search.layout, trials_from(search.layout, search.trials))


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Suggest a configuration; the momentum belongs to one kind only."""
    settings: dict[str, Any] = {
        "method.threshold": trial.suggest_float("method.threshold", 0.5, 0.99),
        "method.weight": trial.suggest_float("method.weight", 0.01, 10.0, log=True),
        "method.boxes": trial.suggest_int("method.boxes", 1, 6),
        "method.kind": trial.suggest_categorical("method.kind", ("cps", "mean & teacher")),
    }
    if settings["method.kind"] != "cps":
        settings["method.momentum"] = trial.suggest_float("method.momentum", 0.9, 0.999)
    return settings


def value(settings: dict[str, Any]) -> float:
    """Return a mIoU: the weight matters most, then the threshold, the boxes hardly; the best value is below one."""
    weight = (math.log10(settings["method.weight"]) + 0.6) ** 2
    threshold = (settings["method.threshold"] - 0.8) ** 2
    return 0.62 - 0.05 * weight - 0.3 * threshold + 0.001 * settings["method.boxes"]


def search(count: int = 40, *, failing: tuple[int, ...] = (7,), running: tuple[int, ...] = ()) -> Search:
    """Search with one objective, pruned by the median of the means over the seeds; the paper's values come first."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0), pruner=pruner)
    study.enqueue_trial(PAPER)
    lines: list[dict[str, Any]] = []
    for _ in range(count):
        trial = study.ask()
        settings = suggest(trial)
        if trial.number in failing:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            lines += _lines(trial, settings, "failed", {100: 0.2}, error=ERROR)
        elif trial.number in running:
            lines += _lines(trial, settings, "running", {100: 0.3})
        else:
            lines += _trained(study, trial, settings)
    return Search(study, LAYOUT, pd.DataFrame(lines))


def _trained(study: optuna.Study, trial: optuna.Trial, settings: dict[str, Any]) -> list[dict[str, Any]]:
    curve: dict[int, float] = {}
    for step in STEPS:
        curve[step] = value(settings) * (1 - 0.4 * math.exp(-step / 120))
        trial.report(curve[step], step)
        if trial.should_prune() and step < STEPS[-1]:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return _lines(trial, settings, "pruned", curve)
    study.tell(trial, curve[STEPS[-1]])
    return _lines(trial, settings, "complete", curve, {"objective/miou": curve[STEPS[-1]]})


def two_objectives(count: int = 30) -> Search:
    """Search with mIoU and a cost that grows with the boxes."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.NSGAIISampler(seed=0))
    study.enqueue_trial(PAPER)
    lines: list[dict[str, Any]] = []
    for _ in range(count):
        trial = study.ask()
        settings = suggest(trial)
        miou, cost = value(settings) + 0.01 * settings["method.boxes"], 30.0 + 9 * settings["method.boxes"]
        study.tell(trial, (miou, cost))
        objectives = {"objective/miou": miou, "objective/device_seconds": cost}
        lines += _lines(trial, settings, "complete", {400: miou}, objectives, cost=cost)
    layout = dataclasses.replace(LAYOUT, objectives=(MIOU, COST), sampler="NSGA-II, seed 0", pruner="none")
    return Search(study, layout, pd.DataFrame(lines))


def _lines(
    trial: optuna.Trial,
    settings: dict[str, Any],
    state: str,
    curve: dict[int, float],
    objectives: dict[str, float] | None = None,
    *,
    cost: float = 12.5,
    error: str = "",
) -> list[dict[str, Any]]:
    """Return a row for each seed."""
    step = max(curve)
    shared = {
        "trial": trial.number,
        "origin": "paper" if trial.number == 0 else "sampler",
        "sampler": "TPE",
        "state": state,
        "step": step,
        "steps": STEPS[-1],
        "pruned_at": step if state == "pruned" else None,
        "error": error,
        "proposed": pd.Timestamp(1_900_000_000 + 60 * trial.number, unit="s", tz="UTC"),
        "intermediate": json.dumps({str(at): mean for at, mean in curve.items()}),
        **(objectives or {}),
        **settings,
    }
    return [
        shared
        | {
            "seed": seed,
            "miou": curve[step] + (0.004 if seed else -0.004),
            "device_seconds": cost,
            "key": f"{trial.number:04x}{seed:04x}",
        }
        for seed in SEEDS
    ]
