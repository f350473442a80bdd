"""Writing a report: all files, each as a whole, from results in their stored form."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from drawn_study import Study

from assay.report.write import write_report, write_texts
from assay.results.panel import Panel
from assay.store.store import StoreError

ROOT = Path(__file__).parent.parent.parent


def write(study: Study, folder: Path, frame: pd.DataFrame | None = None) -> list[Path]:
    return write_report(
        study.frame if frame is None else frame,
        study.layout,
        history=study.history,
        panel=study.panel,
        folder=folder,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_are_written_and_named(study: Study, tmp_path: Path) -> None:
    paths = write(study, tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in paths]
    assert names[0] == "report.html"
    assert {f"tables/drawn.table1.{suffix}" for suffix in ("md", "tex", "csv")} <= set(names)
    assert "figures/drawn.table1.paper.1-1-16-92.svg" in names
    assert sorted(contents(tmp_path)) == sorted(names)


def test_the_same_results_give_the_same_bytes(study: Study, written: Path, tmp_path: Path) -> None:
    write(study, tmp_path)
    assert contents(tmp_path) == contents(written)


def test_results_read_from_parquet_give_the_same_report(study: Study, written: Path, tmp_path: Path) -> None:
    study.frame.to_parquet(tmp_path / "results.parquet")
    write(study, tmp_path / "report", pd.read_parquet(tmp_path / "results.parquet"))
    assert contents(tmp_path / "report") == contents(written)


def test_a_file_is_replaced_and_never_overwritten(study: Study, tmp_path: Path) -> None:
    page = write(study, tmp_path)[0]
    link = tmp_path / "kept.html"
    link.hardlink_to(page)
    before = link.read_bytes()
    frame = study.frame.assign(miou=study.frame["miou"] + 1)
    write(study, tmp_path, frame)
    assert link.read_bytes() == before
    assert page.read_bytes() != before


def test_a_writer_that_fails_leaves_nothing_behind(study: Study, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(StoreError, match="Cannot write"):
        write(study, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["report.html"]


def test_a_running_study_can_write_its_text_tables_alone(study: Study, tmp_path: Path) -> None:
    write_texts(study.frame, study.layout, folder=tmp_path)
    names = {f"{table.name}.{suffix}" for table in study.layout.tables for suffix in ("md", "tex", "csv")}
    assert {path.name for path in tmp_path.rglob("*.*")} == names


def test_a_study_that_has_not_begun_has_a_report(study: Study, tmp_path: Path) -> None:
    frame = study.frame.assign(status=study.frame["status"].where(study.frame["status"] == "quoted", "waiting"))
    page = write(Study(frame, study.layout), tmp_path)[0].read_text(encoding="utf-8")
    assert "33</b> waiting" in page
    assert not re.search(r'class="chip (?!waiting|quoted)', page)


def test_panels_are_of_the_first_finished_seed_in_the_column_with_most_finished_rows(
    study: Study, tmp_path: Path
) -> None:
    requested = []

    def panel(key: str) -> Panel | None:
        requested.append(key)
        return study.panel(key)

    write_report(study.frame, study.layout, history=study.history, panel=panel, folder=tmp_path)
    assert [key for key in requested if "table1" in key] == [
        f"drawn.table1-{row}-1/16 (92)-0"
        for row in ("Supervised", "Mean Teacher [31]", "CPS & <R50>_100%", "Mutual distillation")
    ]


def test_without_stored_predictions_there_are_no_strips(study: Study, tmp_path: Path) -> None:
    write_report(study.frame, study.layout, history=study.history, panel=lambda key: None, folder=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Predictions on validation images" not in page
    assert "<img" not in page


def test_reports_are_written_without_torch_or_ray() -> None:
    check = (
        "import assay.report.write, sys\n"
        "print(sorted({'torch', 'torchvision', 'ray', 'optuna', 'timm', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT,
        env={"PYTHONPATH": "platform:.", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
