"""Flags that mean nothing, or contradict each other, are refused before anything is planned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import STUDY

from assay.run import run_study


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert run_study(STUDY, list(flags)) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.startswith("error: ") and output.err.count("\n") == 1
    return output.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--workers 0", "--workers must be 1 or more, got 0"),
        ("--gangs -1", "--gangs must be 0 or more, got -1"),
        ("--gpus-per-worker -1", "--gpus-per-worker must be"),
        ("--gpus-per-worker nan", "got nan"),
        ("--gpus-per-worker inf", "got inf"),
        ("--gpus-per-worker 1.5", "got 1.5"),
        ("--gangs 0 --gpus-per-worker 1", "is for gangs"),
        ("--gangs 0 --address host:6379", "is for gangs"),
        ("--seeds -1", "--seeds must be 0 or more, got -1"),
        ("--out s3://bucket/x --gangs 0", "not to s3://"),
        ("--out s3://bucket/x --plan", "not to s3://"),
        ("--out s3://bucket/x --report-only", "not to s3://"),
        ("--out file://results --plan", "after file:// comes an absolute path"),
        ("--address nowhere --plan", "HOST:PORT"),
        ("--out results --address http://head:8265", "absolute path inside a job"),
    ],
)
def test_a_flag_that_means_nothing_is_refused(flags: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, *flags.split())


@pytest.mark.parametrize("mode", ["--plan", "--report-only", "--gangs=0"])
@pytest.mark.parametrize(
    ("flag", "name", "meant"),
    [
        ("--tables", "mkd.tabel1", "mkd.table1"),
        ("--rows", "CSP", "CPS"),
        ("--columns", "1/16(93)", "1/16(92)"),
        ("--force-row", "Supervized", "Supervised"),
    ],
)
def test_a_misspelt_name_is_refused_in_every_mode(
    mode: str, flag: str, name: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"did you mean '{meant}'" in refused(capsys, mode, flag, name, "--out", str(tmp_path))


@pytest.mark.parametrize("flags", ["--plan", "--retry-failed", "--force-row CPS"])
def test_what_trains_or_plans_has_no_meaning_beside_a_report(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--report-only trains nothing" in refused(capsys, "--report-only", *flags.split())


@pytest.mark.parametrize("flags", ["--rows CPS", "--columns 1/16(92)", "--seeds 1", "--set recipe.steps=5"])
def test_a_report_is_of_all_that_was_planned(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "--report-only", *flags.split())
    assert f"every cell that was ever planned, so {flags.split()[0]} has no meaning" in message


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--out results", "absolute path inside a job"),
        ("--out results --plan --gangs 0", "absolute path inside a job"),
        ("--out /tmp/results --address http://head:8265", "this script runs as a job of a cluster already"),
    ],
)
def test_inside_a_job_relative_folders_and_further_jobs_are_refused(
    flags: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert message in refused(capsys, *flags.split())


def test_gangs_that_can_never_fit_are_refused_by_the_plan_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_study(STUDY, ["--plan", "--gangs", "1", "--workers", "999", "--out", str(tmp_path)]) == 2
    assert "999 CPU" in capsys.readouterr().err
    assert run_study(STUDY, ["--plan", "--gangs", "1", "--out", str(tmp_path)]) == 0
    assert "runs in 1 gang of 1 worker on this machine (" in capsys.readouterr().out


def test_names_are_checked_before_a_job_is_sent_and_no_torch_is_needed_for_it() -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from studies.baseline_benchmark import STUDY\nfrom assay.run import run_study\n"
        "base = ['--address', 'http://head:8265', '--out', '/tmp/out']\n"
        "assert run_study(STUDY, [*base, '--rows', 'CSP']) == 2\n"
        "assert run_study(STUDY, ['--report-only', '--out', '/tmp/nothing', '--rows', 'CSP']) == 2\n"
        "assert not {'torch', 'ray', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("did you mean 'CPS'") == 2
