"""A filled table as CSV."""

from __future__ import annotations

import pandas as pd

from assay.analysis.filled_table import RUN_STATES, FilledCell, FilledTable
from assay.analysis.verdict import verdict


def csv(table: FilledTable) -> str:
    """Return the table as CSV: a line for each cell, numbers in full precision."""
    return pd.DataFrame([_record(table, cell) for cell in table.cells()]).to_csv(index=False, lineterminator="\n")


def _record(table: FilledTable, cell: FilledCell) -> dict[str, object]:
    comparison, pair = cell.comparison, cell.comparison.paired if cell.comparison else None
    return {
        "table": table.layout.name,
        "row": cell.row,
        "column": cell.column,
        "planned": cell.planned,
        **{state: cell.count(state) for state in RUN_STATES},
        "paper": cell.paper,
        **_fields(cell.last, {"miou": "mean", "miou_sd": "sd", "miou_low": "low", "miou_high": "high"}),
        "miou_best": cell.best.mean,
        "delta": cell.delta,
        "verdict": verdict(cell).kind,
        **(_sizes(cell) if table.layout.count_flops_of else {}),
        "comparable": cell.comparable,
        "differs": cell.not_comparable,
        "reference": comparison.reference if comparison else None,
        **_fields(pair, {f"difference{end}": name for end, name in _DIFFERENCE.items()}),
        "difference_p_holm": comparison.holm if comparison else None,
        "errors": "; ".join(f"seed {run.seed}: {' '.join(run.error.split())}" for run in cell.runs if run.error),
    }


_DIFFERENCE = {
    "": "mean",
    "_sd": "sd",
    "_low": "low",
    "_high": "high",
    "_p": "p",
    "_smallest_p": "smallest_p",
    "_t_p": "t_p",
    "_pairs": "n",
}


def _sizes(cell: FilledCell) -> dict[str, object]:
    names = ("params", "macs", "crop")
    papers = _fields(cell.paper_counted, {f"paper_{name}": name for name in names})
    return papers | _fields(cell.counted, {name: name for name in names})


def _fields(value: object | None, names: dict[str, str]) -> dict[str, object]:
    """Return some fields of a value under other names; all are None without a value."""
    return {name: None if value is None else getattr(value, field) for name, field in names.items()}
