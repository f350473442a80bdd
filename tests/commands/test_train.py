"""The command line from outside: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forks import start_fork

from assay.commands import run
from assay.commands import train as train_command
from assay.store import records
from assay.store.local import LocalStore
from assay.training.result import WEIGHTS

ROOT = Path(__file__).parent.parent.parent
TINY = [
    *("--method", "supervised", "--set", "data.source.num_train=32", "--set", "data.source.num_val=4"),
    *("--set", "recipe.augment.crop=16,16", "--set", "data.source.size=16", "--set", "net.encoder.width=4"),
]
ENDLESS = [*TINY, "--set", "recipe.steps=100000", "--runtime", "checkpoint_every=20", "--runtime", "log_every=20"]


def start(arguments: list[str], before: str = "") -> subprocess.Popen[str]:
    script = f"{before}\nimport sys; from assay.commands import run; sys.exit(run({arguments!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "platform:.", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(*arguments: str) -> None:
    sys.exit(run(list(arguments)))


def wait_until_it_trains(out: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a checkpoint is there; kill a process that leaves none within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if list(out.glob("store/*/checkpoint-*.pt")):
            return
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_stops_with_a_checkpoint_and_prints_the_command_that_continues(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    process = start(["train", *ENDLESS, "--out", str(tmp_path)])
    wait_until_it_trains(tmp_path, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert "The same command continues" in output


def test_the_printed_command_continues_in_a_shell_whatever_the_folder_is_called(tmp_path: Path) -> None:
    out = tmp_path / "my results [1]"
    environment = {**os.environ, "PYTHONPATH": "platform:.", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    arguments = [sys.executable, "-m", "assay", "train", *ENDLESS, "--out", str(out)]
    first = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    wait_until_it_trains(out, first)
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=60)
    (line,) = (text for text in output.splitlines() if "The same command continues: " in text)
    second = subprocess.Popen(
        line.partition("continues: ")[2],
        shell=True,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    (sessions,) = out.glob("store/*/sessions.json")
    deadline = time.monotonic() + 60
    while second.poll() is None and time.monotonic() < deadline:
        if len(json.loads(sessions.read_text())["sessions"]) == 2:
            break
        time.sleep(0.05)
    os.killpg(second.pid, signal.SIGINT)
    second.communicate(timeout=60)
    first_session, second_session = json.loads(sessions.read_text())["sessions"]
    assert first_session["from_step"] == 0 < second_session["from_step"]
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_key_that_another_process_trains_is_refused_and_taken_over_when_that_one_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = start_fork(run_command, "train", *ENDLESS, "--out", str(tmp_path))
    while first.is_alive() and not list(tmp_path.glob("store/*/checkpoint-*.pt")):
        time.sleep(0.02)
    (key,) = LocalStore(tmp_path / "store").keys()
    assert run(["train", *ENDLESS, "--out", str(tmp_path)]) == 1
    output = capsys.readouterr().err
    assert f"{first.pid}" in output and key in output
    assert run(["status", "--out", str(tmp_path)]) == 0
    assert "running" in capsys.readouterr().out
    first.kill()
    first.join()
    second = start_fork(run_command, "train", *ENDLESS, "--out", str(tmp_path))
    deadline = time.monotonic() + 60
    while second.is_alive() and time.monotonic() < deadline:
        sessions = json.loads((tmp_path / "store" / key / "sessions.json").read_text())["sessions"]
        if sessions[-1]["from_step"] > 0:
            break
        time.sleep(0.05)
    os.kill(second.pid, signal.SIGINT)
    second.join(60)
    assert second.exitcode == 130 and sessions[-1]["from_step"] > 0


def test_a_loss_that_is_not_finite_ends_it_with_step_term_and_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "train",
        *TINY,
        "--set",
        "recipe.steps=40",
        "--set",
        "recipe.optimizer.lr=1e30",
        "--out",
        str(tmp_path),
    ]
    assert run(arguments) == 1
    output = capsys.readouterr().err
    assert "'supervised'" in output and "at step" in output and "train-0000" in output
    assert run(["status", "--out", str(tmp_path)]) == 0
    assert "failed" in capsys.readouterr().out
    (key,) = LocalStore(tmp_path / "store").keys()
    assert run(["why", key, "--out", str(tmp_path)]) == 0
    assert "--retry" in capsys.readouterr().out


def test_out_of_memory_names_the_numbers_to_lower(tmp_path: Path) -> None:
    # Room for torch and a small training, and not for a batch of some gigabytes.
    limit = (
        "import torch, resource, assay.training.session\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))"
    )
    big = ["--set", "recipe.labeled_batch=64", "--set", "recipe.augment.crop=512,512", "--set", "recipe.steps=2"]
    process = start(["train", *TINY, *big, "--out", str(tmp_path)], limit)
    _, output = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "recipe.labeled_batch (64)" in output and "recipe.accumulate" in output and "Traceback" not in output


@pytest.mark.parametrize(
    "change", [["--set", "recipe.precision=bf16"], ["--runtime", "channels_last=true"], ["--set", "recipe.ohem=ohem"]]
)
def test_other_ways_to_compute(change: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *TINY, "--set", "recipe.steps=3", *change, "--out", str(tmp_path)]) == 0
    assert "mIoU" in capsys.readouterr().out


def test_torchrun_trains_on_two_ranks_and_prints_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "assay"]
    process = subprocess.run(
        [*command, "train", *TINY, "--set", "recipe.steps=4", "--runtime", "device=cpu", "--out", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "platform:.", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("validation images") == 1
    (key,) = LocalStore(tmp_path / "store").keys()
    assert WEIGHTS in LocalStore(tmp_path / "store").names(key)


def test_why_names_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *TINY, "--set", "recipe.steps=2", "--out", str(tmp_path)]) == 0
    (key,) = LocalStore(tmp_path / "store").keys()
    capsys.readouterr()
    assert run(["why", key[:6], "--out", str(tmp_path)]) == 0
    assert "will not run again" in capsys.readouterr().out
    changed = ["--set", "recipe.steps=3", "--set", "data.split.labeled=1/8"]
    assert run(["why", key, *TINY, *changed, "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "recipe.steps: 2 → 3" in output and "data.split.labeled.count: 2 → 4" in output


@pytest.mark.parametrize(
    ("ranks", "command"),
    [
        ({}, "python -m assay train --out 'a b'"),
        ({"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, "torchrun --nproc-per-node 2 -m assay train --out 'a b'"),
        ({"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}, "python -m assay train --out 'a b'"),
    ],
)
def test_the_command_that_continues_names_torchrun_where_it_started_all_ranks_here(
    ranks: dict[str, str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["__main__.py", "train", "--out", "a b"])
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    assert train_command._same_command() == command


def test_show_prints_the_last_metrics_of_an_unfinished_experiment_in_percent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *TINY, "--set", "recipe.steps=2", "--out", str(tmp_path)]) == 0
    store = LocalStore(tmp_path / "store")
    (key,) = store.keys()
    (tmp_path / "store" / key / records.RESULT).unlink()
    metrics = records.read_metrics(store, key)[-1]
    capsys.readouterr()
    assert run(["show", key, "--out", str(tmp_path)]) == 0
    (line,) = (text for text in capsys.readouterr().out.splitlines() if text.startswith("last line: "))
    name = next(name for name in metrics if name.endswith("/miou"))
    assert f"{name} {100 * metrics[name]:.2f} %" in line and "step 2" in line


def test_show_status_splits_and_doctor_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *TINY, "--set", "recipe.steps=2", "--out", str(tmp_path)]) == 0
    (key,) = LocalStore(tmp_path / "store").keys()
    capsys.readouterr()
    assert run(["show", key, "--json", "--out", str(tmp_path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["experiment"]["key"] == shown["result"]["key"] == key
    assert shown["result"]["latency"]["milliseconds"]["student"] > 0
    assert run(["show", key, "--out", str(tmp_path)]) == 0
    assert "ms on the cpu" in capsys.readouterr().out
    assert run(["splits", "textures"]) == 0
    assert "labeled        40  " in capsys.readouterr().out
    assert run(["doctor", "--data-root", str(tmp_path), "--weights", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "ok       textures" in output
    assert "missing  voc" in output and "resnet50.tv_in1k" in output and str(tmp_path) in output
