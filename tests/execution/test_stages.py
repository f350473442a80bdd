"""Trainings that hang on others: what becomes of students when something happens to their teachers."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import tiny_study
from forks import start_fork
from small_values import SMALL

from assay.presets import quick
from assay.run import run_study
from assay.store import records
from assay.store.local import LocalStore
from assay.study import Changes, Nested, Profile, Row, Study, Table

COLUMN = "1/16(92)"
TEACHER: Changes = {"method": "supervised"}
BROKEN: Changes = {"method": "supervised", "recipe.optimizer.lr": 1e30, "recipe.steps": 40}


def student_of(*teachers: Changes, temperature: float = 1.0) -> Changes:
    teachers_ = tuple(Nested(each, seed=7) for each in teachers)
    return {"method": "kd", "method.teachers": teachers_, "method.temperature": temperature}


def study(*rows: Row, name: str = "stages", seeds: tuple[int, ...] = (0,)) -> Study:
    profile = Profile(name="quick", note="drawn", start=quick, changes=SMALL, columns={COLUMN: {}}, seeds=seeds)
    table = Table(name="mkd.table1", rows=rows, columns=(COLUMN,))
    return Study(name=name, title=name, tables=(table,), profiles=(profile,))


def run(of: Study, out: Path, *flags: str) -> int:
    return run_study(of, ["--gangs", "0", "--out", str(out), *flags])


def runs(of: Study, out: Path, *flags: str) -> None:
    sys.exit(run(of, out, *flags))


def statuses(out: Path) -> dict[str, str]:
    frame = pd.read_parquet(out / "stages" / "quick" / "results.parquet").query("status != 'quoted'")
    return dict(zip(frame["row"], frame["status"], strict=True))


def error(out: Path, row: str) -> str:
    frame = pd.read_parquet(out / "stages" / "quick" / "results.parquet").set_index("row")
    return str(frame.loc[row, "error"])


def seed_of(store: LocalStore, key: str) -> int:
    document = records.read_json(store, key, records.EXPERIMENT)
    assert document is not None
    return int(document["experiment"]["seed"])


def teacher_in(out: Path) -> str:
    store = LocalStore(out / "store")
    (found,) = (key for key in sorted(store.keys()) if seed_of(store, key) == 7)
    return found


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()}


def test_a_run_killed_between_teacher_and_student_goes_on_with_the_student(tmp_path: Path) -> None:
    flags = ["--rows", "KD", "--seeds", "0", "--set", "recipe.steps=100", "--set", "recipe.evaluation.every=100"]
    process = start_fork(runs, tiny_study.STUDY, tmp_path, *flags)
    while process.is_alive() and not list(tmp_path.glob("store/*/result.json")):
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    teacher = teacher_in(tmp_path)
    store = LocalStore(tmp_path / "store")
    assert [records.state(store, key).name for key in sorted(store.keys()) if key != teacher] in ([], ["interrupted"])
    before = stamps(store.root / teacher)
    assert run(tiny_study.STUDY, tmp_path, *flags) == 0
    (student,) = (key for key in sorted(store.keys()) if key != teacher)
    assert records.state(store, student).name == "done"
    assert stamps(store.root / teacher) == before and len(records.attempts(store, teacher)) == 1


def test_a_failed_teacher_blocks_its_students_alone_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = study(Row("alone", TEACHER), Row("KD", student_of(TEACHER)), Row("KD of both", student_of(TEACHER, BROKEN)))
    assert run(of, tmp_path) == 1
    assert statuses(tmp_path) == {"alone": "done", "KD": "done", "KD of both": "blocked"}
    store = LocalStore(tmp_path / "store")
    (broken,) = (key for key in sorted(store.keys()) if records.state(store, key).name == "failed")
    assert broken in error(tmp_path, "KD of both")
    output = capsys.readouterr().out
    assert "NotFinite" in output and "blocked" in output and "Traceback" not in output
    assert run(of, tmp_path, "--plan") == 0
    assert "1 failed, 1 blocked" in capsys.readouterr().out


def test_a_teacher_that_was_removed_is_trained_again_for_a_new_student_and_the_old_one_stays(tmp_path: Path) -> None:
    old, new = Row("KD", student_of(TEACHER)), Row("KD, T = 4", student_of(TEACHER, temperature=4.0))
    assert run(study(old), tmp_path) == 0
    teacher = teacher_in(tmp_path)
    weights = (tmp_path / "store" / teacher / "weights.pt").read_bytes()
    shutil.rmtree(tmp_path / "store" / teacher)
    (student,) = (tmp_path / "store").iterdir()
    before = stamps(student)
    assert run(study(old, new), tmp_path) == 0
    assert statuses(tmp_path) == {"KD": "done", "KD, T = 4": "done"} and stamps(student) == before
    assert (tmp_path / "store" / teacher / "weights.pt").read_bytes() == weights, "equal experiments, equal bits"


def test_a_removed_teacher_whose_students_are_all_done_is_not_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = study(Row("KD", student_of(TEACHER)))
    assert run(of, tmp_path) == 0
    shutil.rmtree(tmp_path / "store" / teacher_in(tmp_path))
    before = stamps(tmp_path / "store")
    capsys.readouterr()
    assert run(of, tmp_path) == 0
    assert stamps(tmp_path / "store") == before
    assert "1 not needed any more" in capsys.readouterr().out


def test_a_teacher_of_another_script_is_not_trained_again(tmp_path: Path) -> None:
    elsewhere = study(Row("Supervised", TEACHER), name="elsewhere", seeds=(7,))
    assert run(elsewhere, tmp_path) == 0
    teacher = teacher_in(tmp_path)
    before = stamps(tmp_path / "store" / teacher)
    assert (
        run(study(Row("KD", student_of(TEACHER)), Row("KD, T = 4", student_of(TEACHER, temperature=4.0))), tmp_path)
        == 0
    )
    assert set(statuses(tmp_path).values()) == {"done"}
    assert stamps(tmp_path / "store" / teacher) == before
    (attempt,) = records.attempts(LocalStore(tmp_path / "store"), teacher)
    assert attempt["run"].startswith("elsewhere")
