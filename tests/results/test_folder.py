"""The tables of one study and profile, rebuilt from the store."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import QUIET, small
from planned_cell import cell

from assay.experiment import Experiment
from assay.places import Places
from assay.resolve import resolve
from assay.results.folder import StudyFolder
from assay.results.layout import ColumnLayout, Counted, RowLayout, StudyLayout, TableLayout
from assay.store import records
from assay.store.local import LocalStore
from assay.store.store import StoreError
from assay.training.session import train

PLACES = Places()
LAYOUT = StudyLayout(
    name="s",
    title="S",
    profile="quick",
    tables=(
        TableLayout(
            name="mkd.table1",
            title="T",
            rows=(RowLayout(label="a"), RowLayout(label="b")),
            columns=(ColumnLayout(label="1/8(183)"),),
        ),
    ),
)
PLANS = """
import json, sys
sys.path[:0] = json.loads(sys.argv[4])
from pathlib import Path
from assay.results.folder import StudyFolder
from assay.results.layout import StudyLayout
from assay.store.local import LocalStore
path, number, cell = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
folder = StudyFolder(path, LocalStore(path / "store"), StudyLayout(name="s", title="S", profile="quick", tables=()))
print("ready", flush=True)
sys.stdin.readline()
for part in range(10):
    folder.plan([{**cell, "row": f"{number}-{part}"}])
"""


def trained(store: LocalStore, experiment: Experiment) -> None:
    train(resolve(experiment, PLACES), store, places=PLACES, runtime=QUIET)


@pytest.fixture
def folder(store: LocalStore, tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "s" / "quick", store, LAYOUT)


def planned(folder: StudyFolder) -> list[tuple[str, int]]:
    frame = folder.rebuild(())
    return list(zip(frame["row"], frame["seed"], strict=True))


def test_cells_of_earlier_plans_stay_when_a_later_plan_has_fewer(folder: StudyFolder) -> None:
    folder.plan([cell(small(seed=seed), row) for row in ("a", "b") for seed in (0, 1)])
    folder.plan([cell(small(seed=1), "b"), cell(small(seed=2), "b")])
    assert sorted(planned(folder)) == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]


def test_a_cell_that_is_planned_again_has_its_latest_key(folder: StudyFolder) -> None:
    """A method's new version gives its experiments new keys."""
    folder.plan([cell(small(), key="0" * 16)])
    folder.plan([cell(small())])
    assert list(folder.rebuild(())["key"]) == [resolve(small(), PLACES).key]


def test_an_edited_list_replaces_all_seeds_although_no_value_changed(folder: StudyFolder) -> None:
    folder.plan([cell(small(seed=seed)) for seed in (0, 1)])
    edited = [cell(small(seed=seed), key=str(seed) * 16, meaning="another list") for seed in (1, 2)]
    folder.plan(edited[:1])
    folder.plan(edited[1:])
    frame = folder.rebuild(())
    assert list(zip(frame["seed"], frame["key"], strict=True)) == [(1, "1" * 16), (2, "2" * 16)]


def test_cells_of_versions_that_stored_no_meaning_are_replaced(folder: StudyFolder) -> None:
    old = [{name: value for name, value in cell(small(seed=seed)).items() if name != "meaning"} for seed in (0, 1)]
    folder.plan(old)
    folder.plan([cell(small(seed=1))])
    assert planned(folder) == [("a", 1)]


def test_a_cell_with_other_changes_replaces_all_its_seeds(folder: StudyFolder) -> None:
    folder.plan([cell(small(seed=seed), row) for row in ("a", "b") for seed in (0, 1)])
    folder.plan([cell(small("cps", seed=1), "b")])
    assert sorted(planned(folder)) == [("a", 0), ("a", 1), ("b", 1)]


def test_a_cell_of_an_edited_profile_replaces_all_its_seeds(folder: StudyFolder) -> None:
    """The changes of the row stay the same; the profile trains twice as long."""
    folder.plan([cell(small(seed=seed)) for seed in (0, 1)])
    folder.plan([cell(small(seed=1, recipe__steps=24))])
    frame = folder.rebuild(())
    assert list(zip(frame["seed"], frame["steps"], strict=True)) == [(1, 24)]


def test_seeds_of_a_row_whose_teachers_have_the_seed_of_the_cell_are_one_cell(folder: StudyFolder) -> None:
    for seed in (0, 1, 2):
        folder.plan([cell(small("kd", method__teachers=(small(seed=seed),), seed=seed))])
    assert planned(folder) == [("a", 0), ("a", 1), ("a", 2)]


def test_processes_that_plan_at_the_same_time_lose_no_cells(folder: StudyFolder) -> None:
    command = [sys.executable, "-c", PLANS, str(folder.path)]
    processes = [
        subprocess.Popen(
            [*command, str(number), json.dumps(cell(small())), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    rows = set(pd.read_parquet(folder.path / "cells.parquet")["row"])
    assert rows == {f"{number}-{part}" for number in range(3) for part in range(10)}


def test_only_cells_that_were_never_planned_are_quoted(folder: StudyFolder) -> None:
    folder.plan([cell(small())])
    quoted = [{"table": "mkd.table1", "row": row, "column": "1/8(183)", "paper_miou": 60.0} for row in ("a", "b")]
    frame = folder.rebuild(quoted)
    assert list(zip(frame["row"], frame["status"], strict=True)) == [("a", "waiting"), ("b", "quoted")]


def test_pandas_alone_reads_every_table(folder: StudyFolder, store: LocalStore) -> None:
    first, second = small(recipe__steps=4), small(recipe__steps=4, seed=1)
    trained(store, first)
    folder.plan([cell(first), cell(second)])
    frame = folder.rebuild(())
    read = pd.read_parquet(folder.path / "results.parquet")
    assert list(read.columns) == list(frame.columns) and list(read["status"]) == ["done", "waiting"]
    assert read.loc[0, "miou"] == frame.loc[0, "miou"]
    history = pd.read_parquet(folder.path / "history.parquet")
    assert set(history["key"]) == {read.loc[0, "key"]} and list(history.columns) == ["key", "step", "name", "value"]
    assert np.isfinite(history["value"]).all()
    lines = records.read_metrics(store, read.loc[0, "key"])
    expected = {(line["step"], name): value for line in lines for name, value in line.items() if name != "step"}
    expected = {
        (step, name): 100 * value if name.endswith(("/miou", "/pixel_accuracy")) else value
        for (step, name), value in expected.items()
        if isinstance(value, (int, float))
    }
    assert {(line.step, line.name): line.value for line in history.itertuples(index=False)} == expected
    assert not list(folder.path.glob("**/.*.parquet.*")), "no temporary file is left"


def test_a_history_is_rewritten_until_its_training_ends_and_after_a_new_training(
    folder: StudyFolder, store: LocalStore
) -> None:
    experiment = small(recipe__steps=4)
    key = resolve(experiment, PLACES).key
    path = folder.path / "history.parquet" / f"{key}.parquet"
    folder.plan([cell(experiment)])
    folder.rebuild(())
    assert not path.exists()
    trained(store, experiment)
    folder.rebuild(())
    first = path.stat().st_ino
    folder.rebuild(())
    assert path.stat().st_ino == first, "a complete history is not written again"
    result = records.read_json(store, key, records.RESULT)
    for name in store.names(key):
        store.delete(key, name)
    folder.rebuild(())
    assert not path.exists(), "the store forgot it"
    log = store.open_log(key, records.METRICS, b'{"step": 1, "loss": 0.25}\n')
    log.close()
    records.write_result(store, key, {**result, "finished": "2030-01-01T00:00:00Z"})
    folder.rebuild(())
    assert pd.read_parquet(path).to_dict("records") == [{"key": key, "step": 1, "name": "loss", "value": 0.25}]
    store.open_log(key, records.METRICS, b'{"step": 1, "loss": 0.5}\n').close()
    store.delete(key, records.RESULT)
    records.write_result(store, key, {**result, "finished": "2030-01-01T00:00:01Z"})
    folder.rebuild(())
    assert pd.read_parquet(path)["value"].tolist() == [0.5]


def test_a_file_in_the_place_of_the_folder_is_an_error_in_one_sentence(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder must be"):
        StudyFolder(tmp_path / "s" / "quick", store, LAYOUT).plan([cell(small())])


def test_a_layout_with_sizes_comes_back_and_one_of_an_older_version_has_none() -> None:
    (table,) = LAYOUT.tables
    row = RowLayout(label="a", counted=Counted(params=11.19e6, macs=17.2e9, crop="512x512"))
    sized = dataclasses.replace(LAYOUT, tables=(dataclasses.replace(table, rows=(row,), count_flops_of="encoder"),))
    assert StudyLayout.from_json(json.loads(json.dumps(sized.to_json()))) == sized
    old = LAYOUT.to_json()
    del old["tables"][0]["counts"]
    for row in old["tables"][0]["rows"]:
        del row["counted"]
    assert StudyLayout.from_json(json.loads(json.dumps(old))) == LAYOUT


def test_the_layout_is_stored_beside_the_cells(folder: StudyFolder) -> None:
    folder.plan([cell(small())])
    assert StudyLayout.from_json(json.loads((folder.path / "study.json").read_text())) == LAYOUT
