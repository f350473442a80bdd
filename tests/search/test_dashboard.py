"""Journals in optuna-dashboard, which the report names."""

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

from assay.results.search_folder import JOURNAL
from assay.search.optuna_study import OptunaStudy
from assay.search.samplers import sampler
from assay.search.space import Float, parameters_of

DASHBOARD = Path(sys.executable).with_name("optuna-dashboard")
TIMEOUT = 60  # seconds, for a busy machine
# No proxy is used: the dashboard is at the loopback address.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return the journal of a search with a completed, a pruned and a failed configuration."""
    path = tmp_path / JOURNAL
    optuna_study = OptunaStudy.open(path, "drawn_search", ["maximize"])
    parameters = parameters_of({"method.threshold": Float(0.5, 0.99, paper=0.95)})
    for count, initial in enumerate(({"method.threshold": 0.95}, None, None)):
        number, _ = optuna_study.propose(parameters, sampler("tpe", 0, count), {"origin": "sampler"}, initial)
        optuna_study.annotate(number, "keys", [f"{count:08x}"])
        optuna_study.report(number, {100: 0.25})
    optuna_study.complete(0, [0.5])
    optuna_study.prune(1, 100)
    optuna_study.fail(2, "NotFinite")
    return path


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@contextlib.contextmanager
def dashboard(journal: Path) -> Iterator[str]:
    """Run the dashboard and yield its address."""
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


def get(address: str) -> dict[str, Any]:
    """Return the dashboard's answer; wait until it is there."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            with OPENER.open(address, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_the_dashboard_shows_the_study_and_its_trials(journal: Path) -> None:
    with dashboard(journal) as address:
        (study,) = get(f"{address}/api/studies")["study_summaries"]
        details = get(f"{address}/api/studies/{study['study_id']}")
    assert study["study_name"] == "drawn_search"
    assert [each["state"] for each in details["trials"]] == ["Complete", "Pruned", "Fail"]
    assert details["trials"][0]["values"] == [0.5]
    assert [each["name"] for each in details["union_search_space"]] == ["method.threshold"]
    assert details["trials"][0]["params"][0]["param_external_value"] == "0.95"
