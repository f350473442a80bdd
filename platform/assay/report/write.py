"""A study's report, from its results to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from assay.analysis.filled_table import FilledCell, FilledTable, fill
from assay.analysis.run_summary import summarize
from assay.atomic import replace
from assay.report.csv_table import csv
from assay.report.figures import figures
from assay.report.page import Section, study_page
from assay.report.text_tables import WRITERS
from assay.results.layout import StudyLayout
from assay.results.panel import Panel
from assay.store.local import explain

History = Callable[[Sequence[str]], pd.DataFrame]  # from keys to their history: key, step, name, value
ReadPanel = Callable[[str], Panel | None]  # from a key to its predictions on validation images


def write_report(
    frame: pd.DataFrame, layout: StudyLayout, *, history: History, panel: ReadPanel, folder: Path
) -> list[Path]:
    """Write report.html, each table as text and each figure; return their paths, the page's first."""
    tables = [fill(frame, table) for table in layout.tables]
    sections = [_section(table.merged(), history, panel) for table in tables]
    files = {"report.html": study_page(layout, sections, summarize(frame, layout))}
    for table, section in zip(tables, sections, strict=True):
        files |= _texts(table)
        files |= {f"figures/{figure.name}.svg": figure.svg for figure in section.figures}
    return write_files(folder, files)


def write_texts(frame: pd.DataFrame, layout: StudyLayout, *, folder: Path) -> list[Path]:
    """Write each table as text and nothing else: figures and the page take seconds."""
    return write_files(
        folder, {name: text for table in layout.tables for name, text in _texts(fill(frame, table)).items()}
    )


def write_files(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts by file name, each file as a whole, so that a browser never reads half a page."""
    try:
        return [replace(folder / name, text.encode()) for name, text in files.items()]
    except OSError as problem:
        raise explain(problem, "write", folder) from problem


def _texts(table: FilledTable) -> dict[str, str]:
    """Return the table in each text format; CSV, which programs read, keeps every column of the paper's."""
    merged = table.merged()
    texts = {suffix: write(table if write is csv else merged) for suffix, write in WRITERS.items()}
    return {f"tables/{table.layout.name}.{suffix}": text for suffix, text in texts.items()}


def _section(table: FilledTable, history: History, panel: ReadPanel) -> Section:
    keys = list(dict.fromkeys(run.key for cell in table.cells() for run in cell.runs if run.key))
    panels, note = _panels(table, panel)
    return Section(table=table, figures=figures(table, history(keys)), panels=panels, panels_note=note)


def _panels(table: FilledTable, panel: ReadPanel) -> tuple[list[tuple[str, Panel]], str]:
    """Return the predictions of every row in the column with the most finished rows, with a note on their origin."""
    columns = [table.column(index) for index in range(len(table.layout.columns))]
    cells = max(columns, key=lambda column: sum(cell.done > 0 for cell in column), default=())
    panels = [(cell.row, first) for cell in cells if (first := _first_panel(cell, panel)) is not None]
    return panels, f"{cells[0].column}; of each row the first seed that finished." if panels else ""


def _first_panel(cell: FilledCell, read_panel: ReadPanel) -> Panel | None:
    panels: Iterator[Panel | None] = (read_panel(run.key) for run in cell.runs if run.state == "done" and run.key)
    return next((panel for panel in panels if panel is not None), None)
