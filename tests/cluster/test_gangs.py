"""Studies in gangs, as users run them: real processes, real signals, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parent.parent / "tiny_study.py"
# Equal however often a training was interrupted; times, rates and the machine's state are not.
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


def command(out: Path, *flags: str) -> list[str]:
    return [sys.executable, str(SCRIPT), "--out", str(out), *flags]


def environment(mark: str) -> dict[str, str]:
    """Every process of a run inherits the mark, by which it is found again."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "ASSAY_TEST_MARK": mark}


def finished(out: Path, *flags: str, code: int = 0) -> str:
    done = subprocess.run(
        command(out, *flags), env=environment(str(out)), capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def processes_of(mark: str) -> dict[int, str]:
    """The living processes of a run, with their command lines."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and f"ASSAY_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def wait_until_nothing_is_left(mark: str, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while left := processes_of(mark):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.2)


def results(out: Path) -> pd.DataFrame:
    frame = pd.read_parquet(out / "tiny" / "quick" / "results.parquet")
    trained = frame[frame["status"] != "quoted"].sort_values(["row", "column", "seed"])
    return trained[VALUES].reset_index(drop=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, trained in one process and never interrupted."""
    out = tmp_path_factory.mktemp("whole")
    finished(out, "--gangs", "0")
    return out


def test_a_gang_gives_the_same_bits_as_one_process_and_leaves_nothing(whole: Path, tmp_path: Path) -> None:
    said = finished(tmp_path, "--gangs", "2")
    assert "2 gangs of 1 worker " in said
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    wait_until_nothing_is_left(str(tmp_path))
    again = finished(tmp_path, "--gangs", "2")
    assert "9 done" in again and "gangs of 1 worker on" not in again, "nothing is left to train: Ray is not started"


def test_two_workers_agree_with_one_to_rounding(whole: Path, tmp_path: Path) -> None:
    finished(tmp_path, "--gangs", "1", "--workers", "2", "--rows", "Supervised")
    two = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").query("status == 'done'")
    one = results(whole).query("row == 'Supervised'")
    assert list(two["key"]) == list(one["key"]) and set(two["world_size"]) == {2}
    assert two["miou"].to_numpy() == pytest.approx(one["miou"].to_numpy(), abs=0.5)


@pytest.mark.parametrize("seed", range(int(os.environ.get("ASSAY_KILL_SEEDS", "1"))))  # more for a long night
def test_killed_at_random_moments_the_tables_are_those_of_an_uninterrupted_run(
    whole: Path, seed: int, tmp_path: Path
) -> None:
    """kill -9 of the driver, of a worker, of the dispatcher or of all of Ray, a few times, and then to the end."""
    draw = random.Random(seed)
    for victim in draw.sample(["driver", "worker", "dispatcher", "ray"], 3):
        _run_and_kill(tmp_path, victim, draw)
        wait_until_nothing_is_left(str(tmp_path), seconds=100)
    finished(tmp_path, "--gangs", "1")
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    wait_until_nothing_is_left(str(tmp_path))


def _run_and_kill(out: Path, victim: str, draw: random.Random) -> None:
    known = _attempts(out)
    with subprocess.Popen(
        command(out, "--gangs", "1"), env=environment(str(out)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as driver:
        deadline = time.monotonic() + 120
        while driver.poll() is None and _attempts(out) <= known and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(draw.uniform(0.0, 2.0))
        for pid in _victims(victim, str(out), driver.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victim in ("worker", "dispatcher"):
            # The run goes on by itself; it is ended like a user ends it, once it has gone a little further.
            time.sleep(draw.uniform(0.0, 12.0))
            if driver.poll() is None:
                driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=120)


def _attempts(out: Path) -> int:
    lines = [line for path in out.glob("store/*/attempts.jsonl") for line in path.read_text().splitlines()]
    return sum("from_step" in line for line in lines)


def _victims(victim: str, mark: str, driver: int) -> list[int]:
    if victim == "driver":
        return [driver]
    name = {"worker": "RayTrainWorker", "dispatcher": "ray::Dispatcher", "ray": ""}[victim]
    return [pid for pid, line in processes_of(mark).items() if name in line and pid != driver]


def test_a_run_goes_on_when_its_dispatcher_is_killed(whole: Path, tmp_path: Path) -> None:
    with _started(tmp_path, "--gangs", "1") as driver:
        while driver.poll() is None and not list(tmp_path.glob("store/*/metrics.jsonl")):
            time.sleep(0.05)
        (dispatcher,) = _victims("dispatcher", str(tmp_path), driver.pid)
        os.kill(dispatcher, signal.SIGKILL)
        said, _ = driver.communicate(timeout=200)
    assert driver.returncode == 0 and "Traceback" not in said, said
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    attempts = [len(path.read_text().splitlines()) for path in tmp_path.glob("store/*/attempts.jsonl")]
    assert attempts == [1] * 9, "what was being trained went on, and nothing was trained twice"
    wait_until_nothing_is_left(str(tmp_path))


def test_the_first_ctrl_c_stops_with_checkpoints_and_the_same_command_goes_on(whole: Path, tmp_path: Path) -> None:
    with _started(tmp_path, "--gangs", "1", "--set", "recipe.steps=100000") as driver:
        while driver.poll() is None and not list(tmp_path.glob("store/*/metrics.jsonl")):
            time.sleep(0.1)
        time.sleep(1)
        driver.send_signal(signal.SIGINT)
        said, _ = driver.communicate(timeout=90)
    assert driver.returncode == 130, said
    assert "The same command continues" in said and "Traceback" not in said
    assert list(tmp_path.glob("store/*/checkpoint-*.pt"))
    wait_until_nothing_is_left(str(tmp_path))


def test_the_second_ctrl_c_ends_at_once_and_the_store_goes_on(tmp_path: Path) -> None:
    flags = ["--rows", "Supervised", "--seeds", "0"]
    flags += ["--set", "recipe.steps=400", "--set", "recipe.evaluation.every=200"]
    with _started(tmp_path, "--gangs", "1", *flags) as driver:
        while driver.poll() is None and not list(tmp_path.glob("store/*/checkpoint-*.pt")):
            time.sleep(0.05)
        driver.send_signal(signal.SIGINT)
        time.sleep(0.1)  # two signals in one moment are one
        driver.send_signal(signal.SIGINT)
        began = time.monotonic()
        said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130 and time.monotonic() - began < 10, said
    assert "once more stops at once" in said and "The same command continues" not in said and "Traceback" not in said
    wait_until_nothing_is_left(str(tmp_path))
    finished(tmp_path, "--gangs", "0", *flags)
    (history,) = tmp_path.glob("store/*/attempts.jsonl")
    begun = [json.loads(line)["from_step"] for line in history.open() if "from_step" in line]
    assert len(begun) == 2 and begun[0] == 0 < begun[1], "it went on from a checkpoint"


def test_two_drivers_with_gangs_share_the_work(whole: Path, tmp_path: Path) -> None:
    with _started(tmp_path, "--gangs", "1") as one, _started(tmp_path, "--gangs", "1") as other:
        said = [driver.communicate(timeout=200)[0] for driver in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    attempts = [path.read_text().splitlines() for path in tmp_path.glob("store/*/attempts.jsonl")]
    assert [len(lines) for lines in attempts] == [1] * 9, "nothing was trained twice"
    pd.testing.assert_frame_equal(results(tmp_path), results(whole), check_exact=True)
    tables = [each[each.rindex("mkd.table1") : each.rindex("report: ")] for each in said]
    assert tables[0] == tables[1] and "8 done" in tables[0]
    wait_until_nothing_is_left(str(tmp_path))


def test_sigterm_to_the_whole_process_group_stops_in_order_too(tmp_path: Path) -> None:
    """As `timeout` and batch systems send it."""
    with _started(tmp_path, "--gangs", "1", "--set", "recipe.steps=100000") as driver:
        while driver.poll() is None and not list(tmp_path.glob("store/*/metrics.jsonl")):
            time.sleep(0.1)
        time.sleep(1)
        os.killpg(driver.pid, signal.SIGTERM)
        said, _ = driver.communicate(timeout=90)
    assert driver.returncode == 143, said
    assert "The same command continues" in said and "Traceback" not in said
    wait_until_nothing_is_left(str(tmp_path))


@contextlib.contextmanager
def _started(out: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(out, *flags),
        env=environment(str(out)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as driver:
        yield driver


def test_what_can_never_fit_is_refused_by_name(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "--gangs", "1", "--workers", "999"),
        env=environment(str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2 and "999 CPU" in done.stderr and "--workers" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_experiment_fails_alone(tmp_path: Path) -> None:
    """Its error is in the table, what needs it is blocked, the rest is done, and the exit code tells."""
    failing = ["--set", "recipe.optimizer.lr=1e30"]
    said = finished(tmp_path, "--gangs", "1", "--rows", "Supervised", *failing, code=1)
    frame = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").query("status != 'quoted'")
    assert set(frame["status"]) == {"failed"} and frame["error"].str.contains("NotFinite").all()
    assert "failed" in said
    attempts = [json.loads(line) for path in tmp_path.glob("store/*/attempts.jsonl") for line in path.open()]
    assert sum("from_step" in each for each in attempts) == 2, "what cannot get better is not tried again"


def test_a_store_that_cannot_be_written_ends_the_run_and_fails_nobody(tmp_path: Path) -> None:
    flags = ["--gangs", "1", "--rows", "Supervised", "CPS"]
    planned = [line.split()[0] for line in finished(tmp_path, *flags, "--plan").splitlines() if "steps" in line]
    assert len(planned) == 4
    (tmp_path / "store").mkdir(parents=True)
    obstacle = tmp_path / "store" / planned[1]
    obstacle.write_text("a file where a folder must be")
    done = subprocess.run(
        command(tmp_path, *flags),
        env=environment(str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and "a file stands where a folder must be" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    obstacle.unlink()
    states = pd.read_parquet(tmp_path / "tiny" / "quick" / "results.parquet").set_index("key")["status"]
    assert states[planned[0]] == "done" and set(states[planned[1:]]) == {"waiting"}
    wait_until_nothing_is_left(str(tmp_path))
