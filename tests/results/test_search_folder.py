"""The tables of a search: whole, typed, in percent, and readable without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from drawn_search import LAYOUT, Search

from assay.results.parquet import PERCENT, parquet
from assay.results.search_columns import trials_frame
from assay.results.search_folder import IMPORTANCES, TRIALS, read_trials, write_search
from assay.store.store import StoreError

ROOT = Path(__file__).parent.parent.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def folder(searched: Search, weighed: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search with its tables."""
    folder = tmp_path_factory.mktemp("tables")
    write_search(searched.layout, searched.trials, weighed, folder=folder)
    return folder


def test_trials_and_importances_are_written(folder: Path) -> None:
    assert set(contents(folder)) == {TRIALS, IMPORTANCES}


def test_the_same_trials_give_the_same_bytes(
    folder: Path, searched: Search, weighed: pd.DataFrame, tmp_path: Path
) -> None:
    write_search(searched.layout, searched.trials, weighed, folder=tmp_path)
    assert contents(tmp_path) == contents(folder)


def test_a_row_per_configuration_and_seed_has_every_parameter_as_a_column(folder: Path, searched: Search) -> None:
    trials = pd.read_parquet(folder / TRIALS)
    assert len(trials) == 80
    for trial in searched.study.trials:
        rows = trials[trials["trial"] == trial.number]
        assert rows["seed"].tolist() == [0, 1]
        for path in (parameter.path for parameter in searched.layout.parameters):
            assert rows[path].dropna().unique().tolist() == ([trial.params[path]] if path in trial.params else [])
    assert json.loads(trials["intermediate"][0]).keys() == {"100", "200", "300", "400"}


def test_every_miou_of_a_trial_is_in_percent_and_nothing_else_changes(folder: Path, searched: Search) -> None:
    shares, percent = trials_frame(searched.layout, searched.trials), pd.read_parquet(folder / TRIALS)
    scaled = ["miou", "objective/miou"]
    pd.testing.assert_frame_equal(percent[scaled], 100 * shares[scaled])
    for text, stored in zip(shares["intermediate"], percent["intermediate"], strict=True):
        assert json.loads(stored) == {step: 100 * mean for step, mean in json.loads(text).items()}
    others = [name for name in shares.columns if name not in (*scaled, "intermediate")]
    pd.testing.assert_frame_equal(percent[others], shares[others])


def test_objectives_that_are_no_miou_keep_their_unit(traded: Search, tmp_path: Path) -> None:
    write_search(traded.layout, traded.trials, pd.DataFrame(), folder=tmp_path)
    trials, shares = pd.read_parquet(tmp_path / TRIALS), trials_frame(traded.layout, traded.trials)
    assert trials["objective/device_seconds"].tolist() == shares["objective/device_seconds"].tolist()
    assert trials["objective/miou"].tolist() == (100 * shares["objective/miou"]).tolist()


@pytest.mark.parametrize("drawn", ["searched", "traded"])
def test_trials_of_an_older_version_which_wrote_shares_are_read_in_percent(
    drawn: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    search: Search = request.getfixturevalue(drawn)
    write_search(search.layout, search.trials, pd.DataFrame(), folder=tmp_path)
    old = tmp_path / "old.parquet"
    old.write_bytes(parquet(trials_frame(search.layout, search.trials)))
    pd.testing.assert_frame_equal(read_trials(old), read_trials(tmp_path / TRIALS))
    pd.testing.assert_frame_equal(read_trials(tmp_path / TRIALS), pd.read_parquet(tmp_path / TRIALS))


def test_metadata_that_pandas_writes_stay_beside_the_unit(folder: Path) -> None:
    import pyarrow.parquet as pq

    assert {b"pandas", *PERCENT} <= set(pq.read_schema(folder / TRIALS).metadata)


def test_pandas_alone_reads_the_trials(folder: Path) -> None:
    script = (
        "import pandas, sys\n"
        "frame = pandas.read_parquet(sys.argv[1])\n"
        "assert not any(name.startswith('assay') for name in sys.modules)\n"
        "print(len(frame), frame['method.boxes'].dtype, frame['method.momentum'].dtype, frame['proposed'].dtype)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder / TRIALS)], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout.split() == ["80", "Int64", "float64", "datetime64[us,", "UTC]"]


def test_columns_and_types_are_the_same_before_the_first_trial(folder: Path, tmp_path: Path) -> None:
    write_search(LAYOUT, pd.DataFrame(), pd.DataFrame(), folder=tmp_path)
    for name in (TRIALS, IMPORTANCES):
        empty, full = pd.read_parquet(tmp_path / name), pd.read_parquet(folder / name)
        assert empty.empty
        assert empty.dtypes.equals(full.dtypes)


def test_a_parameter_of_an_earlier_space_is_kept(searched: Search, tmp_path: Path) -> None:
    trials = searched.trials.assign(**{"method.gone": [1, "text"] * 40})
    write_search(searched.layout, trials, pd.DataFrame(), folder=tmp_path)
    assert pd.read_parquet(tmp_path / TRIALS)["method.gone"].tolist() == ["1", "text"] * 40


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="Cannot write"):
        write_search(LAYOUT, pd.DataFrame(), pd.DataFrame(), folder=tmp_path / "taken")
