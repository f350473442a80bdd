from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from assay.errors import AssayError, LostClaim
from assay.store import claims
from assay.store.claims import ClaimedElsewhere, Observer, acquire, newest
from assay.store.local import LocalStore
from assay.store.owners import Owner

FIRST, SECOND = "claim-000001.json", "claim-000002.json"
FOREIGN = dataclasses.replace(Owner.this_process("theirs"), host="far-away", pid=4711)

OWNER = """
import sys
from pathlib import Path
from assay.errors import LostClaim
from assay.store.claims import acquire
from assay.store.local import LocalStore
claim = acquire(LocalStore(Path(sys.argv[1])), "key", beat_every=float(sys.argv[2]))
print(claim.generation, flush=True)
for line in sys.stdin:
    try:
        claim.check()
        print("held", flush=True)
    except LostClaim as problem:
        print(problem, flush=True)
"""


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


@contextlib.contextmanager
def owner(store, *, beat_every=0.05):
    """Yield a process that holds the claim on "key" and checks it for every line on its stdin."""
    program = f"import sys; sys.path[:0] = {sys.path!r}\n{OWNER}"
    command = [sys.executable, "-c", program, str(store.root), str(beat_every)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        process.generation = int(process.stdout.readline())
        yield process
    finally:
        process.kill()
        process.communicate()


def check(process):
    process.stdin.write("check\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def write_claim(store, *, generation=1, beat=0, released=False, by=FOREIGN):
    record = claims.ClaimRecord(generation, beat, released, by)
    store.write("key", f"claim-{generation:06d}.json", json.dumps(dataclasses.asdict(record)).encode())


def claim_files(store):
    return [name for name in store.names("key") if name.startswith("claim-")]


# --- alone ------------------------------------------------------------------------------------------------


def test_the_first_claim_is_generation_1_and_names_its_owner(store):
    with acquire(store, "key") as claim:
        claim.check()
        document = json.loads(store.read("key", FIRST))
        assert claim.generation == document["generation"] == 1
        assert document["owner"]["pid"] == os.getpid()
        assert document["released"] is False


def test_a_claim_held_in_this_process_is_held_for_this_process_too(store):
    with acquire(store, "key"), pytest.raises(ClaimedElsewhere):
        acquire(store, "key")


def test_claims_on_other_keys_do_not_meet(store):
    with acquire(store, "key"), acquire(store, "other") as claim:
        claim.check()
        assert claim.generation == 1


def test_a_released_claim_is_followed_at_once_by_the_next_generation(store):
    for generation in (1, 2, 3):
        with acquire(store, "key") as claim:
            assert claim.generation == generation
            assert claim_files(store) == [f"claim-{generation:06d}.json"]
    assert newest(store, "key").released


def test_an_exception_releases_the_claim(store):
    with pytest.raises(ZeroDivisionError), acquire(store, "key"):
        _ = 1 / 0
    acquire(store, "key").release()


def test_nothing_beats_after_the_release(store):
    claim = acquire(store, "key", beat_every=0.005)
    time.sleep(0.03)
    claim.release()
    before = store.read("key", FIRST)
    time.sleep(0.05)
    assert store.read("key", FIRST) == before
    assert json.loads(before)["released"] is True


def test_a_claim_beats_while_its_owner_works(store):
    with acquire(store, "key", beat_every=0.01):
        beats = set()
        deadline = time.monotonic() + 5
        while len(beats) < 3 and time.monotonic() < deadline:
            beats.add(newest(store, "key").beat)
    assert len(beats) >= 3


def test_a_released_claim_does_not_check(store):
    claim = acquire(store, "key")
    claim.release()
    with pytest.raises(LostClaim, match="no longer holds claim 1"):
        claim.check()


def test_releasing_twice_changes_nothing_for_the_successor(store):
    first = acquire(store, "key")
    first.release()
    with acquire(store, "key") as second:
        first.release()
        second.check()
        assert second.generation == 2


def test_a_signal_that_releases_in_the_middle_of_checks_does_not_block(store):
    claim = acquire(store, "key")
    before = signal.signal(signal.SIGALRM, lambda *_: claim.release())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(LostClaim):
            while True:
                claim.check()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_the_end_of_a_forked_child_does_not_release(store):
    with acquire(store, "key") as claim:
        child = multiprocessing.get_context("fork").Process(target=claim.release)
        child.start()
        child.join()
        assert child.exitcode == 0
        assert newest(store, "key").released is False
        claim.check()


# --- lost -------------------------------------------------------------------------------------------------


def test_a_higher_generation_is_found_by_the_next_check_and_named(store):
    with acquire(store, "key") as claim:
        write_claim(store, generation=2)
        with pytest.raises(LostClaim, match=r"no longer holds claim 1 .* process 4711 on far-away .*claim 2\."):
            claim.check()
        with pytest.raises(LostClaim):
            claim.check()
    assert newest(store, "key").released is False


def test_a_claim_file_that_vanished_is_a_lost_claim_and_does_not_come_back(store):
    with acquire(store, "key", beat_every=0.01) as claim:
        with claim._lock:
            store.delete("key", FIRST)
        time.sleep(0.05)
        with pytest.raises(LostClaim):
            claim.check()
    assert claim_files(store) == []


def test_a_claim_file_of_another_owner_under_the_same_number_is_left_alone(store):
    with acquire(store, "key") as claim:
        write_claim(store)
        with pytest.raises(LostClaim, match="far-away"):
            claim.check()
    assert newest(store, "key").owner == FOREIGN


# --- observed ---------------------------------------------------------------------------------------------


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_claim_is_stale_once_it_stood_still_for_long_enough(store, clock):
    write_claim(store)
    observer = Observer(clock)
    frees = []
    for _ in range(7):
        frees.append(observer.observe(store, "key", stale_after=60)[1])
        clock.now += 12
    assert frees == [False] * 5 + [True] * 2


def test_every_beat_begins_the_count_anew(store, clock):
    observer = Observer(clock)
    for beat in range(10):
        write_claim(store, beat=beat)
        for _ in range(4):
            assert observer.observe(store, "key", stale_after=60)[1] is False
            clock.now += 14


def test_a_pause_that_may_have_held_up_the_owner_too_makes_no_claim_stale(store, clock):
    write_claim(store)
    observer = Observer(clock)
    frees = []
    for _ in range(5):
        frees.append(observer.observe(store, "key", stale_after=60)[1])
        clock.now += 10_000
    assert frees == [False] * 4 + [True]


def test_one_observer_watches_keys_apart(store, clock):
    observer = Observer(clock)
    for key in ("key", "other"):
        store.write(key, FIRST, b"")
    for _ in range(5):
        observer.observe(store, "key", stale_after=4)
        clock.now += 1
    assert observer.observe(store, "key", stale_after=4)[1] is True
    assert observer.observe(store, "other", stale_after=4)[1] is False


def test_a_key_without_a_claim_or_with_a_released_one_is_free(store):
    assert Observer().observe(store, "key") == (None, True)
    write_claim(store, released=True)
    assert Observer().observe(store, "key")[1] is True


def test_a_claim_from_elsewhere_raises_at_once_and_names_its_owner(store):
    write_claim(store, generation=7)
    began = time.monotonic()
    with pytest.raises(ClaimedElsewhere) as caught:
        acquire(store, "key")
    assert time.monotonic() - began < 0.5
    assert isinstance(caught.value, AssayError)
    for words in ("process 4711", "far-away", "claim 7", str(store.root / "key"), "60 seconds"):
        assert words in str(caught.value)


def test_patience_takes_over_a_claim_that_does_not_move(store):
    write_claim(store)
    began = time.monotonic()
    with acquire(store, "key", stale_after=0.3, patience=0.3) as claim:
        assert time.monotonic() - began >= 0.3
        assert claim.generation == 2
        assert claim_files(store) == [SECOND]


def test_patience_ends_before_a_claim_that_moves(store):
    with owner(store, beat_every=0.02), pytest.raises(ClaimedElsewhere):
        acquire(store, "key", stale_after=1.0, patience=1.5)


def test_an_observer_that_has_watched_a_claim_takes_over_without_waiting(store, clock):
    write_claim(store)
    observer = Observer(clock)
    for _ in range(5):
        observer.observe(store, "key", stale_after=60)
        clock.now += 15
    with acquire(store, "key", stale_after=60, observer=observer) as claim:
        assert claim.generation == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"beat": 1, "released": false, "owner": 3}'])
def test_half_a_claim_file_is_a_claim_that_goes_stale(store, content):
    store.write("key", FIRST, content)
    with pytest.raises(ClaimedElsewhere, match="a process that left no name"):
        acquire(store, "key")
    with acquire(store, "key", stale_after=0.1, patience=0.2) as claim:
        assert claim.generation == 2


# --- processes and signals --------------------------------------------------------------------------------


def test_a_living_owner_keeps_its_claim(store):
    with owner(store) as process:
        with pytest.raises(ClaimedElsewhere, match=f"process {process.pid} on "):
            acquire(store, "key")
        assert check(process) == "held"


def test_a_killed_owner_is_followed_at_once_even_before_its_parent_waited_for_it(store):
    with owner(store) as process:
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        began = time.monotonic()
        with acquire(store, "key") as claim:
            assert claim.generation == 2
        assert time.monotonic() - began < 1


def test_a_paused_owner_that_lost_its_claim_notices_it_when_it_continues(store):
    with owner(store) as process:
        process.send_signal(signal.SIGSTOP)
        with acquire(store, "key", stale_after=0.5, patience=5) as claim:
            assert claim.generation == 2
            process.send_signal(signal.SIGCONT)
            answer = check(process)
            assert answer.startswith("This process no longer holds claim 1")
            assert f"process {os.getpid()} on " in answer
            claim.check()
    assert newest(store, "key").generation == 2


def test_a_paused_owner_that_kept_its_claim_continues(store):
    with owner(store) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ClaimedElsewhere):
            acquire(store, "key", stale_after=60, patience=0.2)
        process.send_signal(signal.SIGCONT)
        assert check(process) == "held"


def test_an_owner_that_is_continued_and_killed_again_and_again_is_followed_every_time(store):
    for generation in (1, 2, 3):
        with owner(store) as process:
            assert process.generation == generation
    assert acquire(store, "key").generation == 4


# --- races ------------------------------------------------------------------------------------------------


def together(count, function):
    """Return the results, or errors, of `function(number)` in `count` threads at once."""
    barrier = threading.Barrier(count)
    outcomes = [None] * count

    def call(number):
        barrier.wait()
        try:
            outcomes[number] = function(number)
        except AssayError as problem:
            outcomes[number] = problem

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("before", ["nothing", "released", "stale"])
def test_of_several_that_take_a_free_key_one_gets_it(store, clock, before):
    for round_number in range(5):
        key = f"key{round_number}"
        record = claims.ClaimRecord(5, 0, before == "released", FOREIGN)
        if before != "nothing":
            store.write(key, "claim-000005.json", json.dumps(dataclasses.asdict(record)).encode())
        observers = [Observer(clock) for _ in range(4)]
        for _ in range(5):
            for observer in observers:
                observer.observe(store, key)
            clock.now += 15
        outcomes = together(4, lambda number: acquire(store, key, observer=observers[number]))  # noqa: B023
        held = [outcome for outcome in outcomes if isinstance(outcome, claims.Claim)]
        assert len(held) == 1
        assert sum(isinstance(outcome, ClaimedElsewhere) for outcome in outcomes) == 3
        assert held[0].generation == (1 if before == "nothing" else 6)
        held[0].check()
        held[0].release()


def test_a_late_comer_that_creates_a_removed_generation_again_gives_way(store):
    write_claim(store, generation=7)
    assert claims._create(store, "key", 3, beat_every=5.0) is None
    assert claim_files(store) == ["claim-000007.json"]


CRITICAL = """
import os, sys, time
from pathlib import Path
from assay.store.claims import ClaimedElsewhere, acquire
from assay.store.local import LocalStore
root = Path(sys.argv[1])
store = LocalStore(root / "store")
turns = 0
while turns < 12:
    try:
        with acquire(store, "key") as claim:
            os.close(os.open(root / "inside", os.O_CREAT | os.O_EXCL))
            claim.check()
            os.unlink(root / "inside")
            turns += 1
    except ClaimedElsewhere:
        time.sleep(0.001)
"""


def test_processes_that_take_turns_are_never_inside_together(tmp_path):
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{CRITICAL}", str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate()[1] for process in processes]
    assert errors == [""] * 3
    assert newest(LocalStore(tmp_path / "store"), "key").generation == 36
    assert len(claim_files(LocalStore(tmp_path / "store"))) == 1
