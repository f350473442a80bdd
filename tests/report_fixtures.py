"""A drawn study and small searches, and what the report makes of them, once for all tests."""

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


@pytest.fixture(scope="session")
def study() -> Study:
    """Drawn shapes: nothing in it can be compared with the paper."""
    return draw_study()


@pytest.fixture(scope="session")
def table() -> FilledTable:
    """The first table of a study that follows the paper's protocol."""
    made = draw_study(comparable=True)
    return fill(made.frame, made.layout.tables[0])


@pytest.fixture(scope="session")
def written(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report of the drawn study."""
    folder = tmp_path_factory.mktemp("report")
    write_report(study.frame, study.layout, history=study.history, panel=study.panel, folder=folder)
    return folder


@pytest.fixture(scope="session")
def page(written: Path) -> str:
    """The report's page."""
    return (written / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def searched() -> Search:
    """A search with one objective: pruned, failed and running trials among the completed ones."""
    return search(40, running=(38, 39))


@pytest.fixture(scope="session")
def traded() -> Search:
    """A search with two objectives."""
    return two_objectives()


@pytest.fixture(scope="session")
def weighed(searched: Search) -> pd.DataFrame:
    """The importances of the search with one objective."""
    return importances(searched.study, ["miou"])[0]


@pytest.fixture(scope="session")
def search_folder(searched: Search, weighed: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report of the search."""
    folder = tmp_path_factory.mktemp("search")
    write_search(searched.layout, searched.trials, weighed, folder=folder)
    write_search_report(searched.layout, searched.trials, weighed, "Momentum is not ranked by fANOVA.", folder=folder)
    return folder


@pytest.fixture(scope="session")
def search_page(search_folder: Path) -> str:
    """The search's page."""
    return (search_folder / "report.html").read_text(encoding="utf-8")
