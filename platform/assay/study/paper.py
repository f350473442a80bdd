"""The papers' numbers, looked up by table, row and column in this package's copy of them."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

from assay.errors import UserError
from assay.values import nearest


@functools.cache
def _papers() -> dict[str, Any]:
    text = importlib.resources.files("assay.study").joinpath("papers.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def table(name: str) -> dict[str, Any]:
    """A table by paper and number: ``mkd.table1``."""
    paper, _, number = name.partition(".")
    tables = {
        f"{each}.{key}": content for each in _papers() if each != "_meta" for key, content in _papers()[each].items()
    }
    if name not in tables:
        raise UserError(f"no paper has a table {name!r}{nearest(name, tables)}.")
    content: dict[str, Any] = tables[f"{paper}.{number}"]
    return content


def number(name: str, row: str, column: str) -> float | None:
    """What the paper printed; None for a dash. A row or column that the table lacks is a mistake in the study."""
    rows = [each for each in table(name)["rows"] if each["label"] == row]
    if not rows:
        raise UserError(f"{name} has no row {row!r}{nearest(row, [each['label'] for each in table(name)['rows']])}.")
    # Two data sets may have rows of one label, each with its own columns.
    for each in rows:
        if column in each["values"]:
            value = each["values"][column]
            return None if value is None else float(value)
    columns = sorted({known for each in rows for known in each["values"]})
    raise UserError(f"the row {row!r} of {name} has no column {column!r}{nearest(column, columns)}.")
