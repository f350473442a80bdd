"""Studies that tests run as users do: real processes, whose environment has a mark that shows leftover processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import tiny_study

# Columns that are equal however often a training was interrupted; times, rates and the machine's state are not.
VALUES = [
    "table",
    "row",
    "column",
    "seed",
    "status",
    "key",
    "miou",
    "miou_best",
    "step_best",
    "pixel_accuracy",
    "params",
]


def command(out: Path, *flags: str, script: str = tiny_study.__file__) -> list[str]:
    """Return a study's command line."""
    return [sys.executable, script, "--out", str(out), *flags]


def environment(mark: str) -> dict[str, str]:
    """Return the environment of a run; all its processes inherit the mark."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "ASSAY_TEST_MARK": mark}


def finished(out: Path, *flags: str, code: int = 0, script: str = tiny_study.__file__) -> str:
    """Run a study to its end, check its exit code, and return its output."""
    done = subprocess.run(
        command(out, *flags, script=script),
        env=environment(str(out)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def processes_of(mark: str) -> dict[int, str]:
    """Return the living processes of a run with their command lines."""
    processes: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and f"ASSAY_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    processes[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return processes


def wait_until_nothing_is_left(mark: str, *, seconds: float = 30.0) -> None:
    """Fail where a process of a run is still alive after so many seconds."""
    deadline = time.monotonic() + seconds
    while left := processes_of(mark):
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.2)


def results(out: Path) -> pd.DataFrame:
    """Return the values of all trained experiments."""
    frame = pd.read_parquet(out / "tiny" / "quick" / "results.parquet")
    trained = frame[frame["status"] != "quoted"].sort_values(["row", "column", "seed"])
    return trained[VALUES].reset_index(drop=True)


@contextlib.contextmanager
def started(out: Path, *flags: str, script: str = tiny_study.__file__) -> Iterator[subprocess.Popen[str]]:
    """Start a run in its own process group, as a terminal does."""
    with subprocess.Popen(
        command(out, *flags, script=script),
        env=environment(str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as driver:
        yield driver
