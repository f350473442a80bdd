"""Results for a notebook."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_search import LAYOUT, Search
from drawn_study import Study

from assay import load
from assay.analysis.orderings import orderings_frame
from assay.errors import UserError
from assay.results.folder import StudyFolder
from assay.results.ordering_columns import ORDERING_COLUMNS
from assay.results.parquet import parquet
from assay.results.search_columns import trials_frame
from assay.results.search_folder import write_search
from assay.store.local import LocalStore

CELLS = [
    ("Supervised", "1/8", 0, 50.0),
    ("Supervised", "1/8", 1, 52.0),
    ("Supervised", "1/16", 0, 40.0),
    ("Supervised", "1/16", 1, None),  # it failed
    ("CPS", "1/8", 0, None),
    ("CPS", "1/16", 0, 43.0),
]


def write(folder: Path, *, study: str = "s", profile: str = "quick", table: str = "mkd.table1") -> None:
    frame = pd.DataFrame(CELLS, columns=["row", "column", "seed", "miou"])
    frame = frame.assign(study=study, profile=profile, table=table, miou_best=frame["miou"] + 1)
    place = folder / study / profile
    place.mkdir(parents=True)
    frame.to_parquet(place / "results.parquet")


def test_a_table_has_the_papers_order_and_means_over_the_finished_seeds(tmp_path: Path) -> None:
    write(tmp_path)
    pivot = load(tmp_path).pivot("mkd.table1")
    assert list(pivot.index) == ["Supervised", "CPS"] and list(pivot.columns) == ["1/8", "1/16"]
    assert pivot.loc["Supervised"].tolist() == [51.0, 40.0]
    assert np.isnan(pivot.loc["CPS", "1/8"]) and pivot.loc["CPS", "1/16"] == 43.0
    assert load(tmp_path).pivot("mkd.table1", "miou_best").loc["CPS", "1/16"] == 44.0


def test_no_mean_is_taken_over_two_profiles_or_studies(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, profile="paper")
    write(tmp_path, study="t", table="mgd.table1")
    assert len(load(tmp_path).frame) == 3 * len(CELLS)
    with pytest.raises(UserError, match="load one of its folders: s/paper, s/quick"):
        load(tmp_path).pivot("mkd.table1")
    assert load(tmp_path / "s" / "paper").pivot("mkd.table1").loc["Supervised", "1/8"] == 51.0
    assert load(tmp_path).pivot("mgd.table1").loc["Supervised", "1/8"] == 51.0


def test_an_unknown_table_is_an_error_with_the_names_of_all_tables(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match=r"no table 'mkd.table2' in .*there is: mkd\.table1"):
        load(tmp_path).pivot("mkd.table2")


def test_a_folder_without_results_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no results\.parquet below .*run a study"):
        load(tmp_path / "nowhere")


def write_searches(folder: Path, searched: Search, traded: Search) -> None:
    """Write two searches; the second one's file is of an older version, which wrote shares."""
    first, second = folder / "first" / "quick", folder / "second" / "paper"
    weights = pd.DataFrame({"objective": ["miou"], "evaluator": ["fANOVA"], "parameter": ["lr"], "importance": [0.5]})
    write_search(searched.layout, searched.trials, weights, folder=first)
    write_search(traded.layout, traded.trials, pd.DataFrame(), folder=second)
    (second / "trials.parquet").write_bytes(parquet(trials_frame(traded.layout, traded.trials)))


def test_the_trials_of_all_searches_are_one_frame_in_percent(tmp_path: Path, searched: Search, traded: Search) -> None:
    write_searches(tmp_path, searched, traded)
    trials = load(tmp_path).trials
    assert list(trials.columns[:4]) == ["search", "profile", "tables", "trial"]
    origins = trials.groupby(["search", "profile"]).size().to_dict()
    assert origins == {("first", "quick"): len(searched.trials), ("second", "paper"): len(traded.trials)}
    for name, drawn in (("first", searched), ("second", traded)):
        rows = trials[trials["search"] == name]
        assert rows["miou"].tolist() == (100 * drawn.trials["miou"]).tolist()
        assert set(rows["tables"]) == {str(tmp_path / name / ("quick" if name == "first" else "paper"))}
    assert trials.loc[trials["search"] == "first", "objective/device_seconds"].isna().all()


def test_importances_have_the_name_of_their_search(tmp_path: Path, searched: Search, traded: Search) -> None:
    write_searches(tmp_path, searched, traded)
    weights = load(tmp_path).importances
    assert weights[["search", "profile", "parameter"]].to_numpy().tolist() == [["first", "quick", "lr"]]


def test_a_folder_of_one_search_loads_and_its_studies_are_empty(
    tmp_path: Path, searched: Search, traded: Search
) -> None:
    write_searches(tmp_path, searched, traded)
    results = load(tmp_path / "first" / "quick")
    assert results.frame.empty and {"table", "row", "miou"} <= set(results.frame.columns)
    assert set(results.trials["search"]) == {"first"} and set(results.trials["profile"]) == {"quick"}
    assert results.history().empty
    with pytest.raises(UserError, match=r"no table 'mkd\.table1' in .*there is: none"):
        results.pivot("mkd.table1")


def test_a_later_study_of_a_journal_has_the_search_and_profile_of_the_first(
    tmp_path: Path, searched: Search, traded: Search
) -> None:
    write_searches(tmp_path, searched, traded)
    folder = tmp_path / "first" / "quick"
    (folder / "optuna.journal").touch()
    write_search(searched.layout, searched.trials, pd.DataFrame(), folder=folder / "0123abcd")
    trials = load(tmp_path / "first").trials
    assert trials.groupby(["search", "profile", "tables"]).size().to_dict() == {
        ("first", "quick", str(folder)): 80,
        ("first", "quick", str(folder / "0123abcd")): 80,
    }


def test_without_searches_trials_and_importances_are_empty(tmp_path: Path) -> None:
    write(tmp_path)
    results = load(tmp_path)
    assert results.trials.empty and {"search", "profile", "trial", "miou"} <= set(results.trials.columns)
    assert results.importances.empty and {"search", "parameter"} <= set(results.importances.columns)


def test_the_published_orderings_of_all_studies_are_one_frame(tmp_path: Path, study: Study) -> None:
    frame = orderings_frame(study.frame, study.layout)
    for name in ("s", "t"):
        write(tmp_path, study=name)
        StudyFolder(tmp_path / name / "quick", LocalStore(tmp_path / "store"), study.layout).write_orderings(frame)
    orderings = load(tmp_path).orderings
    pd.testing.assert_frame_equal(orderings, pd.concat([frame, frame], ignore_index=True))


def test_results_of_older_versions_have_no_orderings(tmp_path: Path) -> None:
    write(tmp_path)
    orderings = load(tmp_path).orderings
    assert orderings.empty and list(orderings.columns) == list(ORDERING_COLUMNS)


def test_a_search_before_its_first_trial_loads(tmp_path: Path) -> None:
    write_search(LAYOUT, pd.DataFrame(), pd.DataFrame(), folder=tmp_path / "s" / "quick")
    assert load(tmp_path).trials.empty


def test_a_study_without_histories_has_an_empty_one(tmp_path: Path) -> None:
    write(tmp_path)
    history = load(tmp_path).history()
    assert history.empty and list(history.columns) == ["key", "step", "name", "value"]


def test_a_history_that_two_studies_share_appears_once(tmp_path: Path) -> None:
    for study in ("s", "t"):
        write(tmp_path, study=study)
        folder = tmp_path / study / "quick" / "history.parquet"
        folder.mkdir()
        line = {"key": ["k"], "step": [1], "name": ["loss"], "value": [0.5]}
        pd.DataFrame(line).to_parquet(folder / "k.parquet")
    assert load(tmp_path).history().to_dict("records") == [{"key": "k", "step": 1, "name": "loss", "value": 0.5}]


def test_a_million_lines_of_history_load_and_pivot_in_seconds(tmp_path: Path) -> None:
    write(tmp_path)
    folder = tmp_path / "s" / "quick" / "history.parquet"
    folder.mkdir()
    names = np.tile(["loss", "lr", "val/student/miou", "term/cross"], 2500)
    for number in range(100):
        values = np.random.default_rng(number).random(10_000)
        steps = np.repeat(np.arange(2500), 4)
        columns = {"key": [f"{number:016d}"] * 10_000, "step": steps, "name": names, "value": values}
        pq.write_table(pa.table(columns), folder / f"{number:016d}.parquet")
    results = load(tmp_path)
    began = time.process_time()
    history = results.history()
    loaded = time.process_time()
    table = history.pivot_table(index=["key", "step"], columns="name", values="value")
    ended = time.process_time()
    print(f"a million lines: loaded in {loaded - began:.2f} s, pivoted in {ended - loaded:.2f} s")
    assert len(history) == 1_000_000 and table.shape == (250_000, 4)
    assert ended - began < 2, f"{ended - began:.1f} s"
