"""A drawn study and small searches with their reports, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from drawn_search import Search, search, two_objectives
from drawn_study import Study, draw_study

from assay.analysis.filled_table import FilledTable, fill
from assay.report.search.write import write_search_report
from assay.report.write import write_report
from assay.results.search_folder import write_search
from assay.search.importance import importances

__all__ = [
    "page",
    "search_folder",
    "search_page",
    "searched",
    "study",
    "table",
    "traded",
    "weighed",
    "written",
]


@pytest.fixture(scope="session")
def study() -> Study:
    """Return a study of drawn textures, which cannot be compared with the paper."""
    return draw_study()


@pytest.fixture(scope="session")
def table() -> FilledTable:
    """Return the first table of a study that follows the paper's protocol."""
    study = draw_study(comparable=True)
    return fill(study.frame, study.layout.tables[0])


@pytest.fixture(scope="session")
def written(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the report of the drawn study."""
    folder = tmp_path_factory.mktemp("report")
    write_report(study.frame, study.layout, history=study.history, panel=study.panel, folder=folder)
    return folder


@pytest.fixture(scope="session")
def page(written: Path) -> str:
    """Return the page of the drawn study."""
    return (written / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def searched() -> Search:
    """Return a search with one objective, and with completed, pruned, failed and running trials."""
    return search(40, running=(38, 39))


@pytest.fixture(scope="session")
def traded() -> Search:
    """Return a search with two objectives."""
    return two_objectives()


@pytest.fixture(scope="session")
def weighed(searched: Search) -> pd.DataFrame:
    """Return the importances of the search with one objective."""
    return importances(searched.study, ["miou"])[0]


@pytest.fixture(scope="session")
def search_folder(searched: Search, weighed: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the results and the report of the search."""
    folder = tmp_path_factory.mktemp("search")
    write_search(searched.layout, searched.trials, weighed, folder=folder)
    write_search_report(searched.layout, searched.trials, weighed, "Momentum is not ranked by fANOVA.", folder=folder)
    return folder


@pytest.fixture(scope="session")
def search_page(search_folder: Path) -> str:
    """Return the page of the search."""
    return (search_folder / "report.html").read_text(encoding="utf-8")
