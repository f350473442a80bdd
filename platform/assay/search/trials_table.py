"""The layout and the trials of a search as plain tables, for reports and for pandas."""

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
from assay.wording import plural

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
    """Return the layout, which a report needs beside the trials.

    rungs: the steps at which configurations may be pruned, and the last step
    places: the flags for the folders of results, data and lists, as the user gave them
    """
    search, profile, selection = configurations.search, configurations.profile, configurations.selection
    overrides = ", ".join(f"{override.path}={override.value}" for override in selection.overrides)
    return SearchLayout(
        name=search.name,
        title=search.title,
        profile=profile.name,
        profile_note=f"{profile.note}; {search.study.name}, {search.table}, row “{search.row}”,"
        f" column {configurations.settings.column}" + (f"; --set {overrides}" if overrides else ""),
        not_comparable=profile.not_comparable,
        sampler=f"{search.sampler}, seed {search.sampler_seed}",
        pruner=_pruner(search, rungs),
        seeds=selection.seeds,
        command=_command(configurations, places),
        objectives=tuple(
            ObjectiveLayout(
                name=objective.name, label=objective.label, direction=objective.direction, percent=objective.percent
            )
            for objective in objectives
        ),
        parameters=tuple(map(_parameter_layout, configurations.parameters)),
    )


def _pruner(search: Search, rungs: Sequence[int]) -> str:
    """Return the pruner with its steps, or the reason why there is none."""
    pruning, why_not, (*early, _) = search.effective_pruning, search.why_not_pruned, rungs
    if pruning.name == "none":
        return "none" + (f" ({why_not})" if why_not else "")
    if not early:
        return f"{pruning.name}, which has no rung before the end"
    steps = " and ".join(filter(None, (", ".join(map(str, early[:-1])), str(early[-1]))))
    return f"{pruning.name}, factor {pruning.factor}, at {plural('step', len(early))} {steps}"


def _command(configurations: Configurations, places: Sequence[str]) -> str:
    """Return the command that trains the base of the search, with results in the same store."""
    search, selection = configurations.search, configurations.selection
    flags = {
        "--profile": [configurations.profile.name],
        "--tables": [search.table],
        "--rows": [search.row],
        "--columns": [configurations.settings.column],
        "--seeds": [str(seed) for seed in selection.seeds],
    }
    parts = ["python", f"studies/{search.study.name}.py"]
    parts += [part for flag, values in flags.items() for part in (flag, *values)]
    parts += places
    parts += [part for override in selection.overrides for part in ("--set", f"{override.path}={override.value}")]
    return shlex.join(parts)


def _parameter_layout(parameter: Parameter) -> ParameterLayout:
    domain = parameter.domain
    paper = None if isinstance(domain.paper, Unstated) else domain.paper
    when = tuple((name, str(value)) for name, value in parameter.when)
    if isinstance(domain, Choice):
        return ParameterLayout(
            path=parameter.name,
            target=parameter.path,
            kind="choice",
            options=tuple(map(str, domain.labels)),
            texts=tuple(_flag_text(domain.value(label)) for label in domain.labels),
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


def _flag_text(value: Any) -> str | None:
    """Return a value as a command line takes it; None for a value without a text, such as a teacher."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    if not _is_plain(value):
        return None
    short = ",".join(str(_flag_text(content)) for content in value)
    # The short form fails for lists of one value, nested lists, and texts that look like numbers.
    return short if parse_text(short, tuple[Any, ...]) == list(value) else json.dumps(value)


def _is_plain(value: Any) -> bool:
    """Return whether a value consists of lists, numbers and texts."""
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))


def trials(
    configurations: Configurations,
    optuna_study: OptunaStudy,
    store: Store,
    objectives: tuple[Objective, ...],
    steps: int,
) -> pd.DataFrame:
    """Return a table with a row for each configuration and seed."""
    seeds, parameters = configurations.selection.seeds, configurations.parameters
    rows = [
        row for trial in optuna_study.proposals() for row in _rows(trial, seeds, store, objectives, parameters, steps)
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
    shared |= {f"objective/{objective.name}": value for objective, value in zip(objectives, values, strict=True)}
    shared |= {parameter.name: trial.params.get(parameter.name) for parameter in parameters}
    for seed, key in zip(seeds, attrs["keys"] or [""] * len(seeds), strict=True):  # a refused one has no keys
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
