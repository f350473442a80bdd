"""`--force-row`: forget what rows' own experiments left, so that they are trained again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence

from assay.errors import UserError
from assay.execution.plan import Plan
from assay.store import checkpoints, records
from assay.store.claims import ClaimedElsewhere, acquire
from assay.store.store import Store
from assay.study.cells import Cell
from assay.values import suggestion

_CLAIM = re.compile(r"claim-\d+\.json")


def check_rows(rows: Sequence[str], chosen: Iterable[str]) -> None:
    """Refuse a row that is not among the chosen ones."""
    labels = dict.fromkeys(chosen)
    for row in rows:
        if row not in labels:
            raise UserError(f"--force-row: no chosen row is called {row!r}{suggestion(row, labels)}.")


def keys_of_rows(rows: Sequence[str], cells: Sequence[Cell], plan: Plan) -> list[str]:
    """The rows' own experiments; what they share as input stays."""
    found = (key for cell, key in zip(cells, plan.keys, strict=True) if cell.row in rows and key is not None)
    return list(dict.fromkeys(found))


def forget(keys: Iterable[str], store: Store) -> None:
    """Delete what lies under the keys, all of them or, where a living process holds one, none."""
    with contextlib.ExitStack() as claims:
        there = [key for key in keys if store.names(key)]
        for key in there:
            try:
                claims.enter_context(acquire(store, key))
            except ClaimedElsewhere as problem:
                raise UserError(f"--force-row deletes nothing: {problem}") from None
        for key in there:
            _delete(store, key)


def _delete(store: Store, key: str) -> None:
    """Delete in an order in which an end at any moment leaves a key that a run continues rightly.

    Without its result a key is not done. Checkpoints go before the log that they continue. Claims stay: others judge
    by them who holds the key.
    """
    store.delete(key, records.RESULT)
    checkpoints.remove(store, key)
    for name in store.names(key):
        if not _CLAIM.fullmatch(name):
            store.delete(key, name)
