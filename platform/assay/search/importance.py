"""The importance of each parameter of a search, computed from its completed trials."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from assay.results.search_columns import importances_frame

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

MIN_TRIALS = 10  # completed trials, below which there are no importances
SHARE = 0.1  # of the trials, which PED-ANOVA counts as the best
TOP = 5  # the least number of best trials, as Optuna advises: with few trials the share is larger
SEED = 0  # of fANOVA's forest: equal trials have equal importances

PED_ANOVA, FANOVA = "PED-ANOVA", "fANOVA"


def importances(study: Study, objectives: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Return a row per objective, evaluator and parameter, and a note on what is left out or why there are no rows.

    `low` and `high` are the widest range in which a parameter was searched, `trials` is the number that counted.
    """
    completed = _completed(study)
    if len(completed) < MIN_TRIALS:
        note = f"Importances are unreliable below {MIN_TRIALS} completed trials, and there are {len(completed)}."
        return importances_frame(pd.DataFrame()), note
    space = _space(completed)
    shared = [name for name in space if all(name in trial.params for trial in completed)]
    rows: list[dict[str, Any]] = []
    notes = _notes_on_left_out([name for name in space if name not in shared])
    for index, objective in enumerate(objectives):
        sample = _Sample(
            direction=study.directions[index],
            values=[trial.values[index] for trial in completed],
            points=[trial.params for trial in completed],
            space=space,
        )
        objective_rows = list(_rows(sample, objective, shared))
        rows += objective_rows
        if not objective_rows:
            notes.append(f"{objective} hardly differs between the trials: there is nothing to explain.")
    return importances_frame(pd.DataFrame(rows)), " ".join(notes)


def _completed(study: Study) -> list[FrozenTrial]:
    """Return the completed trials, each configuration once; pruned ones have no value to explain."""
    from optuna.trial import TrialState

    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial for trial in completed if "repeats" not in trial.user_attrs]


def _notes_on_left_out(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    evaluators = "fANOVA does" if _ranks_conditional_parameters() else "PED-ANOVA and fANOVA do"
    return [f"Not every trial has {', '.join(names)}: {evaluators} not rank such a parameter."]


def _ranks_conditional_parameters() -> bool:
    """Return whether PED-ANOVA accepts parameters that some trials lack, which it does from Optuna 5 on."""
    import optuna

    return int(optuna.__version__.partition(".")[0]) >= 5


# --- the space -----------------------------------------------------------------------------------------------


def _space(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Return the widest range of every parameter: a search may continue in another range than it began."""
    by_name: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            distributions = by_name.setdefault(name, [])
            if distribution not in distributions:
                distributions.append(distribution)
    return {name: _widest(distributions) for name, distributions in by_name.items()}


def _widest(distributions: Sequence[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if len(distributions) == 1:
        return distributions[0]
    if all(isinstance(distribution, CategoricalDistribution) for distribution in distributions):
        choices = (choice for distribution in distributions for choice in distribution.choices)
        return CategoricalDistribution(tuple(dict.fromkeys(choices)))
    low = min(distribution.low for distribution in distributions)
    high = max(distribution.high for distribution in distributions)
    log = all(distribution.log for distribution in distributions)
    whole = all(isinstance(distribution, IntDistribution) for distribution in distributions)
    return IntDistribution(low, high, log=log) if whole else FloatDistribution(low, high, log=log)


# --- the evaluators ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Sample:
    """The values of one objective at all completed configurations."""

    direction: StudyDirection
    values: Sequence[float]
    points: Sequence[Mapping[str, Any]]
    space: Mapping[str, BaseDistribution]

    def restricted_to(self, names: Sequence[str]) -> _Sample:
        """Return the sample over some parameters only."""
        return dataclasses.replace(self, space={name: self.space[name] for name in names})

    def with_logarithms(self) -> _Sample:
        """Return the sample with the logarithms of all parameters that were searched in them.

        fANOVA averages over a range linearly: the lower decades of a logarithmic range would count for nothing.
        """
        logged = {name for name, distribution in self.space.items() if getattr(distribution, "log", False)}
        return dataclasses.replace(
            self,
            points=[
                {name: math.log(value) if name in logged else value for name, value in point.items()}
                for point in self.points
            ],
            space={
                name: _logarithmic(distribution) if name in logged else distribution
                for name, distribution in self.space.items()
            },
        )

    def study(self) -> Study:
        """Return an Optuna study of this objective, with one range for every parameter."""
        import optuna

        study = optuna.create_study(direction=self.direction)
        for value, point in zip(self.values, self.points, strict=True):
            params = {name: point[name] for name in self.space if name in point}
            distributions = {name: self.space[name] for name in params}
            study.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=distributions))
        return study


def _logarithmic(distribution: Any) -> BaseDistribution:
    from optuna.distributions import FloatDistribution

    return FloatDistribution(math.log(distribution.low), math.log(distribution.high))


def _rows(sample: _Sample, objective: str, shared: Sequence[str]) -> Iterator[dict[str, Any]]:
    share = max(SHARE, min(0.5, TOP / len(sample.values)))
    ranked = list(sample.space) if _ranks_conditional_parameters() else shared
    with _quiet_optuna():
        by_ped_anova = _ped_anova(sample.restricted_to(ranked), share)
        by_fanova = _fanova(sample.restricted_to(shared).with_logarithms())
    for evaluator, quantile, by_parameter in ((PED_ANOVA, share, by_ped_anova), (FANOVA, None, by_fanova)):
        for parameter, importance in by_parameter.items():
            yield {
                "objective": objective,
                "evaluator": evaluator,
                "parameter": parameter,
                "importance": importance,
                "low": getattr(sample.space[parameter], "low", None),
                "high": getattr(sample.space[parameter], "high", None),
                "trials": len(sample.values),
                "quantile": quantile,
            }


def _ped_anova(sample: _Sample, share: float) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator

    return _shares(PedAnovaImportanceEvaluator(target_quantile=share), sample)


def _fanova(sample: _Sample) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator

    return _shares(FanovaImportanceEvaluator(seed=SEED), sample)


def _shares(evaluator: Any, sample: _Sample) -> dict[str, float]:
    """Return importances that sum to one, the largest first; empty where it finds no difference."""
    if not sample.space or len(set(sample.values)) < 2:
        return {}
    by_parameter = evaluator.evaluate(sample.study(), params=list(sample.space))
    total = sum(by_parameter.values())
    return {name: float(importance) / total for name, importance in by_parameter.items()} if total > 0 else {}


@contextlib.contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's line about every new study, and its warnings about cases that are handled here."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
