"""What is kept of a training that failed, on one rank or on all."""

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

_WAIT_FOR_OTHER_RANKS = 5.0  # seconds in which the rank that failed first writes down why


def record_failure(
    problem: Exception, store: Store, key: str, claim: Claim | None, *, record_user_errors: bool
) -> None:
    """Keep the error with the experiment, if it is the experiment's; a full disk or a lost claim is not.

    An error on purpose would come again, so the experiment is failed. A user's mistake (a broken image) is the user's
    to mend, and so may be any other error (a method being written): they end the experiment only where
    `keeps_mistakes`.
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
            # What rank 0 sees is a connection that broke; the rank that broke it knows more.
            failure = _error_of_another_rank(store, key) or failure
        records.add_failure(store, key, failure, final=failure["final"])


def is_transient(problem: Exception) -> bool:
    """Whether another try can help: a device, a connection or a disk failed, and not what was to be computed."""
    if isinstance(problem, AssayError):
        return False
    # What a broken connection between ranks raises is a plain RuntimeError.
    between_ranks = world_size() > 1 and isinstance(problem, RuntimeError)
    return between_ranks or isinstance(problem, (torch.AcceleratorError, torch.distributed.DistError, OSError))


def _error_of_another_rank(store: Store, key: str) -> dict[str, Any] | None:
    end = time.monotonic() + _WAIT_FOR_OTHER_RANKS
    while time.monotonic() < end:
        told = records.errors_of_ranks(store, key)
        if told:
            return told[-1]
        time.sleep(0.1)
    return None


def discard_if_user_error(problem: Exception | None, store: Store, key: str) -> None:
    """After a user's mistake or a store that cannot be written, leave the store as a first session found it.

    What has a checkpoint stays: the mistake may be an image that is read for the first time after hours.
    """
    if isinstance(problem, (UserError, StoreError)) and not isinstance(problem, DamagedDocument):
        with contextlib.suppress(StoreError):
            names = store.names(key)
            for name in () if checkpoints.steps(names) else names:
                store.delete(key, name)


def explain_out_of_memory(error: Exception, resolved: Resolved) -> Exception:
    """Out of memory in words; every other error as it is."""
    text = str(error)
    if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and "can't allocate memory" not in text:
        return error
    recipe = resolved.experiment.recipe
    return OutOfMemory(
        "the device's memory does not suffice; lower recipe.labeled_batch"
        f" ({recipe.labeled_batch}), recipe.unlabeled_batch ({recipe.unlabeled_batch}) or recipe.augment.crop"
        f" {recipe.augment.crop}, raise recipe.accumulate ({recipe.accumulate}), or use more ranks; if it came while"
        f" evaluating, --runtime evaluation_batch=1 or recipe.evaluation.mode=sliding."
        f" torch says: {text.splitlines()[0] if text else 'nothing'}"
    )


def _failure(error: Exception) -> dict[str, Any]:
    return {
        "error": f"{type(error).__name__}: {error}",
        "rank": rank(),
        "traceback": "".join(traceback.format_exception(error)),
    }
