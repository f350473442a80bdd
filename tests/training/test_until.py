"""A training that pauses at a step, and continues from there."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import QUIET, small

from assay.execution.schedule import Outcome
from assay.execution.worker import Worker
from assay.places import Places
from assay.resolve import Resolver, resolve
from assay.store import checkpoints, records
from assay.store.claims import Observer
from assay.store.local import LocalStore
from assay.training.result import WEIGHTS


def attempt(folder: Path, key: str, experiment: object, until: int | None) -> Outcome:
    worker = Worker(
        store=LocalStore(folder),
        resolver=Resolver(Places()),
        places=Places(),
        runtime=QUIET,
        run="t",
        observer=Observer(),
    )
    return worker.attempt(key, experiment, stop=lambda: False, on_event=lambda event: None, until=until)


def test_pausing_moves_no_bit_and_leaves_the_evaluation_and_a_checkpoint(tmp_path: Path) -> None:
    experiment = small("cps")  # 12 steps, evaluated every 6
    key = resolve(experiment, Places()).key
    paused, whole = LocalStore(tmp_path / "paused"), LocalStore(tmp_path / "whole")
    assert attempt(tmp_path / "paused", key, experiment, 6) == Outcome(key=key, kind="paused", step=6)
    assert checkpoints.steps(paused.names(key))[-1] == 6
    assert list(records.scores(paused, key)) == [6]
    assert attempt(tmp_path / "paused", key, experiment, 6).kind == "paused", "there already: nothing to do"
    assert attempt(tmp_path / "paused", key, experiment, None).kind == "done"
    assert attempt(tmp_path / "whole", key, experiment, None).kind == "done"
    assert paused.read(key, WEIGHTS) == whole.read(key, WEIGHTS)
    assert records.scores(paused, key) == records.scores(whole, key)
    result = json.loads(paused.read(key, records.RESULT))
    assert result["same_bits"] and len(result["sessions"]) == 2


def test_a_step_at_or_beyond_the_end_is_the_end(tmp_path: Path) -> None:
    experiment = small()
    key = resolve(experiment, Places()).key
    assert attempt(tmp_path, key, experiment, 12).kind == "done"
