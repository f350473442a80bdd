"""A search's report, from its trials to files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from assay.analysis.trials import trials_from
from assay.report.search.contours import search_contours
from assay.report.search.figures import search_figures
from assay.report.search.page import search_page
from assay.report.search.slices import search_slices
from assay.report.write import write_files
from assay.results.search_columns import importances_frame
from assay.results.search_layout import SearchLayout


def write_search_report(
    layout: SearchLayout, frame: pd.DataFrame, importances: pd.DataFrame, reason: str = "", *, folder: Path
) -> None:
    """Write report.html and each figure from a search's frame of trials.

    reason: the limits of the importances, or the reason why there are none
    """
    trials, weights = trials_from(layout, frame), importances_frame(importances)
    figures = [
        *search_figures(layout, trials, weights),
        *search_contours(layout, trials, weights),
        *search_slices(layout, trials),
    ]
    page = search_page(layout, trials, weights, reason, figures)
    write_files(folder, {"report.html": page, **{f"figures/{figure.name}.svg": figure.svg for figure in figures}})
