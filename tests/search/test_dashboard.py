"""A journal opens in optuna-dashboard, as the report says."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

DASHBOARD = Path(sys.executable).with_name("optuna-dashboard")
SECONDS = 60  # that it may take to answer on a busy machine
# Nothing between here and the loopback address.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A search with a completed, a pruned and a failed trial."""
    path = tmp_path / "optuna.journal"
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="drawn_search", direction="maximize")
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        trial = study.ask()
        trial.suggest_float("method.threshold", 0.5, 0.99)
        trial.report(0.25, 100)
        study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    return path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def dashboard(journal: Path) -> Iterator[str]:
    """The dashboard's address while it runs."""
    port = free_port()
    command = [str(DASHBOARD), "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref", str(journal)]
    environment = os.environ | {"HOME": str(journal.parent)}
    with (journal.parent / "dashboard.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(10)


def ask(address: str) -> dict[str, Any]:
    """What the dashboard answers, once it does."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            with OPENER.open(address, timeout=SECONDS) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_the_dashboard_shows_the_study_and_its_trials(journal: Path) -> None:
    with dashboard(journal) as address:
        (study,) = ask(f"{address}/api/studies")["study_summaries"]
        found = ask(f"{address}/api/studies/{study['study_id']}")
    assert study["study_name"] == "drawn_search"
    assert [each["state"] for each in found["trials"]] == ["Complete", "Pruned", "Fail"]
    assert found["trials"][0]["values"] == [0.5]
    assert [each["name"] for each in found["union_search_space"]] == ["method.threshold"]
