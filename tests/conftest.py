"""Settings and fixtures of all tests: one thread, an empty store, places without files."""

from __future__ import annotations

import signal
from pathlib import Path

import hypothesis
import pytest
import torch

from assay.places import Places
from assay.store.local import LocalStore

# The same examples in every run, without a time limit that a slow machine could break.
hypothesis.settings.register_profile("assay", deadline=None, derandomize=True)
hypothesis.settings.load_profile("assay")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background ignores Ctrl-C, and processes of the tests would inherit that.
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
