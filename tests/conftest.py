"""What tests share: one thread, places that hold nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest
import torch

from assay.places import Places
from assay.store.local import LocalStore

# The same examples every time, however slow the machine is just then.
hypothesis.settings.register_profile("assay", deadline=None, derandomize=True)
hypothesis.settings.load_profile("assay")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script, the tests' own processes would inherit deafness to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(data=tmp_path / "data", splits=tmp_path / "splits", weights=tmp_path / "weights")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")
