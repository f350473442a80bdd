"""The files of a search's report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from drawn_search import LAYOUT, Search, search

from assay.report.search.write import write_search_report
from assay.store.store import StoreError

ROOT = Path(__file__).parent.parent.parent.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_and_the_figures_are_written(search_folder: Path) -> None:
    names = set(contents(search_folder))
    assert {"report.html", "figures/search.history.1.svg"} <= names
    assert not [name for name in names if Path(name).name.startswith(".")]


def test_the_same_trials_give_the_same_report(
    search_folder: Path, searched: Search, weighed: pd.DataFrame, tmp_path: Path
) -> None:
    write_search_report(searched.layout, searched.trials, weighed, "Momentum is not ranked by fANOVA.", folder=tmp_path)
    before = contents(search_folder)
    assert contents(tmp_path) == {name: data for name, data in before.items() if not name.endswith(".parquet")}


@pytest.mark.parametrize("count, failing, running", [(1, (), ()), (1, (0,), ()), (1, (), (0,)), (3, (0, 1), (2,))])
def test_few_failed_and_running_trials_make_a_report(
    tmp_path: Path, count: int, failing: tuple[int, ...], running: tuple[int, ...]
) -> None:
    drawn = search(count, failing=failing, running=running)
    write_search_report(drawn.layout, drawn.trials, pd.DataFrame(), "Too few.", folder=tmp_path)
    assert "Too few." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="Cannot write"):
        write_search_report(LAYOUT, pd.DataFrame(), pd.DataFrame(), folder=tmp_path / "taken")


def test_writing_loads_neither_optuna_nor_torch_nor_ray() -> None:
    script = (
        "import assay.results.search_folder, assay.report.search.write, assay.report.search.text_tables, sys\n"
        "print(sorted({'torch', 'ray', 'optuna', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": "platform:.", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
