"""`--force-row`: forget what rows' own experiments left in the store, so that they are trained again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence

from assay.errors import UserError
from assay.execution.plan import Plan
from assay.store import checkpoints, records
from assay.store.claims import ClaimedElsewhere, acquire
from assay.store.store import Store
from assay.values import suggestion

_CLAIM = re.compile(r"claim-\d+\.json")


def check_rows(rows: Sequence[str], chosen: Iterable[str]) -> None:
    """Raise a UserError for a row that is not among the chosen ones."""
    labels = dict.fromkeys(chosen)
    for row in rows:
        if row not in labels:
            raise UserError(f"--force-row: no chosen row has the label {row!r}{suggestion(row, labels)}.")


def keys_of_rows(rows: Sequence[str], plan: Plan) -> list[str]:
    """Return the keys of the rows' own experiments; inputs that rows share are left out."""
    keys = (planned.key for planned in plan.cells if planned.cell.row in rows and planned.key is not None)
    return list(dict.fromkeys(keys))


def forget(keys: Iterable[str], store: Store) -> None:
    """Delete everything stored under the keys; delete nothing where a living process holds one of them."""
    with contextlib.ExitStack() as claims:
        stored = [key for key in keys if store.names(key)]
        for key in stored:
            try:
                claims.enter_context(acquire(store, key))
            except ClaimedElsewhere as problem:
                raise UserError(f"--force-row deletes nothing: {problem}") from None
        for key in stored:
            _delete(store, key)


def _delete(store: Store, key: str) -> None:
    """Delete in such an order that a run continues a key correctly, whenever the deletion is interrupted.

    Without its result a key is not done. Checkpoints go before the log that they continue. Claims stay: other
    processes read from them who holds the key.
    """
    store.delete(key, records.RESULT)
    checkpoints.remove(store, key)
    for name in store.names(key):
        if not _CLAIM.fullmatch(name):
            store.delete(key, name)
