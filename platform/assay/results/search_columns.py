"""The columns of `trials.parquet` and `importances.parquet`.

A trial has a row for each seed. Its own columns are equal in all of them: state, objectives, parameters and
`intermediate`, which is JSON text: the mean over the seeds by step.

Users read percent: in the files, `miou`, an objective that is a mIoU (`objective/miou`) and `intermediate` are in
percent. Within the program, and in Optuna's journal, they are shares. Files of older versions have shares; their
metadata name no unit. An importance is a share of the importance of all parameters, between 0 and 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pandas as pd

from assay.results.search_layout import ParameterLayout, SearchLayout

TRIAL_COLUMNS = {
    "trial": "Int64",
    "seed": "Int64",
    "origin": "string",
    "sampler": "string",
    "state": "string",
    "step": "Int64",
    "steps": "Int64",
    "pruned_at": "Int64",
    "miou": "float64",
    "device_seconds": "float64",
    "key": "string",
    "error": "string",
    "proposed": "datetime64[us, UTC]",
    "intermediate": "string",
}
IMPORTANCE_COLUMNS = {
    "objective": "string",
    "evaluator": "string",
    "parameter": "string",
    "importance": "float64",
    "low": "float64",
    "high": "float64",
    "trials": "Int64",
    "quantile": "float64",
}


def trials_frame(layout: SearchLayout, frame: pd.DataFrame) -> pd.DataFrame:
    """Return trials with every column of a search, each of its type; further columns come last."""
    objectives = {objective.column: "float64" for objective in layout.objectives}
    types = {**TRIAL_COLUMNS, **objectives, **{parameter.path: _type(parameter) for parameter in layout.parameters}}
    others = [name for name in frame.columns if name not in types]
    typed = frame.reindex(columns=[*types, *others]).astype(types)
    for name in others:  # parameters of an earlier space may mix types, which Parquet cannot hold
        if not pd.api.types.is_numeric_dtype(typed[name]):
            typed[name] = typed[name].astype("string")
    return typed


def trials_in_percent(layout: SearchLayout, trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials with percent where the program has shares."""
    objectives = [objective.column for objective in layout.objectives if objective.percent]
    return _in_percent(trials, ["miou", *objectives], curves=layout.objectives[layout.watched].percent)


def old_trials_in_percent(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of a file that an older version wrote, with percent for shares.

    In those versions mIoU was the only objective that is a share, and the only one with intermediate values.
    """
    return _in_percent(trials, [name for name in ("miou", "objective/miou") if name in trials], curves=True)


def _in_percent(trials: pd.DataFrame, columns: Iterable[str], *, curves: bool) -> pd.DataFrame:
    scaled = {name: 100 * trials[name] for name in columns}
    if curves and "intermediate" in trials:
        scaled["intermediate"] = trials["intermediate"].map(_curve_in_percent, na_action="ignore").astype("string")
    return trials.assign(**scaled)


def _curve_in_percent(text: str) -> str:
    return json.dumps({step: 100 * mean for step, mean in json.loads(text).items()})


def importances_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return importances with all their columns, which exist even without rows."""
    return frame.reindex(columns=list(IMPORTANCE_COLUMNS)).astype(IMPORTANCE_COLUMNS)


def _type(parameter: ParameterLayout) -> str:
    if parameter.kind == "choice":
        return "float64" if all(map(_reads_as_number, parameter.options)) else "string"
    return {"float": "float64", "int": "Int64"}[parameter.kind]


def _reads_as_number(option: str) -> bool:
    try:
        float(option)
    except ValueError:
        return False
    return True
