"""A study's report, from its results to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from assay.analysis.filled_table import FilledCell, FilledTable, fill
from assay.analysis.run_summary import summarize
from assay.atomic import replace
from assay.report.csv_table import csv
from assay.report.figures import figures
from assay.report.html import Section, page
from assay.report.text_tables import WRITERS
from assay.results.layout import StudyLayout
from assay.results.panel import Panel

History = Callable[[Sequence[str]], pd.DataFrame]  # what was logged under some keys: key, step, name, value


def write_report(
    frame: pd.DataFrame,
    layout: StudyLayout,
    *,
    history: History,
    panel: Callable[[str], Panel | None],
    folder: Path,
) -> list[Path]:
    """Write report.html, each table as text and each figure; returns what was written, the page first.

    Every file is replaced as a whole, so that a page that is open while a study runs is never half a page.
    """
    tables = [fill(frame, each) for each in layout.tables]
    sections = [_section(each.merged(), history, panel) for each in tables]
    files = {"report.html": page(layout, sections, summarize(frame, layout))}
    for table, section in zip(tables, sections, strict=True):
        files |= _texts(table)
        files |= {f"figures/{figure.name}.svg": figure.svg for figure in section.figures}
    return [replace(folder / name, text.encode()) for name, text in files.items()]


def write_texts(frame: pd.DataFrame, layout: StudyLayout, *, folder: Path) -> list[Path]:
    """Write each table as text and nothing else: figures and the page take seconds."""
    files = {name: text for each in layout.tables for name, text in _texts(fill(frame, each)).items()}
    return [replace(folder / name, text.encode()) for name, text in files.items()]


def _texts(table: FilledTable) -> dict[str, str]:
    """The table as printed in each form; only CSV, which programs read, has every column of the paper's."""
    merged = table.merged()
    written = {suffix: write(table if write is csv else merged) for suffix, write in WRITERS.items()}
    return {f"tables/{table.layout.name}.{suffix}": text for suffix, text in written.items()}


def _section(table: FilledTable, history: History, panel: Callable[[str], Panel | None]) -> Section:
    keys = list(dict.fromkeys(run.key for cell in table.cells() for run in cell.runs if run.key))
    panels, note = _panels(table, panel)
    return Section(table=table, figures=figures(table, history(keys)), panels=panels, panels_note=note)


def _panels(table: FilledTable, panel: Callable[[str], Panel | None]) -> tuple[list[tuple[str, Panel]], str]:
    """The predictions of every row in one column, that with the most finished rows, so that they can be compared."""
    columns = [table.column(index) for index in range(len(table.layout.columns))]
    cells = max(columns, key=lambda column: sum(cell.done > 0 for cell in column), default=())
    found = [(cell.row, made) for cell in cells if (made := _first_panel(cell, panel)) is not None]
    return found, f"{cells[0].column}; of each row the first seed that finished." if found else ""


def _first_panel(cell: FilledCell, panel: Callable[[str], Panel | None]) -> Panel | None:
    made: Iterator[Panel | None] = (panel(run.key) for run in cell.runs if run.state == "done" and run.key)
    return next((each for each in made if each is not None), None)
