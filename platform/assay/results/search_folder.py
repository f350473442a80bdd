"""The files of a search in one profile: its trials, the importances of its parameters, and the page."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from assay.analysis.trials import read
from assay.atomic import replace
from assay.report.search.contours import search_contours
from assay.report.search.figures import search_figures
from assay.report.search.page import search_page
from assay.report.search.slices import search_slices
from assay.results.parquet import parquet
from assay.results.search_columns import importances_frame, trials_frame
from assay.results.search_layout import SearchLayout
from assay.store.local import explain

TRIALS = "trials.parquet"
IMPORTANCES = "importances.parquet"


def write(
    folder: Path, layout: SearchLayout, trials: pd.DataFrame, importances: pd.DataFrame, reason: str = ""
) -> None:
    """Write everything that can be read of a search; `reason` is what limits the importances, or why there are none."""
    known, weighed = trials_frame(layout, trials), importances_frame(importances)
    files = {TRIALS: parquet(known), IMPORTANCES: parquet(weighed)} | _report(layout, known, weighed, reason)
    try:
        for name, data in files.items():
            replace(folder / name, data)
    except OSError as problem:
        raise explain(problem, "write", folder) from problem


def _report(layout: SearchLayout, trials: pd.DataFrame, importances: pd.DataFrame, reason: str) -> dict[str, bytes]:
    """The page and its figures by their files' names."""
    known = read(layout, trials)
    figures = [
        *search_figures(layout, known, importances),
        *search_contours(layout, known, importances),
        *search_slices(layout, known),
    ]
    page = search_page(layout, known, importances, reason, figures)
    drawn = {f"figures/{figure.name}.svg": figure.svg.encode() for figure in figures}
    return {"report.html": page.encode(), **drawn}


def load(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The trials and the importances that `write` wrote."""
    return pd.read_parquet(folder / TRIALS), pd.read_parquet(folder / IMPORTANCES)
