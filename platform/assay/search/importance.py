"""How much each parameter of a search matters, as far as its finished trials can say."""

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

LEAST = 10  # completed trials below which nothing is said
SHARE = 0.1  # of the trials that count as the best for PED-ANOVA
TOP = 5  # trials that are to be among the best, as Optuna advises: with few trials the share is larger
SEED = 0  # of fANOVA's forest: equal trials have equal importances

PED_ANOVA, FANOVA = "PED-ANOVA", "fANOVA"


def importances(study: Study, objectives: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """A row per objective, evaluator and parameter; and what they leave out, or why there are none.

    `low` and `high` are the widest range that a parameter was searched in, and `trials` how many counted.
    """
    ended = _completed(study)
    if len(ended) < LEAST:
        few = f"Importances need {LEAST} completed trials to say anything reliable, and there are {len(ended)}."
        return importances_frame(pd.DataFrame()), few
    space = _space(ended)
    shared = [name for name in space if all(name in each.params for each in ended)]
    rows: list[dict[str, Any]] = []
    said = _left_out([name for name in space if name not in shared])
    for index, objective in enumerate(objectives):
        found = list(_of_objective(_values(study, ended, index, space), objective, shared))
        rows += found
        said += [] if found else [f"{objective} hardly differs between the trials: there is nothing to explain."]
    return importances_frame(pd.DataFrame(rows)), " ".join(said)


def _values(study: Study, ended: Sequence[FrozenTrial], index: int, space: Mapping[str, BaseDistribution]) -> _Ended:
    """What one of the objectives became."""
    return _Ended(
        direction=study.directions[index],
        values=[each.values[index] for each in ended],
        settings=[each.params for each in ended],
        space=space,
    )


def _completed(study: Study) -> list[FrozenTrial]:
    """The trials that were trained to their end, each configuration once; pruned ones have no value to explain."""
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [each for each in ended if "repeats" not in each.user_attrs]


def _left_out(partial: Sequence[str]) -> list[str]:
    if not partial:
        return []
    who = "fANOVA does" if _knows_conditions() else "PED-ANOVA and fANOVA do"
    return [f"Not every trial has {', '.join(partial)}: {who} not rank such a parameter."]


def _knows_conditions() -> bool:
    """Whether PED-ANOVA takes parameters that some trials do not have, as it does from Optuna 5 on."""
    import optuna

    return int(optuna.__version__.partition(".")[0]) >= 5


# --- the space -----------------------------------------------------------------------------------------------


def _space(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Every parameter with the widest range that it was searched in: a search may go on in another one."""
    found: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            own = found.setdefault(name, [])
            if distribution not in own:
                own.append(distribution)
    return {name: _widest(own) for name, own in found.items()}


def _widest(own: Sequence[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if len(own) == 1:
        return own[0]
    if all(isinstance(each, CategoricalDistribution) for each in own):
        return CategoricalDistribution(tuple(dict.fromkeys(choice for each in own for choice in each.choices)))
    low, high, log = min(each.low for each in own), max(each.high for each in own), all(each.log for each in own)
    whole = all(isinstance(each, IntDistribution) for each in own)
    return IntDistribution(low, high, log=log) if whole else FloatDistribution(low, high, log=log)


# --- the evaluators ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Ended:
    """What one objective became under which settings."""

    direction: StudyDirection
    values: Sequence[float]
    settings: Sequence[Mapping[str, Any]]
    space: Mapping[str, BaseDistribution]

    def only(self, names: Sequence[str]) -> _Ended:
        """The same over some parameters; every setting stays, though some of its values may be left out."""
        return dataclasses.replace(self, space={name: self.space[name] for name in names})

    def straight(self) -> _Ended:
        """The same over the logarithms of what was searched by them.

        fANOVA takes means over a range as it is: the lower decades of one with `log` would count for nothing.
        """
        logged = {name for name, each in self.space.items() if getattr(each, "log", False)}
        return dataclasses.replace(
            self,
            settings=[{k: math.log(v) if k in logged else v for k, v in each.items()} for each in self.settings],
            space={name: _logarithmic(each) if name in logged else each for name, each in self.space.items()},
        )

    def study(self) -> Study:
        """A study of this objective alone, every parameter in one range."""
        import optuna

        made = optuna.create_study(direction=self.direction)
        for value, each in zip(self.values, self.settings, strict=True):
            params = {name: each[name] for name in self.space if name in each}
            space = {name: self.space[name] for name in params}
            made.add_trial(optuna.trial.create_trial(value=value, params=params, distributions=space))
        return made


def _logarithmic(distribution: Any) -> BaseDistribution:
    from optuna.distributions import FloatDistribution

    return FloatDistribution(math.log(distribution.low), math.log(distribution.high))


def _of_objective(ended: _Ended, objective: str, shared: Sequence[str]) -> Iterator[dict[str, Any]]:
    share = max(SHARE, min(0.5, TOP / len(ended.values)))
    ranked = list(ended.space) if _knows_conditions() else shared
    with _silent():
        by_ped_anova = _ped_anova(ended.only(ranked), share)
        by_fanova = _fanova(ended.only(shared).straight())
    for evaluator, quantile, found in ((PED_ANOVA, share, by_ped_anova), (FANOVA, None, by_fanova)):
        for parameter, importance in found.items():
            yield {
                "objective": objective,
                "evaluator": evaluator,
                "parameter": parameter,
                "importance": importance,
                "low": getattr(ended.space[parameter], "low", None),
                "high": getattr(ended.space[parameter], "high", None),
                "trials": len(ended.values),
                "quantile": quantile,
            }


def _ped_anova(ended: _Ended, share: float) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator

    return _shares(PedAnovaImportanceEvaluator(target_quantile=share), ended)


def _fanova(ended: _Ended) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator

    return _shares(FanovaImportanceEvaluator(seed=SEED), ended)


def _shares(evaluator: Any, ended: _Ended) -> dict[str, float]:
    """Importances that add up to one, the largest first; nothing where the evaluator sees no difference."""
    if not ended.space or len(set(ended.values)) < 2:
        return {}
    found = evaluator.evaluate(ended.study(), params=list(ended.space))
    total = sum(found.values())
    return {name: float(each) / total for name, each in found.items()} if total > 0 else {}


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without Optuna's line about every study that is made, and its warnings about what is handled here."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
