"""Whether a change of the method from the command line reaches the methods of all chosen rows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from assay.catalogue import method_class
from assay.errors import UserError
from assay.overrides import Override
from assay.study.tables import Row, Table
from assay.values import fields, suggestion


def check_reach(overrides: Sequence[Override], rows: Sequence[tuple[Table, Row]]) -> None:
    """Refuse `--set method.x=…` where rows have methods without x; names those methods, and the rows that have it."""
    replaced = next((each.value for each in reversed(overrides) if each.path == "method"), None)
    methods = {row.label: str(replaced or _method(table, row)) for table, row in rows}
    known = {name: [field.name for field in fields(method_class(name))] for name in dict.fromkeys(methods.values())}
    for each in overrides:
        first, _, below = each.path.partition(".")
        name = below.partition(".")[0]
        if first != "method" or not name:
            continue
        having = [label for label, method in methods.items() if name in known[method]]
        without = [label for label in methods if label not in having]
        if not having:
            fields_of_all = dict.fromkeys(field for names in known.values() for field in names)
            raise UserError(
                f"{each.origin}: none of the chosen rows' methods ({', '.join(known)}) has a field"
                f" {name!r}{suggestion(name, fields_of_all)}."
            )
        if without:
            lacking = ", ".join(f"{label!r} ({methods[label]})" for label in without)
            raise UserError(
                f"{each.origin}: the methods of the rows {lacking} have no field {name!r}; choose rows whose methods"
                f" have it: --rows {shlex.join(having)}."
            )


def _method(table: Table, row: Row) -> str:
    """The short name of a row's method."""
    method = {"method": "supervised", **table.changes, **row.changes}["method"]
    return str(getattr(method, "name", method))
