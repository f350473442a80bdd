from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from assay.store.owners import Owner

SLEEPS = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def sleeper():
    process = subprocess.Popen(SLEEPS, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def owner_of(process):
    """Return the owner that `process` would write down."""
    program = f"from assay.store.owners import _process_state; print(_process_state({process.pid})[1])"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"]
    started = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return dataclasses.replace(Owner.this_process("t"), pid=process.pid, started=started)


def test_this_process_is_alive_and_names_itself():
    owner = Owner.this_process("t")
    assert not owner.is_dead()
    assert owner.describe().startswith(f"process {os.getpid()} on {owner.host}")


def test_an_owner_is_read_back_from_json_even_from_a_later_version():
    owner = Owner.this_process("t")
    assert Owner.from_json({**dataclasses.asdict(owner), "added_later": 1}) == owner


def test_a_running_process_is_alive_and_a_stopped_one_too(sleeper):
    owner = owner_of(sleeper)
    assert not owner.is_dead()
    sleeper.send_signal(signal.SIGSTOP)
    assert not owner.is_dead()


def test_a_killed_process_is_dead_before_and_after_its_parent_waited_for_it(sleeper):
    owner = owner_of(sleeper)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_dead()
    sleeper.wait()
    assert owner.is_dead()


def test_another_process_under_the_same_number_is_not_the_owner(sleeper):
    owner = owner_of(sleeper)
    assert dataclasses.replace(owner, started=owner.started - 1).is_dead()


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"system": "another"}, {"host": ""}])
def test_an_owner_that_cannot_be_checked_from_here_is_never_called_dead(sleeper, elsewhere):
    owner = owner_of(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert owner.is_dead()
    assert not dataclasses.replace(owner, **elsewhere).is_dead()


def test_a_program_with_brackets_in_its_name_is_read_correctly(tmp_path):
    program = tmp_path / "odd) R 1 (name"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    try:
        owner = owner_of(process)
        assert owner.started >= Owner.this_process("t").started
        assert not owner.is_dead()
    finally:
        process.kill()
        process.wait()
