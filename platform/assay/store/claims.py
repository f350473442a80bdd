"""Claims on keys, so that two processes do not train one key.

    claim-000001.json, claim-000002.json, ...        one file per owner; the highest number is the claim

An owner rewrites its own file with a growing counter: the claim beats. To take over generation g is to create the
file of g + 1. No two processes hold the newest generation:

1. Of several processes that create one name, one succeeds (`Store.create`), and it alone ever writes that file.
2. The newest file is never removed: an owner removes only lower numbers than its own. So the highest number never
   goes down.
3. A process that meant to follow g - 1 may wake up long after g came and was removed, and create g again. So a
   process that has created a file lists the files once more: the owner that removed g left a higher number behind,
   and the process gives way to it.

Only time tells a paused owner from a dead one, so other processes may give up an owner that still lives. It finds out
by `Claim.check`, which it calls before each checkpoint and each result. Its writes in the moment after a check are
harmless: a checkpoint under its own step, a log that is no longer read (see `Store.open_log`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from assay.errors import AssayError, LostClaim
from assay.store.documents import parse, pretty
from assay.store.owners import Owner
from assay.store.store import Store, StoreError

STALE_AFTER = 60.0  # seconds without a beat after which a claim of another machine may be taken over
_AFTER_A_LOST_RACE = 0.05  # seconds in which the winner's file appears to all processes
_NAME = re.compile(r"claim-(\d{6,})\.json")


class ClaimedElsewhere(AssayError):
    """Another process trains this key."""


@dataclasses.dataclass(frozen=True)
class ClaimRecord:
    """The content of a claim's file."""

    generation: int
    beat: int
    released: bool
    owner: Owner

    def describe(self) -> str:
        """Return owner and number, for messages."""
        return f"{self.owner.describe()}, claim {self.generation}"


class Observer:
    """A memory of how long each claim has not beaten, by the clock of this process.

    The clocks of other machines and of the file server play no part. One observer serves one store.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._observed: dict[str, tuple[ClaimRecord, float, float]] = {}  # by key: claim, last observation, still for

    def observe(self, store: Store, key: str, *, stale_after: float = STALE_AFTER) -> tuple[ClaimRecord | None, bool]:
        """Return the newest claim on a key, and whether the key is free to be taken."""
        record = newest(store, key)
        if record is None or record.released or record.owner.is_dead():
            return record, True
        return record, self._seconds_still(key, record, most=stale_after / 4) >= stale_after

    def _seconds_still(self, key: str, record: ClaimRecord, *, most: float) -> float:
        """Return the seconds for which the claim has not beaten under this observation.

        The time between two observations counts for `most` at most. Where observer and owner were held up together
        (a suspended machine, a file server that did not answer), the owner thus gets time to beat again.
        """
        now = self._clock()
        before, last, still = self._observed.get(key, (None, now, 0.0))
        still = still + min(now - last, most) if before == record else 0.0
        self._observed[key] = (record, now, still)
        return still


class Claim:
    """A claim of this process on a key. It beats in its own thread until it is released."""

    def __init__(self, store: Store, key: str, record: ClaimRecord, *, beat_every: float) -> None:
        self.key = key
        self._store = store
        self._record = record
        self._process = os.getpid()
        # Re-entrant, since a signal's handler may release in the middle of a check.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, args=(beat_every,), name="claim", daemon=True)
        self._thread.start()

    @property
    def generation(self) -> int:
        """The number of this claim on the key, counted from 1."""
        return self._record.generation

    def check(self) -> None:
        """Raise LostClaim unless this is still the newest claim on the key."""
        # The beat is more than a sign of life: a client of a network file system may list a folder from a cache that
        # is up to a minute old, and asks the server again after its own write there.
        # The lock keeps the beating thread from renaming files during the listing, which might then lack them.
        with self._lock:
            is_own = self._beat()
            current = newest(self._store, self.key)
        if is_own and current is not None and current.generation <= self.generation:
            return
        self._over.set()
        successor = current if current is not None and current.owner != self._record.owner else None
        held = f"; the key is now held by {successor.describe()}" if successor else ""
        raise LostClaim(f"This process no longer holds claim {self.generation} on {self._store.place(self.key)}{held}.")

    def release(self) -> None:
        """Free the key for other processes. Do nothing for a claim that is over, or in a forked child."""
        if os.getpid() != self._process:
            return
        with self._lock:
            # A claim that cannot be marked as released goes stale by itself.
            with contextlib.suppress(StoreError):
                self._beat(last=True)
            self._over.set()
        # No thread stays behind, unless it waits for a file server; it writes nothing any more.
        self._thread.join(timeout=1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _keep_beating(self, every: float) -> None:
        while not self._over.wait(every):
            # A store that fails for a moment costs a beat. One that fails for long costs the claim, and the next
            # check finds that out.
            with contextlib.suppress(StoreError):
                self._beat()

    def _beat(self, *, last: bool = False) -> bool:
        """Rewrite the claim's file with the next count; return False if the claim is over or the file another's."""
        with self._lock:
            if self._over.is_set():
                return False
            written = _read(self._store, self.key, self.generation)
            if written is None or written.owner != self._record.owner:
                # A successor removed the file. If that happens between this reading and the writing below, the file
                # comes back, and does no harm: its number is not the highest.
                self._over.set()
                return False
            self._record = dataclasses.replace(self._record, beat=self._record.beat + 1, released=last)
            self._store.write(self.key, _name(self.generation), _to_bytes(self._record))
            return True


def acquire(
    store: Store,
    key: str,
    *,
    stale_after: float = STALE_AFTER,
    patience: float = 0.0,
    beat_every: float = 5.0,
    observer: Observer | None = None,
    print_line: Callable[[str], None] = lambda text: None,
) -> Claim:
    """Return the claim on a key; raise ClaimedElsewhere where an owner shows that it lives, or `patience` is over.

    A dead process of this machine is followed at once. Any other owner must have been observed without a beat for
    `stale_after` seconds, which takes as much patience, or an observer that has watched the claim already.
    """
    observer = observer or Observer()
    began: float | None = None
    first: ClaimRecord | None = None
    while True:
        now = time.monotonic()
        record, is_free = observer.observe(store, key, stale_after=stale_after)
        if is_free:
            claim = _create(store, key, (record.generation if record else 0) + 1, beat_every)
            if claim is not None:
                return claim
            time.sleep(_AFTER_A_LOST_RACE)
            continue
        assert record is not None
        if began is None:
            began, first = now, record
            if patience:
                print_line(
                    f"this key is held by {record.describe()}; waiting up to {patience:.0f} s for a sign of life"
                )
        waited = now - began
        if waited >= patience or record != first:
            raise ClaimedElsewhere(_held_message(store, key, record, stale_after))
        time.sleep(min(1.0, stale_after / 10, patience - waited))


def newest(store: Store, key: str) -> ClaimRecord | None:
    """Return the claim on a key, whether its owner lives or not; None where there never was one."""
    for generation in reversed(_generations(store, key)):
        record = _read(store, key, generation)
        if record is not None:
            return record
    return None


def _create(store: Store, key: str, generation: int, beat_every: float) -> Claim | None:
    """Take a generation; return None if another process was faster."""
    record = ClaimRecord(generation=generation, beat=0, released=False, owner=Owner.this_process(secrets.token_hex(8)))
    if not store.create(key, _name(generation), _to_bytes(record)):
        return None
    generations = _generations(store, key)
    if generations[-1:] > [generation]:
        store.delete(key, _name(generation))  # point 3 above
        return None
    for lower in (number for number in generations if number < generation):
        # The file may be another user's; then it stays, and only takes up room.
        with contextlib.suppress(StoreError):
            store.delete(key, _name(lower))
    return Claim(store, key, record, beat_every=beat_every)


def _held_message(store: Store, key: str, record: ClaimRecord, stale_after: float) -> str:
    return (
        f"{store.place(key)} is held by {record.describe()}: wait for that process or stop it; if it is gone, "
        f"its claim is free after {stale_after:g} seconds without a sign of life."
    )


def _generations(store: Store, key: str) -> list[int]:
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, store.names(key)) if match)


def _read(store: Store, key: str, generation: int) -> ClaimRecord | None:
    data = store.read(key, _name(generation))
    if data is None:
        return None
    try:
        document = parse(data, store.place(key))
        beat, released = int(document["beat"]), bool(document["released"])
        return ClaimRecord(generation, beat, released, Owner.from_json(document["owner"]))
    except (StoreError, KeyError, TypeError, ValueError):
        # The file is not whole: its owner is writing it, or died over it. It goes stale like any other.
        return ClaimRecord(generation, 0, False, Owner.unknown())


def _to_bytes(record: ClaimRecord) -> bytes:
    return pretty(dataclasses.asdict(record))


def _name(generation: int) -> str:
    return f"claim-{generation:06d}.json"
