"""The record of a training that failed, on one rank or on all."""

from __future__ import annotations

import contextlib
import time
import traceback
from typing import Any

import torch

from assay.collectives import rank, world_size
from assay.errors import AssayError, LostClaim, OutOfMemory, UserError
from assay.resolve import Resolved
from assay.store import checkpoints, records
from assay.store.claims import Claim
from assay.store.store import DamagedDocument, Store, StoreError

_WAIT_FOR_OTHER_RANKS = 5.0  # seconds in which the rank that failed first writes down its error


def record_failure(
    problem: Exception, store: Store, key: str, claim: Claim | None, *, record_user_errors: bool
) -> None:
    """Store the error with the experiment where it is the experiment's; a full disk or a lost claim is not.

    An error that this package raises on purpose would come again, so the experiment counts as failed until `retry`.
    A user error (a broken image) is the user's to mend, and any other error may come from a method that is still being
    written: both count as the experiment's failure only with `record_user_errors`.
    """
    if isinstance(problem, (LostClaim, StoreError)) and not isinstance(problem, DamagedDocument):
        return
    on_purpose = isinstance(problem, AssayError) and not isinstance(problem, UserError)
    final = on_purpose or (record_user_errors and not is_transient(problem))
    with contextlib.suppress(StoreError, LostClaim):
        failure = _failure(problem) | {"final": final}
        if rank() != 0:
            records.write_error_of_rank(store, key, rank(), failure)
            return
        if claim is not None:
            claim.check()
        if world_size() > 1 and not isinstance(problem, AssayError):
            # Rank 0 may only meet a broken connection; the rank that broke it knows the cause.
            failure = _error_of_another_rank(store, key) or failure
        records.add_failure(store, key, failure, final=failure["final"])


def is_transient(problem: Exception) -> bool:
    """Return whether another attempt can help: a device, a connection or a disk failed, and not the computation."""
    if isinstance(problem, AssayError):
        return False
    # A broken connection between ranks raises a plain RuntimeError.
    between_ranks = world_size() > 1 and isinstance(problem, RuntimeError)
    return between_ranks or isinstance(problem, (torch.AcceleratorError, torch.distributed.DistError, OSError))


def _error_of_another_rank(store: Store, key: str) -> dict[str, Any] | None:
    end = time.monotonic() + _WAIT_FOR_OTHER_RANKS
    while time.monotonic() < end:
        errors = records.errors_of_ranks(store, key)
        if errors:
            return errors[-1]
        time.sleep(0.1)
    return None


def discard_if_user_error(problem: Exception | None, store: Store, key: str) -> None:
    """After a user error or a store that cannot be written, delete what a first session wrote under the key.

    A key with a checkpoint stays: the error may come from an image that is first read after hours.
    """
    if isinstance(problem, (UserError, StoreError)) and not isinstance(problem, DamagedDocument):
        with contextlib.suppress(StoreError):
            names = store.names(key)
            for name in () if checkpoints.steps(names) else names:
                store.delete(key, name)


def explain_out_of_memory(error: Exception, resolved: Resolved) -> Exception:
    """Return an OutOfMemory that names the numbers to lower; return any other error as it is."""
    text = str(error)
    if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and "can't allocate memory" not in text:
        return error
    recipe = resolved.experiment.recipe
    return OutOfMemory(
        "the device's memory does not suffice; lower recipe.labeled_batch"
        f" ({recipe.labeled_batch}), recipe.unlabeled_batch ({recipe.unlabeled_batch}) or recipe.augment.crop"
        f" {recipe.augment.crop}, raise recipe.accumulate ({recipe.accumulate}), or use more ranks; if memory ran out"
        " in an evaluation, use --runtime evaluation_batch=1 or --set recipe.evaluation.mode=sliding."
        f" torch's message: {text.splitlines()[0] if text else 'none'}"
    )


def _failure(error: Exception) -> dict[str, Any]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "rank": rank(),
        "traceback": "".join(traceback.format_exception(error)),
    }
