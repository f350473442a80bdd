from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time

import pytest

from assay.store import checkpoints
from assay.store.local import LocalStore

PAYLOAD = bytes(range(256))


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path)


def path(store, step):
    return store.root / "key" / f"checkpoint-{step:09d}.pt"


def save(store, *steps):
    for step in steps:
        checkpoints.save(store, "key", PAYLOAD + bytes([step]), step=step)


def test_the_newest_is_loaded_without_a_note(store):
    save(store, 10, 20)
    assert checkpoints.load(store, "key") == checkpoints.Loaded(PAYLOAD + bytes([20]), 20, ())


def test_without_a_checkpoint_there_is_none_and_nothing_to_note(store):
    assert checkpoints.load(store, "key") == checkpoints.Loaded(None, 0, ())


def test_an_empty_payload_and_step_0_are_a_checkpoint(store):
    checkpoints.save(store, "key", b"", step=0)
    assert checkpoints.load(store, "key") == checkpoints.Loaded(b"", 0, ())


def test_the_newest_and_the_one_before_are_kept(store):
    store.write("key", "result.json", b"{}")
    save(store, 5, 50, 100, 150)
    assert store.names("key") == ["checkpoint-000000100.pt", "checkpoint-000000150.pt", "result.json"]


def test_steps_are_ordered_as_numbers(store):
    checkpoints.save(store, "key", b"first", step=999_999_999)
    checkpoints.save(store, "key", b"then", step=1_000_000_000)
    assert checkpoints.load(store, "key").payload == b"then"


def test_a_step_saved_again_replaces_itself(store):
    save(store, 10, 20)
    checkpoints.save(store, "key", b"again", step=20)
    assert checkpoints.load(store, "key") == checkpoints.Loaded(b"again", 20, ())
    assert len(store.names("key")) == 2


def test_a_process_that_fell_behind_takes_nothing_from_its_successor(store):
    save(store, 200, 250)
    save(store, 50)
    assert checkpoints.load(store, "key").step == 250
    assert path(store, 200).exists()
    save(store, 200 + 51)
    assert checkpoints.steps(store.names("key")) == [250, 251]


def test_a_truncated_checkpoint_falls_back_to_the_one_before_and_reports_it(store):
    save(store, 10, 20)
    whole = path(store, 20).read_bytes()
    for length in range(len(whole)):
        path(store, 20).write_bytes(whole[:length])
        loaded = checkpoints.load(store, "key")
        assert (loaded.payload, loaded.step) == (PAYLOAD + bytes([10]), 10), length
        assert len(loaded.notes) == 1
        assert loaded.notes[0].startswith(f"The checkpoint of step 20 in {store.root}/key is not used: it ")


def test_a_longer_checkpoint_is_not_whole_either(store):
    save(store, 10, 20)
    with path(store, 20).open("ab") as file:
        file.write(b"\0")
    assert checkpoints.load(store, "key").step == 10


def test_a_flipped_bit_anywhere_is_found(store):
    save(store, 10, 20)
    whole = path(store, 20).read_bytes()
    for index in range(len(whole)):
        damaged = bytearray(whole)
        damaged[index] ^= 1 << index % 8
        path(store, 20).write_bytes(damaged)
        loaded = checkpoints.load(store, "key")
        assert (loaded.step, len(loaded.notes)) == (10, 1), index


def test_a_checkpoint_under_the_name_of_another_step_is_not_used(store):
    save(store, 10, 20)
    path(store, 20).rename(path(store, 30))
    loaded = checkpoints.load(store, "key")
    assert loaded.step == 10
    assert "its header names step 20" in loaded.notes[0]


def test_a_format_of_a_later_version_is_named(store):
    save(store, 10)
    data = bytearray(path(store, 10).read_bytes())
    data[8] = 2
    path(store, 10).write_bytes(data)
    assert "its format is 2, this program reads 1" in checkpoints.load(store, "key").notes[0]


def test_with_both_spoilt_there_is_none_and_a_note_for_each(store):
    save(store, 10, 20)
    path(store, 10).write_bytes(b"")
    path(store, 20).write_bytes(path(store, 20).read_bytes()[:-1])
    loaded = checkpoints.load(store, "key")
    assert (loaded.payload, loaded.step) == (None, 0)
    assert ["20" in loaded.notes[0], "10" in loaded.notes[1]] == [True, True]


def test_after_both_were_spoilt_a_new_beginning_is_never_without_a_whole_one(store):
    save(store, 100, 200)
    for step in (100, 200):
        path(store, step).write_bytes(b"damaged")
    for step in range(20, 241, 20):
        save(store, step)
        assert checkpoints.load(store, "key").step == step
    assert checkpoints.steps(store.names("key")) == [220, 240]


def test_removing_takes_the_checkpoints_and_nothing_else(store):
    store.write("key", "result.json", b"{}")
    save(store, 10, 20)
    checkpoints.remove(store, "key")
    assert store.names("key") == ["result.json"]


SAVES_FOR_EVER = """
import hashlib, sys
from pathlib import Path
from assay.store import checkpoints
from assay.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
step = checkpoints.load(store, "key").step
while True:
    step += 1
    checkpoints.save(store, "key", hashlib.sha256(str(step).encode()).digest() * 4000, step=step)
    print(step, flush=True)
"""


def test_a_kill_at_any_moment_loses_no_checkpoint_that_was_saved(store):
    draw = random.Random(0)
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SAVES_FOR_EVER}"]
    reached = 0
    for _ in range(15):
        process = subprocess.Popen([*command, str(store.root)], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(draw.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        printed = process.communicate()[0].split()
        loaded = checkpoints.load(store, "key")
        assert loaded.notes == ()
        assert loaded.step > reached
        assert loaded.step >= int(printed[-1] if printed else 0)
        assert loaded.payload == hashlib.sha256(str(loaded.step).encode()).digest() * 4000
        assert 1 <= len(checkpoints.steps(store.names("key"))) <= 3
        reached = loaded.step
