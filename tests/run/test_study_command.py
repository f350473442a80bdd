"""A study from its command line to its files, in one process."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forks import start_fork
from tiny_study import STUDY

import assay
from assay.commands import run as command_line
from assay.errors import UserError
from assay.execution.plan import make_plan
from assay.places import Places
from assay.results.columns import COLUMNS
from assay.run import run_study
from assay.run.flags import parser
from assay.run.options import StudyOptions
from assay.run.study_run import StudyRun
from assay.store import records
from assay.store.local import LocalStore
from assay.study.cells import Selection, cells_of
from studies.baseline_benchmark import STUDY as BASELINES

SCRIPT = Path(__file__).parent.parent / "tiny_study.py"
FLAGS = {
    *(
        "--help",
        "--profile",
        "--data-root",
        "--splits",
        "--weights",
        "--cache",
        "--tables",
        "--rows",
        "--columns",
        "--seeds",
    ),
    *("--set", "--out", "--address", "--gangs", "--workers", "--gpus-per-worker", "--plan", "--probe", "--report-only"),
    *("--retry-failed", "--force-row"),
}


def run(out: Path, *flags: str) -> int:
    return run_study(STUDY, ["--gangs", "0", "--out", str(out), *flags])


def runs(out: Path) -> None:
    sys.exit(run(out))


def frame_in(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "tiny" / "quick" / "results.parquet")


def stamps(store: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study."""
    folder = tmp_path_factory.mktemp("study")
    assert run(folder) == 0
    return folder


def test_the_flags_are_these_and_no_more() -> None:
    found = {flag for action in parser(STUDY)._actions for flag in action.option_strings if flag.startswith("--")}
    assert found == FLAGS


def test_a_run_in_which_everything_waits_for_data_ends_with_1_and_reports_the_missing_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = dataclasses.replace(STUDY.profiles[0], blocked_by={"1/8(183)": "COCO is not here"})
    study = dataclasses.replace(STUDY, profiles=(quick,))
    assert run_study(study, ["--gangs", "0", "--out", str(tmp_path), "--columns", "1/8(183)"]) == 1
    output = capsys.readouterr().out
    assert "8 cells, all blocked: COCO is not here" in output and "cells: 8 blocked" in output
    blocked = frame_in(tmp_path).query("status == 'blocked'")
    assert len(blocked) == 8 and set(blocked["error"]) == {"COCO is not here"}
    assert blocked["data"].isna().all(), "the profile has no data for a blocked column"


def test_a_run_begins_its_report_with_published_orderings_and_ends_with_what_to_run_next(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["study.py", "--out", "a folder", "--seeds", "0", "1"])
    assert run(out) == 0
    lines = capsys.readouterr().out.splitlines()
    text = " ".join(line.strip() for line in lines)  # the terminal's width breaks lines
    orderings = assay.load(out).orderings
    assert orderings[["table", "column", "higher", "lower", "published"]].to_numpy().tolist() == [
        ["mkd.table1", "1/16(92)", "CPS", "Supervised", pytest.approx(64.07 - 45.77)]
    ]
    kept = orderings["verdict"].item() == "hold"
    first = next(line for line in lines if "published ordering" in line)
    assert first.startswith(f"{int(kept)} of 1 published orderings hold")
    assert "open · 2 seeds A published ordering is a pair" in text
    table = next(line for line in lines if line.startswith("mkd.table1 "))
    assert lines.index(first) < lines.index(table)
    assert lines[-1].startswith("next: ")
    assert run(out, "--report-only") == 0
    assert first in capsys.readouterr().out


def test_after_one_seed_the_last_line_is_the_command_with_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["study.py", "--seeds", "4", "--rows", "CPS"])
    assert run(tmp_path, "--seeds", "4", "--rows", "CPS", "Supervised") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1 published ordering, open: one seed shows no spread · 1 seed" in lines
    assert lines[-1] == "next: one seed shows no spread, 3 seeds do: python study.py --rows CPS --seeds 4 5 6"
    assert run(tmp_path, "--report-only") == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("the command that trained them, with --seeds 4 5 6")


def test_results_have_a_row_for_every_cell_and_what_was_trained_is_shared(out: Path) -> None:
    frame = frame_in(out)
    assert list(frame.columns) == list(COLUMNS)
    done, quoted = frame.query("status == 'done'"), frame.query("status == 'quoted'")
    assert len(done) == 8 and done["miou"].between(0, 100).all() and not done["comparable"].any()
    assert len(quoted) == 2 and quoted["seed"].isna().all() and set(quoted["column"]) == {"1/8(183)"}
    assert (done.query("row == 'Supervised'")["paper_miou"] == 45.77).all()
    kd = done.query("method == 'kd'")
    assert {len(each) for each in kd["depends"]} == {1} and len({each[0] for each in kd["depends"]}) == 1
    assert len(list((out / "store").iterdir())) == 9, "one teacher serves four students"
    first = done.iloc[0]
    assert len(first["iou"]) == len(first["classes"]) and json.loads(first["experiment"])["seed"] == first["seed"]
    assert {"torch", "numpy"} <= set(json.loads(first["versions"]))


def test_a_second_run_trains_nothing(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stamps(out / "store")
    assert run(out) == 0
    assert stamps(out / "store") == before
    assert "9 done" in capsys.readouterr().out


def test_what_was_planned_before_stays_in_the_results_whatever_is_chosen_now(out: Path) -> None:
    assert run(out, "--rows", "CPS", "--seeds", "1") == 0
    assert len(frame_in(out).query("status == 'done'")) == 8


def test_a_report_prints_the_tables_that_were_planned_or_those_that_are_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = cells_of(BASELINES, BASELINES.profiles[0], Selection(rows=("CPS",), seeds=(0,)))
    planned = StudyRun.make(BASELINES, StudyOptions.parse(parser(BASELINES).parse_args(["--out", str(tmp_path)])))
    planned.write_plan(make_plan(cells, planned.store, Places()))
    printed_tables = {
        "": ["mkd.table1"],
        "--tables mkd.table2": ["mkd.table2"],
        "--tables mkd.table1 mkd.table2": ["mkd.table1", "mkd.table2"],
    }
    for flags, tables in printed_tables.items():
        assert run_study(BASELINES, ["--report-only", *flags.split(), "--out", str(tmp_path)]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in printed if line.startswith("mkd.")] == tables


def test_a_folder_that_cannot_be_written_is_the_users_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny").write_text("a file stands where a folder must be")
    assert run(tmp_path, "--rows", "Supervised") == 1
    output = capsys.readouterr().err
    assert "a file stands where a folder must be" in output and "Traceback" not in output


def test_the_plan_of_a_forced_row_deletes_nothing(out: Path) -> None:
    before = stamps(out / "store")
    assert run(out, "--plan", "--force-row", "CPS") == 0
    assert stamps(out / "store") == before


def test_lists_that_are_not_here_are_planned_as_unresolved_and_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = ["--set", "data.split.labeled=nowhere.txt", "--splits", str(tmp_path / "splits")]
    assert run(tmp_path / "out", *missing, "--plan") == 0
    assert "8 cells, none resolved here: the list" in capsys.readouterr().out
    assert run(tmp_path / "out", *missing) == 2
    assert "nowhere.txt" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_plan_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--plan") == 0
    assert "8 cells are 9 experiments" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_probe_prints_the_time_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--plan", "--probe", "--rows", "Supervised", "CPS") == 0
    output = capsys.readouterr().out
    assert "device time" in output and "unknown" not in output
    assert list(tmp_path.iterdir()) == []


def test_history_has_a_file_per_key_and_reads_with_pandas_alone(out: Path) -> None:
    history = pd.read_parquet(out / "tiny" / "quick" / "history.parquet")
    assert list(history.columns) == ["key", "step", "name", "value"]
    keys = set(frame_in(out)["key"].dropna())
    assert set(history["key"]) == keys
    assert {path.stem for path in (out / "tiny" / "quick" / "history.parquet").iterdir()} == keys
    last = history.query("name == 'val/student/miou' and step == 40").set_index("key")["value"]
    done = frame_in(out).query("method == 'supervised' and status == 'done'").set_index("key")["miou"]
    for key, miou in done.items():
        assert last[key] == pytest.approx(miou)


def test_load_gives_the_papers_table(out: Path) -> None:
    pivot = assay.load(out).pivot("mkd.table1")
    assert list(pivot.index) == ["Supervised", "CPS", "KD", "KD, T = 4"]
    rows = frame_in(out).query("row == 'CPS' and status == 'done'")
    assert pivot.loc["CPS", "1/16(92)"] == pytest.approx(rows["miou"].mean())
    assert len(assay.load(out).history()) > 0
    with pytest.raises(UserError, match=r"mkd\.table1"):
        assay.load(out).pivot("mkd.table7")


def test_a_failed_teacher_blocks_its_students_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalStore(tmp_path / "store")
    assert run(tmp_path, "--plan") == 0
    (teacher,) = {line.split("after ")[1] for line in capsys.readouterr().out.splitlines() if "after " in line}
    records.add_failure(store, teacher, {"error": "NotFinite: it was so", "traceback": ""}, final=True)
    assert run(tmp_path, "--seeds", "0") == 1
    frame = frame_in(tmp_path).query("status != 'quoted'").set_index("row")
    assert dict(frame["status"]) == {"Supervised": "done", "CPS": "done", "KD": "blocked", "KD, T = 4": "blocked"}
    assert teacher in frame.loc["KD", "error"]
    assert run(tmp_path, "--seeds", "0", "--retry-failed") == 0
    assert set(frame_in(tmp_path).query("status != 'quoted'")["status"]) == {"done"}


def test_a_loss_that_is_not_finite_fails_its_cells_with_the_reason(tmp_path: Path) -> None:
    assert run(tmp_path, "--rows", "Supervised", "--seeds", "0", "--set", "recipe.optimizer.lr=1e30") == 1
    (row,) = frame_in(tmp_path).query("status != 'quoted'").to_dict("records")
    assert row["status"] == "failed" and "NotFinite" in row["error"] and np.isnan(row["miou"])
    report = (tmp_path / "tiny" / "quick" / "report.html").read_text()
    assert "NotFinite" in report
    assert run(tmp_path, "--rows", "Supervised", "--seeds", "0") == 0
    assert list(frame_in(tmp_path).query("status != 'quoted'")["status"]) == ["done"]


def test_a_damaged_result_is_a_failed_cell_until_it_is_mended_and_its_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--rows", "Supervised"]
    assert run(tmp_path, *flags) == 0
    keys = list(frame_in(tmp_path).query("status == 'done'")["key"])
    (tmp_path / "store" / keys[0] / "result.json").write_text('{"miou": ')
    (tmp_path / "store" / keys[1] / "result.json").unlink()
    for again in ((), ("--retry-failed",)):
        assert run(tmp_path, *flags, *again) == 1
        frame = frame_in(tmp_path).query("status != 'quoted'").set_index("key")
        assert dict(frame["status"]) == {keys[0]: "failed", keys[1]: "done"}
        assert f"{keys[0]}/result.json cannot be read as JSON" in frame.loc[keys[0], "error"]
    capsys.readouterr()
    assert command_line(["why", keys[0], "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert f"{keys[0]}/result.json" in output and "restore it from a copy, or delete it" in output
    assert command_line(["status", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert f"{keys[0]}  damaged" in output and f"{keys[1]}  done" in output
    (tmp_path / "store" / keys[0] / "result.json").unlink()
    assert run(tmp_path, *flags) == 0


def test_a_cell_with_other_changes_replaces_all_its_seeds_and_comes_back(tmp_path: Path) -> None:
    assert run(tmp_path, "--rows", "Supervised") == 0
    whole = frame_in(tmp_path)
    assert run(tmp_path, "--rows", "Supervised", "--seeds", "0", "--set", "recipe.steps=20") == 0
    changed = frame_in(tmp_path).query("status == 'done'")
    assert list(changed["steps"]) == [20] and changed["differs"].str.contains("recipe.steps=20").all()
    assert run(tmp_path, "--rows", "Supervised") == 0
    assert list(frame_in(tmp_path)["key"].dropna()) == list(whole["key"].dropna())


def test_a_forced_row_is_trained_again_and_gives_the_same(out: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "--rows", "Supervised", "--seeds", "0") == 0
    first = frame_in(tmp_path).query("status == 'done'").iloc[0]
    assert run(tmp_path, "--rows", "Supervised", "--seeds", "0", "--force-row", "Supervised") == 0
    again = frame_in(tmp_path).query("status == 'done'").iloc[0]
    assert again["miou"] == first["miou"] and again["started"] >= first["finished"]


def test_two_runs_on_one_store_share_the_work(tmp_path: Path) -> None:
    both = [start_fork(runs, tmp_path) for _ in range(2)]
    for each in both:
        each.join(180)
    assert [each.exitcode for each in both] == [0, 0]
    attempts = {
        path.parent.name: [json.loads(line)["run"] for line in path.read_text().splitlines() if "run" in line]
        for path in (tmp_path / "store").glob("*/attempts.jsonl")
    }
    assert len(attempts) == 9 and all(len(runs) == 1 for runs in attempts.values()), attempts
    assert set(frame_in(tmp_path).query("status != 'quoted'")["status"]) == {"done"}


def test_ctrl_c_stops_with_a_checkpoint_and_starting_again_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "results [new] of mine"
    command = [sys.executable, str(SCRIPT), "--gangs", "0", "--out", str(out), "--rows", "CPS", "--seeds", "0"]
    command += ["--set", "recipe.steps=4000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while process.poll() is None and not list(out.glob("store/*/checkpoint-*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "The same command continues" in output and "Traceback" not in output
    assert set(frame_in(out).query("status != 'quoted'")["status"]) == {"waiting"}
    (key,) = LocalStore(out / "store").keys()
    assert records.state(LocalStore(out / "store"), key).name == "interrupted"
    (pasted,) = (line.partition("continues: ")[2] for line in output.splitlines() if "continues: " in line)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    plan = subprocess.run(
        ["bash", "-c", f"{pasted} --plan"], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    assert plan.returncode == 0 and "1 to continue" in plan.stdout, plan.stderr


def test_rows_that_set_makes_equal_are_named_in_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ("--rows", "KD", "KD, T = 4", "--set", "method.temperature=2")
    assert run(tmp_path, *rows, "--plan") == 0
    assert "--set method.temperature=2 makes the rows 'KD' and 'KD, T = 4'" in capsys.readouterr().out


def test_help_imports_neither_torch_nor_ray_nor_pandas() -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(SCRIPT.parent.parent / 'studies' / 'baseline_benchmark.py')!r}, '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'ray', 'pandas', 'optuna'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "mkd.table1" in done.stdout and "quick" in done.stdout and "--force-row" in done.stdout
