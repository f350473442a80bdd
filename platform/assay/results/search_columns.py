"""The columns of `trials.parquet` and `importances.parquet`.

A trial has a row for each seed. Its own columns say the same in all of them: state, objectives, parameters and
`intermediate`, which is JSON text: the mean over the seeds by step.
"""

from __future__ import annotations

import pandas as pd

from assay.results.search_layout import ParameterLayout, SearchLayout

_TRIALS = {
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
_IMPORTANCES = {
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
    """Trials with every column that belongs to them, of its type; what else is known of them comes last."""
    objectives = {each.column: "float64" for each in layout.objectives}
    types = {**_TRIALS, **objectives, **{each.path: _type(each) for each in layout.parameters}}
    others = [name for name in frame.columns if name not in types]
    made = frame.reindex(columns=[*types, *others]).astype(types)
    for name in others:  # parameters of an earlier space: nothing that Parquet could not hold
        if not pd.api.types.is_numeric_dtype(made[name]):
            made[name] = made[name].astype("string")
    return made


def importances_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Importances with their columns, which are there where nothing could be said, too."""
    return frame.reindex(columns=list(_IMPORTANCES)).astype(_IMPORTANCES)


def _type(parameter: ParameterLayout) -> str:
    if parameter.kind == "choice":
        return "float64" if all(map(_is_number, parameter.options)) else "string"
    return {"float": "float64", "int": "Int64"}[parameter.kind]


def _is_number(option: str) -> bool:
    try:
        float(option)
    except ValueError:
        return False
    return True
