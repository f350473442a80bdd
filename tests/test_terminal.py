"""Output without a reader, output that the locale cannot show, and Ctrl-C: results are written, without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.terminal import command_line

TESTS = Path(__file__).parent
SCRIPT = str(TESTS / "tiny_study.py")
ASSAY = (sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; from assay.__main__ import main; main()")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
    "OMP_NUM_THREADS": "1"
}
STUDY = str(TESTS.parent / "studies" / "baseline_benchmark.py")
# Sends a Ctrl-C while a module is being imported.
INTERRUPTED_IMPORT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = [{script!r}, *{flags!r}]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_without_reader(command: list[str], **environment: str) -> tuple[int, str]:
    """Return the exit code and the errors of a program whose output has no reader."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            command,
            stdout=pipe,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT | environment,
            text=True,
            timeout=120,
            check=False,
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_training_without_a_reader_ends_well_and_prints_no_traceback(tmp_path: Path, unbuffered: str) -> None:
    command = [sys.executable, SCRIPT, "--gangs", "0", "--out", str(tmp_path), "--rows", "Supervised", "--seeds", "0"]
    assert run_without_reader(command, PYTHONUNBUFFERED=unbuffered) == (0, "")
    assert list(tmp_path.glob("store/*/result.json")) and (tmp_path / "tiny" / "quick" / "report.html").exists()


@pytest.mark.parametrize("flags", [["--help"], ["--plan", "--gangs", "0"]], ids=" ".join)
def test_help_plan_and_status_end_well_without_a_reader(flags: list[str], tmp_path: Path) -> None:
    assert run_without_reader([sys.executable, SCRIPT, "--out", str(tmp_path), *flags]) == (0, "")
    assert run_without_reader([*ASSAY, "status", "--out", str(tmp_path)]) == (0, "")


def test_characters_that_the_locale_lacks_are_replaced(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--gangs", "0", "--out", str(tmp_path), "--rows", "Supervised", "--seeds", "0"]
    ascii_only = ENVIRONMENT | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=ascii_only, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Supervised" in done.stdout and "?" in done.stdout


@pytest.mark.parametrize("module", ["assay.presets", "numpy", "assay.run.study_run", "methods.cps"])
def test_ctrl_c_during_imports_and_planning_prints_one_line(module: str, tmp_path: Path) -> None:
    flags = ["--plan", "--gangs", "0", "--out", str(tmp_path)]
    code = INTERRUPTED_IMPORT.format(module=module, script=STUDY, flags=flags)
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "stopped at once\n")


def test_ctrl_c_in_a_waiting_command_prints_one_line() -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import assay.commands, importlib, types, time\n"
        "def run(options):\n    print('here', flush=True)\n    time.sleep(60)\n"
        "importlib.import_module('assay.commands.doctor').run = run\n"
        "sys.argv = ['assay', 'doctor']\n"
        "from assay.__main__ import main\nmain()\n"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "stopped at once\n")
    assert process.returncode == 130


def test_a_training_whose_reader_ends_midway_still_stops_with_a_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--gangs", "0", "--out", str(tmp_path), "--rows", "CPS", "--seeds", "0"]
    process = subprocess.Popen(
        [*command, "--set", "recipe.steps=4000"], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None and process.stdout.readline()
    process.stdout.close()
    while process.poll() is None and not list(tmp_path.glob("store/*/checkpoint-*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert (tmp_path / "tiny" / "quick" / "results.parquet").exists()


def test_a_command_line_is_split_into_the_same_arguments_by_a_shell() -> None:
    arguments = ["a b", "c[1]", "it's", "$HOME", "*", "path=x;y", ""]
    script = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *arguments]
    answer = subprocess.run(command_line(script), shell=True, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == ascii(arguments)
