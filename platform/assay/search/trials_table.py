"""What a search leaves for its readers: its layout and its trials as plain tables."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from assay.execution.costs import device_seconds
from assay.overrides import parse_text
from assay.results.search_layout import ObjectiveLayout, ParameterLayout, SearchLayout
from assay.search.configurations import Configurations
from assay.search.objectives import Objective
from assay.search.optuna_study import OptunaStudy
from assay.search.search import Search
from assay.search.space import Choice, Int, Parameter, Unstated
from assay.store import records
from assay.store.store import Store

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


def layout(
    configurations: Configurations,
    objectives: tuple[Objective, ...],
    *,
    rungs: Sequence[int],
    places: Sequence[str] = (),
) -> SearchLayout:
    """What the report needs beside the trials.

    rungs: the steps at which configurations are given up, and the last one
    places: the flags with which the user said where results, data and lists lie
    """
    search, profile = configurations.search, configurations.profile
    overrides = ", ".join(f"{each.path}={each.value}" for each in configurations.choice.overrides)
    return SearchLayout(
        name=search.name,
        title=search.title,
        profile=profile.name,
        profile_note=f"{profile.note}; {search.study.name}, {search.table}, row “{search.row}”,"
        f" column {configurations.setting.column}" + (f"; --set {overrides}" if overrides else ""),
        not_comparable=profile.not_comparable,
        sampler=f"{search.sampler}, seed {search.sampler_seed}",
        pruner=_pruner(search, rungs),
        seeds=configurations.choice.seeds,
        command=_command(configurations, places),
        objectives=tuple(
            ObjectiveLayout(name=each.name, label=each.label, direction=each.direction, percent=each.percent)
            for each in objectives
        ),
        parameters=tuple(_parameter(each) for each in configurations.parameters),
    )


def _pruner(search: Search, rungs: Sequence[int]) -> str:
    """What gives up and when, or why nothing does."""
    pruning, why_not, (*before, _) = search.pruned_by, search.why_not_pruned, rungs
    if pruning.name == "none":
        return "none" + (f" ({why_not})" if why_not else "")
    if not before:
        return f"{pruning.name}, which has no rung before the end"
    steps = " and ".join(filter(None, (", ".join(map(str, before[:-1])), str(before[-1]))))
    return f"{pruning.name}, factor {pruning.factor}, at step{'s' if len(before) > 1 else ''} {steps}"


def _command(configurations: Configurations, places: Sequence[str]) -> str:
    """What trains the cell that the search starts from, in the same store."""
    search, choice = configurations.search, configurations.choice
    flags = {
        "--profile": [configurations.profile.name],
        "--tables": [search.table],
        "--rows": [search.row],
        "--columns": [configurations.setting.column],
        "--seeds": [str(seed) for seed in choice.seeds],
    }
    words = [
        "python",
        f"studies/{search.study.name}.py",
        *(each for flag, said in flags.items() for each in (flag, *said)),
        *places,
    ]
    return shlex.join([*words, *(part for each in choice.overrides for part in ("--set", f"{each.path}={each.value}"))])


def _parameter(parameter: Parameter) -> ParameterLayout:
    domain = parameter.domain
    paper = None if isinstance(domain.paper, Unstated) else domain.paper
    when = tuple((name, str(value)) for name, value in parameter.when)
    if isinstance(domain, Choice):
        return ParameterLayout(
            path=parameter.name,
            target=parameter.path,
            kind="choice",
            options=tuple(str(each) for each in domain.labels),
            texts=tuple(_typed(domain.value(each)) for each in domain.labels),
            paper=None if paper is None else str(paper),
            when=when,
        )
    return ParameterLayout(
        path=parameter.name,
        target=parameter.path,
        kind="int" if isinstance(domain, Int) else "float",
        log=domain.log,
        low=domain.low,
        high=domain.high,
        paper=None if paper is None else float(paper),
        when=when,
    )


def _typed(value: Any) -> str | None:
    """What a command line has for a value; None where it has nothing, as for a teacher."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    if not _is_plain(value):
        return None
    short = ",".join(str(_typed(each)) for each in value)
    # The short form of one thing is not a list, that of a list of lists is flat, and a text may look like a number.
    return short if parse_text(short, tuple[Any, ...]) == list(value) else json.dumps(value)


def _is_plain(value: Any) -> bool:
    """Whether a value is made of lists, numbers and texts."""
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


def trials(
    configurations: Configurations, ledger: OptunaStudy, store: Store, objectives: tuple[Objective, ...], steps: int
) -> pd.DataFrame:
    """A row for every configuration and seed."""
    rows = [
        row
        for each in ledger.proposals()
        for row in _rows(each, configurations.choice.seeds, store, objectives, configurations.parameters, steps)
    ]
    return pd.DataFrame(rows)


def _rows(
    trial: FrozenTrial,
    seeds: tuple[int, ...],
    store: Store,
    objectives: tuple[Objective, ...],
    parameters: tuple[Parameter, ...],
    steps: int,
) -> Iterator[Mapping[str, Any]]:
    attrs = trial.user_attrs
    shared = {
        "trial": trial.number,
        "origin": attrs["origin"],
        "sampler": attrs["sampler"],
        "state": _STATES[trial.state],
        "steps": steps,
        "pruned_at": attrs.get("pruned_at"),
        "error": attrs.get("error", ""),
        "proposed": pd.Timestamp(attrs["proposed"]),
        "intermediate": json.dumps({str(step): mean for step, mean in sorted(trial.intermediate_values.items())}),
    }
    values = trial.values if trial.state == TrialState.COMPLETE else [None] * len(objectives)
    shared |= {f"objective/{each.name}": value for each, value in zip(objectives, values, strict=True)}
    shared |= {each.name: trial.params.get(each.name) for each in parameters}
    for seed, key in zip(seeds, attrs["keys"] or [""] * len(seeds), strict=True):  # none of one that was refused
        scores = records.scores(store, key) if key else {}
        step = attrs.get("pruned_at") or max(scores, default=None)
        yield {
            **shared,
            "seed": seed,
            "step": step,
            "miou": scores.get(step) if step is not None else None,
            "device_seconds": device_seconds(store, key) if key else 0.0,
            "key": key,
        }
