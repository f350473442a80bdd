"""The papers' numbers, looked up by table, row and column in this package's copy of them."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

from assay.errors import UserError
from assay.results.layout import Counted
from assay.study.tables import NONE, PaperRow, Row, Table
from assay.values import suggestion


@functools.cache
def _papers() -> dict[str, Any]:
    text = importlib.resources.files("assay.study").joinpath("papers.json").read_text(encoding="utf-8")
    papers: dict[str, Any] = json.loads(text)
    return papers


def table(name: str) -> dict[str, Any]:
    """Return a table by paper and number: ``mkd.table1``."""
    tables = {
        f"{paper}.{number}": content
        for paper in _papers()
        if paper != "_meta"
        for number, content in _papers()[paper].items()
    }
    if name not in tables:
        raise UserError(f"no paper has a table {name!r}{suggestion(name, tables)}.")
    content: dict[str, Any] = tables[name]
    return content


def paper_number(table: Table, row: Row, column: str) -> float | None:
    """Return the number that the paper prints for a cell, or None where it prints none."""
    printed = _printed_row(row)
    return None if printed is None else number(table.paper, printed.label, column, printed.factors)


def paper_size(table: Table, row: Row) -> Counted | None:
    """Return the size of a row's network as the paper prints it, for tables that show sizes."""
    printed = _printed_row(row)
    if table.count_flops_of is None or printed is None:
        return None
    return counted(table.paper, printed.label, printed.factors)


def _printed_row(row: Row) -> PaperRow | None:
    return PaperRow(row.paper, NONE) if isinstance(row.paper, str) else row.paper


def number(name: str, row: str, column: str, factors: Mapping[str, Any] | None = None) -> float | None:
    """Return a printed number, or None for a dash; raise a UserError for a row or column that the table lacks.

    factors: the check marks that distinguish rows of one label
    """
    rows = _rows(name, row, factors or {})
    # Rows of two data sets may have one label, each with its own columns.
    matches = [each for each in rows if column in each["values"]]
    if not matches:
        columns = sorted({name for each in rows for name in each["values"]})
        raise UserError(f"the row {row!r} of {name} has no column {column!r}{suggestion(column, columns)}.")
    if len(matches) > 1:
        marks = "; ".join(str(each.get("factors", {})) for each in matches)
        raise UserError(
            f"{name} has {len(matches)} rows {row!r} with a column {column!r}; choose one by its marks,"
            f" PaperRow({row!r}, {{...}}): {marks}."
        )
    value = matches[0]["values"][column]
    return None if value is None else float(value)


def counted(name: str, row: str, factors: Mapping[str, Any] | None = None) -> Counted | None:
    """Return Params and FLOPs as the paper prints them beside a row, with the image that it counts on."""
    printed = next((each["cost"] for each in _rows(name, row, factors or {}) if "cost" in each), None)
    if printed is None:
        return None
    crop = table(name).get("input_size", "")
    return Counted(params=1e6 * printed["params_M"], macs=1e9 * printed["flops_G"], crop=crop)


def _rows(name: str, label: str, factors: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of that label and those marks."""
    rows = table(name)["rows"]
    labelled = [row for row in rows if row["label"] == label]
    if not labelled:
        labels = dict.fromkeys(row["label"] for row in rows)
        raise UserError(f"{name} has no row {label!r}{suggestion(label, labels)}.")
    matches = [row for row in labelled if dict(factors).items() <= row.get("factors", {}).items()]
    if not matches:
        marks = "; ".join(str(row.get("factors", {})) for row in labelled)
        raise UserError(f"no row {label!r} of {name} has the marks {dict(factors)}; its marks are: {marks}.")
    return matches
