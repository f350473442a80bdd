"""The progress of a running training, on a terminal and elsewhere; and a compiled step, which changes nothing."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from helpers import QUIET, small

from assay.places import Places
from assay.resolve import resolve
from assay.store import records
from assay.store.local import LocalStore
from assay.training import progress
from assay.training.session import SessionOptions, train

STEPS = 12


def trained(folder: Path, how: str) -> list[str]:
    """Return the lines of a short training."""
    lines: list[str] = []
    experiment = resolve(small("supervised", recipe__steps=STEPS), Places())
    runtime = QUIET.replace(progress=how)
    assert train(
        experiment,
        LocalStore(folder),
        places=Places(),
        runtime=runtime,
        options=SessionOptions(print_line=lines.append),
    )
    return lines


def test_elsewhere_lines_have_the_step_the_loss_the_rate_and_the_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    lines = trained(tmp_path, "lines")
    steps = [re.fullmatch(r"step (\d+)/12  loss \d+\.\d{4}  \d+\.\d steps/s  (\d+) s left", each) for each in lines]
    assert [int(each[1]) for each in steps if each] == list(range(1, STEPS + 1))
    assert [each for each in steps if each][-1][2] == "0"
    assert any(re.fullmatch(r"step 12/12  mIoU \d+\.\d\d %", each) for each in lines)


def test_on_a_terminal_a_bar_has_rate_time_left_loss_and_miou(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal_end = os.openpty()
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(terminal_end, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        assert trained(tmp_path, "auto") == []
    output = os.read(controller, 2**16).decode()
    os.close(controller)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    assert re.search(r"12/12 \d+\.\d steps/s  loss \d+\.\d{4}  mIoU \d+\.\d\d % \d:\d\d:\d\d", text), text[-500:]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_step_trains_as_one_that_is_not_and_the_result_records_it(tmp_path: Path) -> None:
    experiment = resolve(small("cps", recipe__steps=4), Places())
    results = []
    for compiled in (False, True):
        store, runtime = LocalStore(tmp_path / str(compiled)), QUIET.replace(compile=compiled)
        results.append(train(experiment, store, places=Places(), runtime=runtime))
        losses = [line["loss"] for line in records.read_metrics(store, experiment.key) if "loss" in line]
        results[-1]["losses"] = losses
    plain, faster = results
    assert [each["sessions"][0]["compile"] for each in results] == [False, True]
    assert faster["losses"] == pytest.approx(plain["losses"], rel=1e-4) and len(plain["losses"]) >= 1
