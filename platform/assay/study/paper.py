"""The papers' numbers, looked up by table, row and column in this package's copy of them."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

from assay.errors import UserError
from assay.results.layout import Counted
from assay.values import suggestion


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
        raise UserError(f"no paper has a table {name!r}{suggestion(name, tables)}.")
    content: dict[str, Any] = tables[f"{paper}.{number}"]
    return content


def number(name: str, row: str, column: str, factors: Mapping[str, Any] | None = None) -> float | None:
    """What the paper printed; None for a dash. A row or column that the table lacks is a mistake in the study.

    factors: the check marks that tell rows of one label apart
    """
    rows = _rows(name, row, factors or {})
    # Two data sets may have rows of one label, each with its own columns.
    found = [each for each in rows if column in each["values"]]
    if not found:
        columns = sorted({known for each in rows for known in each["values"]})
        raise UserError(f"the row {row!r} of {name} has no column {column!r}{suggestion(column, columns)}.")
    if len(found) > 1:
        marks = "; ".join(str(each.get("factors", {})) for each in found)
        raise UserError(
            f"{name} has {len(found)} rows {row!r} with a column {column!r}; say which by its marks, PaperRow({row!r},"
            f" {{...}}): {marks}."
        )
    value = found[0]["values"][column]
    return None if value is None else float(value)


def counted(name: str, row: str, factors: Mapping[str, Any] | None = None) -> Counted | None:
    """Params and FLOPs as the paper printed them beside a row, with the image that it counts on."""
    printed = next((each["cost"] for each in _rows(name, row, factors or {}) if "cost" in each), None)
    if printed is None:
        return None
    crop = table(name).get("input_size", "")
    return Counted(params=1e6 * printed["params_M"], macs=1e9 * printed["flops_G"], crop=crop)


def _rows(name: str, label: str, factors: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of that label and those marks."""
    there = table(name)["rows"]
    labelled = [each for each in there if each["label"] == label]
    if not labelled:
        raise UserError(
            f"{name} has no row {label!r}{suggestion(label, dict.fromkeys(each['label'] for each in there))}."
        )
    found = [each for each in labelled if dict(factors).items() <= each.get("factors", {}).items()]
    if not found:
        marks = "; ".join(str(each.get("factors", {})) for each in labelled)
        raise UserError(f"no row {label!r} of {name} has the marks {dict(factors)}; there is: {marks}.")
    return found
