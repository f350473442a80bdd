"""Claims, so that two processes do not train one key.

    claim-000001.json, claim-000002.json, ...        one file per owner, the highest number is the claim

An owner rewrites its own file with a growing counter: it beats. To take over generation g is to create the
file of g + 1. No two processes hold the newest generation:

1. Of several that create one name, one succeeds (`Store.create`), and it alone ever writes that file.
2. The newest file is never removed. Only numbers below one that exists are; so the highest number never goes
   down.
3. A process that meant to follow g - 1 may wake up long after g came and was removed, and create g again. So
   whoever created a file looks once more: what was removed had left a higher number behind, to which it gives
   way.

Only time tells an owner that stands still from one that is dead, so an owner can be given up while it lives.
It finds out by `Claim.check`, before each checkpoint and each result. What it writes in the moment after a
check is harmless: a checkpoint under its own step, a log that nobody reads any more (see `Store.open_log`).
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

STALE_AFTER = 60.0  # seconds without a beat after which an owner that cannot be asked is given up
_AFTER_A_LOST_RACE = 0.05  # seconds, in which the winner's file appears to everybody
_NAME = re.compile(r"claim-(\d{6,})\.json")


class ClaimedElsewhere(AssayError):
    """Another process trains this key."""


@dataclasses.dataclass(frozen=True)
class ClaimRecord:
    """What a claim's file says."""

    generation: int
    beat: int
    released: bool
    owner: Owner

    def describe(self) -> str:
        return f"{self.owner.describe()}, claim {self.generation}"


class Observer:
    """Remembers how long each claim has stood still, on the clock of this process.

    The clocks of other machines and of the file server play no part. One observer serves one store.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[ClaimRecord, float, float]] = {}  # per key: the claim, last look, seconds still

    def observe(self, store: Store, key: str, *, stale_after: float = STALE_AFTER) -> tuple[ClaimRecord | None, bool]:
        """The newest claim on a key, and whether the key is free to be taken."""
        sign = newest(store, key)
        if sign is None or sign.released or sign.owner.is_dead():
            return sign, True
        return sign, self._still(key, sign, at_once=stale_after / 4) >= stale_after

    def _still(self, key: str, sign: ClaimRecord, *, at_once: float) -> float:
        """For how many seconds the claim has not moved while this process was looking.

        The time between two looks counts for `at_once` at the most: where observer and owner were held up
        together (a suspended machine, a file server that did not answer), the owner gets time to beat again.
        """
        now = self._clock()
        before, last, still = self._seen.get(key, (None, now, 0.0))
        still = still + min(now - last, at_once) if before == sign else 0.0
        self._seen[key] = (sign, now, still)
        return still


class Claim:
    """This process's claim on a key. It beats in a thread of its own until it is released."""

    def __init__(self, store: Store, key: str, sign: ClaimRecord, *, beat_every: float) -> None:
        self.key = key
        self._store = store
        self._sign = sign
        self._process = os.getpid()
        # Re-entrant, since a signal's handler may release in the middle of a check.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, args=(beat_every,), name="claim", daemon=True)
        self._thread.start()

    @property
    def generation(self) -> int:
        """Which claim on this key it is, counted from 1."""
        return self._sign.generation

    def check(self) -> None:
        """Raise LostClaim unless this is still the newest claim on the key."""
        # Beating first is not only news for others: a client of a network file system may list a folder from
        # a memory of up to a minute, and asks the server again after it wrote there itself.
        # The lock keeps the beating thread from renaming files under the listing, which may then lack them.
        with self._lock:
            mine = self._beat()
            current = newest(self._store, self.key)
        if mine and current is not None and current.generation <= self.generation:
            return
        self._over.set()
        by = f"; it is now with {current.describe()}" if current and current.owner != self._sign.owner else ""
        raise LostClaim(f"This process no longer holds claim {self.generation} on {self._store.place(self.key)}{by}.")

    def release(self) -> None:
        """Let others take the key. Nothing happens for a claim that is over, or in a forked child."""
        if os.getpid() != self._process:
            return
        with self._lock:
            # A claim that cannot be marked as released goes stale by itself.
            with contextlib.suppress(StoreError):
                self._beat(last=True)
            self._over.set()
        # Nobody's thread stays behind; one that waits for a file server may, for it writes nothing any more.
        self._thread.join(timeout=1.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat_on(self, every: float) -> None:
        while not self._over.wait(every):
            # A store that fails for a moment costs a beat; one that fails for long costs the claim, which the
            # next check finds out.
            with contextlib.suppress(StoreError):
                self._beat()

    def _beat(self, *, last: bool = False) -> bool:
        """Rewrite the claim's file with the next count; False if the claim is over, or the file another's."""
        with self._lock:
            if self._over.is_set():
                return False
            written = _read(self._store, self.key, self.generation)
            if written is None or written.owner != self._sign.owner:
                # A successor removed it. Should that happen between this look and the writing below, the file
                # comes back, and does no harm: its number is not the highest.
                self._over.set()
                return False
            self._sign = dataclasses.replace(self._sign, beat=self._sign.beat + 1, released=last)
            self._store.write(self.key, _name(self.generation), _to_bytes(self._sign))
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
    """The claim on a key, or ClaimedElsewhere: at once where the owner is seen to live, else after `patience` seconds.

    A dead process of this machine is followed at once. Any other owner must have been seen to stand still for
    `stale_after` seconds, which takes as much patience, or an observer that has looked before.
    """
    observer = observer or Observer()
    began: float | None = None
    first: ClaimRecord | None = None
    while True:
        now = time.monotonic()
        sign, free = observer.observe(store, key, stale_after=stale_after)
        if free:
            claim = _create(store, key, (sign.generation if sign else 0) + 1, beat_every)
            if claim is not None:
                return claim
            time.sleep(_AFTER_A_LOST_RACE)
            continue
        assert sign is not None
        if began is None:
            began, first = now, sign
            if patience:
                print_line(
                    f"waiting up to {patience:.0f} s to see whether {sign.describe()} lives, which holds this key"
                )
        waited = now - began
        if waited >= patience or sign != first:
            raise ClaimedElsewhere(_held(store, key, sign, stale_after))
        time.sleep(min(1.0, stale_after / 10, patience - waited))


def newest(store: Store, key: str) -> ClaimRecord | None:
    """The claim on a key, living or not, or None where there never was one."""
    for generation in reversed(_generations(store, key)):
        sign = _read(store, key, generation)
        if sign is not None:
            return sign
    return None


def _create(store: Store, key: str, generation: int, beat_every: float) -> Claim | None:
    """Take a generation; None if another process was faster."""
    sign = ClaimRecord(generation=generation, beat=0, released=False, owner=Owner.this_process(secrets.token_hex(8)))
    if not store.create(key, _name(generation), _to_bytes(sign)):
        return None
    generations = _generations(store, key)
    if generations[-1:] > [generation]:
        store.delete(key, _name(generation))  # point 3 above
        return None
    for lower in (each for each in generations if each < generation):
        # Files of another user, perhaps; they only take up room.
        with contextlib.suppress(StoreError):
            store.delete(key, _name(lower))
    return Claim(store, key, sign, beat_every=beat_every)


def _held(store: Store, key: str, sign: ClaimRecord, stale_after: float) -> str:
    return (
        f"{store.place(key)} is held by {sign.describe()}: wait for that process or stop it; if it is gone, "
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
        # Not whole: its owner is just writing it, or died over it. It stands still or not, like any other.
        return ClaimRecord(generation, 0, False, Owner.unknown())


def _to_bytes(sign: ClaimRecord) -> bytes:
    return pretty(dataclasses.asdict(sign))


def _name(generation: int) -> str:
    return f"claim-{generation:06d}.json"
