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

import pytest

from assay.search.optuna_study import JOURNAL, OptunaStudy
from assay.search.samplers import sampler
from assay.search.space import Float, parameters

DASHBOARD = Path(sys.executable).with_name("optuna-dashboard")
SECONDS = 60  # that it may take to answer on a busy machine
# Nothing between here and the loopback address.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """What the ledger writes of a search with a completed, a pruned and a failed configuration."""
    path = tmp_path / JOURNAL
    ledger = OptunaStudy.open(path, "drawn_search", ["maximize"])
    of = parameters({"method.threshold": Float(0.5, 0.99, paper=0.95)})
    for count, wish in enumerate(({"method.threshold": 0.95}, None, None)):
        number, _ = ledger.propose(of, sampler("tpe", 0, count), {"origin": "sampler"}, wish)
        ledger.annotate(number, "keys", [f"{count:08x}"])
        ledger.report(number, {100: 0.25})
    ledger.complete(0, [0.5])
    ledger.prune(1, 100)
    ledger.fail(2, "NotFinite")
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
    assert found["trials"][0]["params"][0]["param_external_value"] == "0.95"
