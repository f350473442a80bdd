"""Several studies of one search in one folder: none is taken for another one, and none costs another its tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import tiny_search

from assay.run import explore

SHORT = ("--configurations", "1", "--set", "recipe.steps=20")
TABLES = ("trials.parquet", "importances.parquet", "report.html")


def searched(out: Path, *flags: str) -> int:
    return explore(tiny_search.SEARCH, ["--out", str(out), "--gangs", "0", *flags])


def folder(out: Path) -> Path:
    return out / "tiny_search" / "quick"


def contents(of: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in of.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of seed 0, for tests that only read."""
    out = tmp_path_factory.mktemp("one")
    assert searched(out, *SHORT, "--seeds", "0") == 0
    return out


def test_another_study_says_so_first_and_has_tables_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert searched(tmp_path, *SHORT, "--seeds", "0") == 0
    assert "another study" not in capsys.readouterr().out
    before = {name: (folder(tmp_path) / name).read_bytes() for name in TABLES}
    assert searched(tmp_path, *SHORT, "--seeds", "0", "1") == 0
    said = capsys.readouterr().out
    assert before == {name: (folder(tmp_path) / name).read_bytes() for name in TABLES}
    (tables,) = (path.parent for path in folder(tmp_path).glob("*/trials.parquet"))
    first = said.splitlines()[0]
    assert f"{folder(tmp_path)} holds another study of this search (seeds 0 there, 0, 1 here)" in first
    assert first.endswith(f"go to {tables}") and f"report: {tables / 'report.html'}\n" in said
    assert {path.name for path in tables.iterdir()} >= set(TABLES)
    assert list(pd.read_parquet(tables / "trials.parquet")["seed"]) == [0, 1]

    assert searched(tmp_path, *SHORT, "--seeds", "0", "1", "--report-only") == 0
    assert searched(tmp_path, *SHORT, "--seeds", "0", "--report-only") == 0
    said = capsys.readouterr().out
    assert "another study" not in said, "both are there by now"
    assert f"report: {tables / 'report.html'}\n" in said and f"report: {folder(tmp_path) / 'report.html'}\n" in said
    assert list(pd.read_parquet(folder(tmp_path) / "trials.parquet")["seed"]) == [0]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--seeds", "0", "--objectives", "parameters"), "(objectives miou there, parameters here)"),
        (("--seeds", "0", "--pruner", "none"), "(rungs 10, 20 there, 20 here)"),
        (("--seeds", "0", "--set", "net.encoder.width=8"), "recipe.steps=20, net.encoder.width=8 here)"),
        (("--seeds", "1", "2"), "(seeds 0 there, 1, 2 here)"),
    ],
)
def test_a_plan_says_in_what_another_study_differs(
    flags: tuple[str, ...], said: str, one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(one)
    assert searched(one, *SHORT, *flags, "--plan") == 0
    assert said in capsys.readouterr().out and contents(one) == before


@pytest.mark.parametrize("flags", [("--seeds", "5"), ("--seeds", "0", "--pruner", "none")])
def test_a_report_of_a_study_that_is_not_there_is_refused_and_writes_nothing(
    flags: tuple[str, ...], one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(one)
    assert searched(one, *SHORT, *flags, "--report-only") == 2
    assert searched(tmp_path / "new", *SHORT, *flags, "--report-only") == 2
    other, nothing = capsys.readouterr().err.splitlines()
    assert other.startswith(f"error: nothing was searched with these flags in {folder(one)} yet (")
    assert nothing.startswith(f"error: nothing was searched in {folder(tmp_path / 'new')} yet; run it without")
    assert contents(one) == before and not (tmp_path / "new").exists()


def test_a_plan_prints_the_space_before_anything_was_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert searched(tmp_path / "new", "--plan") == 0
    said = capsys.readouterr().out
    assert "0.001 to 0.1, log" in said and "cps, supervised" in said
    assert "No configuration was completed yet." in said and "(0 proposed so far)" in said
    assert not (tmp_path / "new").exists()
