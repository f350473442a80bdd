"""The files of a search: whole, typed, and readable without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from drawn_search import LAYOUT, Search, search

from assay.results.search_folder import IMPORTANCES, TRIALS, load, write
from assay.store.store import StoreError

ROOT = Path(__file__).parent.parent.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_the_tables_and_the_figures_are_written(search_folder: Path) -> None:
    found = set(contents(search_folder))
    assert {"report.html", TRIALS, IMPORTANCES, "figures/search.history.1.svg"} <= found
    assert not [name for name in found if Path(name).name.startswith(".")]


def test_the_same_trials_give_the_same_bytes(search_folder: Path, searched: Search, tmp_path: Path) -> None:
    trials, importances = load(search_folder)
    write(tmp_path, searched.layout, trials, importances, "Momentum is not ranked by fANOVA.")
    assert contents(tmp_path) == contents(search_folder)


def test_a_row_per_configuration_and_seed_has_every_parameter_as_a_column(
    search_folder: Path, searched: Search
) -> None:
    trials, _ = load(search_folder)
    assert len(trials) == 80
    for each in searched.study.trials:
        own = trials[trials["trial"] == each.number]
        assert own["seed"].tolist() == [0, 1]
        for path in (layout.path for layout in searched.layout.parameters):
            assert own[path].dropna().unique().tolist() == ([each.params[path]] if path in each.params else [])
    assert json.loads(trials["intermediate"][0]).keys() == {"100", "200", "300", "400"}


def test_pandas_alone_reads_what_was_written(search_folder: Path) -> None:
    script = (
        "import pandas, sys\n"
        "frame = pandas.read_parquet(sys.argv[1])\n"
        "assert not any(name.startswith('assay') for name in sys.modules)\n"
        "print(len(frame), frame['method.boxes'].dtype, frame['method.momentum'].dtype, frame['proposed'].dtype)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(search_folder / TRIALS)], capture_output=True, text=True, check=True, env={}
    )
    assert found.stdout.split() == ["80", "Int64", "float64", "datetime64[us,", "UTC]"]


def test_columns_and_types_are_the_same_before_the_first_trial(search_folder: Path, tmp_path: Path) -> None:
    write(tmp_path, LAYOUT, pd.DataFrame(), pd.DataFrame(), "Nothing yet.")
    for empty, full in zip(load(tmp_path), load(search_folder), strict=True):
        assert empty.empty
        assert empty.dtypes.equals(full.dtypes)


def test_a_parameter_of_an_earlier_space_is_kept(searched: Search, tmp_path: Path) -> None:
    trials = searched.trials.assign(**{"method.gone": [1, "text"] * 40})
    write(tmp_path, searched.layout, trials, pd.DataFrame(), "")
    assert load(tmp_path)[0]["method.gone"].tolist() == ["1", "text"] * 40


@pytest.mark.parametrize("count, failing, running", [(1, (), ()), (1, (0,), ()), (1, (), (0,)), (3, (0, 1), (2,))])
def test_few_failed_and_running_trials_make_a_report(
    tmp_path: Path, count: int, failing: tuple[int, ...], running: tuple[int, ...]
) -> None:
    found = search(count, failing=failing, running=running)
    write(tmp_path, found.layout, found.trials, pd.DataFrame(), "Too few.")
    assert "Too few." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="Cannot write"):
        write(tmp_path / "taken", LAYOUT, pd.DataFrame(), pd.DataFrame(), "")


def test_writing_loads_neither_optuna_nor_torch_nor_ray() -> None:
    script = (
        "import assay.results.search_folder, assay.report.search.text_tables, sys\n"
        "print(sorted({'torch', 'ray', 'optuna', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": "platform:.", "PATH": ""}
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
