"""A check that `--set` names fields of the chosen rows' methods."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from assay.catalogue import method_class
from assay.errors import UserError
from assay.overrides import Override
from assay.study.tables import Row, Table
from assay.values import fields, suggestion


def check_reach(overrides: Sequence[Override], rows: Sequence[tuple[Table, Row]]) -> None:
    """Raise a UserError for `--set method.x=…` where methods of the chosen rows have no field x."""
    replaced = next((each.value for each in reversed(overrides) if each.path == "method"), None)
    methods = {row.label: str(replaced or _method(table, row)) for table, row in rows}
    fields_of = {name: [field.name for field in fields(method_class(name))] for name in dict.fromkeys(methods.values())}
    for override in overrides:
        first, _, below = override.path.partition(".")
        name = below.partition(".")[0]
        if first != "method" or not name:
            continue
        having = [label for label, method in methods.items() if name in fields_of[method]]
        without = [label for label in methods if label not in having]
        if not having:
            all_fields = dict.fromkeys(field for names in fields_of.values() for field in names)
            raise UserError(
                f"{override.origin}: none of the chosen rows' methods ({', '.join(fields_of)}) has a field"
                f" {name!r}{suggestion(name, all_fields)}."
            )
        if without:
            lacking = ", ".join(f"{label!r} ({methods[label]})" for label in without)
            raise UserError(
                f"{override.origin}: the methods of the rows {lacking} have no field {name!r}; choose rows whose"
                f" methods have it: --rows {shlex.join(having)}."
            )


def _method(table: Table, row: Row) -> str:
    """Return the short name of a row's method."""
    method = {"method": "supervised", **table.changes, **row.changes}["method"]
    return str(getattr(method, "name", method))
