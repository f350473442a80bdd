"""A drawn study, and what the report makes of it, once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.drawn import Study, draw_study

from assay.report.cells import FilledTable, fill
from assay.report.write import write_report


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
