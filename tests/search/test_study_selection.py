"""Several Optuna studies of one search in one folder: each keeps its trials and its tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import tiny_search

from assay.run import run_search
from assay.search import Choice, Float, Int, Search, When
from assay.search.space import Domain
from assay.store import records
from assay.store.local import LocalStore
from studies import mkd_search

SHORT = ("--configurations", "1", "--set", "recipe.steps=20")
TABLES = ("trials.parquet", "importances.parquet", "report.html")


def run_tiny(out: Path, *flags: str, search: Search = tiny_search.SEARCH) -> int:
    return run_search(search, ["--out", str(out), "--gangs", "0", *flags])


def over(space: Mapping[str, Domain]) -> Search:
    """Return the tiny search with other domains."""
    return dataclasses.replace(tiny_search.SEARCH, space=space)


def folder(out: Path) -> Path:
    return out / "tiny_search" / "quick"


def contents(out: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished search with seed 0, for tests that only read."""
    out = tmp_path_factory.mktemp("finished")
    assert run_tiny(out, *SHORT, "--seeds", "0") == 0
    return out


def test_another_study_is_announced_first_and_has_its_own_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(tmp_path, *SHORT, "--seeds", "0") == 0
    assert "another study" not in capsys.readouterr().out
    before = {name: (folder(tmp_path) / name).read_bytes() for name in TABLES}
    assert run_tiny(tmp_path, *SHORT, "--seeds", "0", "1") == 0
    output = capsys.readouterr().out
    assert before == {name: (folder(tmp_path) / name).read_bytes() for name in TABLES}
    (tables,) = (path.parent for path in folder(tmp_path).glob("*/trials.parquet"))
    first = output.splitlines()[0]
    assert f"{folder(tmp_path)} holds another study of this search (seeds 0 there, 0, 1 here)" in first
    assert first.endswith(f"go to {tables}") and f"report: {tables / 'report.html'}\n" in output
    assert {path.name for path in tables.iterdir()} >= set(TABLES)
    assert list(pd.read_parquet(tables / "trials.parquet")["seed"]) == [0, 1]

    assert run_tiny(tmp_path, *SHORT, "--seeds", "0", "1", "--report-only") == 0
    assert run_tiny(tmp_path, *SHORT, "--seeds", "0", "--report-only") == 0
    output = capsys.readouterr().out
    assert "another study" not in output, "both exist by now"
    assert f"report: {tables / 'report.html'}\n" in output and f"report: {folder(tmp_path) / 'report.html'}\n" in output
    assert list(pd.read_parquet(folder(tmp_path) / "trials.parquet")["seed"]) == [0]


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (
            ("--seeds", "0", "--objectives", "parameters"),
            "(objectives miou there, parameters here; rungs 10, 20 there, 20 here)",
        ),
        (("--seeds", "0", "--pruner", "none"), "(rungs 10, 20 there, 20 here)"),
        (("--seeds", "0", "--set", "net.encoder.width=8"), "net.encoder.width=8, recipe.steps=20 here)"),
        (("--seeds", "1", "2"), "(seeds 0 there, 1, 2 here)"),
    ],
)
def test_a_plan_prints_the_difference_to_another_study(
    flags: tuple[str, ...], difference: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    assert run_tiny(finished, *SHORT, *flags, "--plan") == 0
    assert difference in capsys.readouterr().out and contents(finished) == before


@pytest.mark.parametrize("flags", [("--seeds", "5"), ("--seeds", "0", "--pruner", "none")])
def test_a_report_of_a_study_that_does_not_exist_is_refused_and_writes_nothing(
    flags: tuple[str, ...], finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(finished)
    assert run_tiny(finished, *SHORT, *flags, "--report-only") == 2
    assert run_tiny(tmp_path / "new", *SHORT, *flags, "--report-only") == 2
    other, nothing = capsys.readouterr().err.splitlines()
    assert other.startswith(f"error: nothing was searched with these flags in {folder(finished)} yet (")
    assert nothing.startswith(f"error: nothing was searched in {folder(tmp_path / 'new')} yet; run the search without")
    assert contents(finished) == before and not (tmp_path / "new").exists()


def test_a_plan_prints_the_space_before_any_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tiny(tmp_path / "new", "--plan") == 0
    output = capsys.readouterr().out
    assert "0.001 to 0.1, log" in output and "cps, supervised" in output
    assert "No configuration was completed yet." in output and "(0 proposed so far)" in output
    assert not (tmp_path / "new").exists()


# --- another space -----------------------------------------------------------------------------------------------

SPACE = tiny_search.SEARCH.space
WEIGHT = Float(0.1, 3.0, log=True)
OTHER_SPACES: Mapping[str, tuple[Mapping[str, Domain], str]] = {
    "an option more": (
        {**SPACE, "method": Choice(("cps", "supervised", "mean_teacher"))},
        'space at method: choice of "cps", "supervised" there, choice of "cps", "supervised", "mean_teacher" here',
    ),
    "no logarithm": (
        {**SPACE, "recipe.optimizer.lr": Float(0.001, 0.1)},
        "space at recipe.optimizer.lr: float, log there, float here",
    ),
    "whole numbers": (
        {**SPACE, "method.weight": When("method", {"cps": Int(1, 3)})},
        "space at method.weight | cps: float, log, if method = cps there, int, if method = cps here",
    ),
    "one more": (
        {**SPACE, "recipe.labeled_batch": Int(2, 3)},
        "space at recipe.labeled_batch: nothing there, int here",
    ),
    "one less": (
        {name: domain for name, domain in SPACE.items() if name != "recipe.optimizer.lr"},
        "space at recipe.optimizer.lr: float, log there, nothing here",
    ),
}


@pytest.mark.parametrize("change", OTHER_SPACES)
def test_another_space_makes_another_study_and_only_the_difference_is_named(
    change: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, difference = OTHER_SPACES[change]
    flags = ("--set", "recipe.steps=20", "--pruner", "asha")
    assert run_tiny(finished, "--seeds", "0", *flags, "--plan", search=over(space)) == 0
    note = capsys.readouterr().out
    assert f"({difference})" in note
    assert "(0 proposed so far)" in note


def test_wider_ranges_and_other_published_values_continue_the_same_study(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wider = over({**SPACE, "recipe.optimizer.lr": Float(0.0001, 1.0, log=True, paper=0.01)})
    assert run_tiny(finished, *SHORT, "--seeds", "0", "--plan", search=wider) == 0
    output = capsys.readouterr().out
    assert "another study" not in output and "(1 proposed so far)" in output


def test_an_option_and_not_its_label_identifies_a_study(tmp_path: Path) -> None:
    flags = (*SHORT, "--seeds", "0")
    for weight in (0.5, 0.7):
        labelled = over({"method.weight": Choice({"little": weight, "much": 2.0}, paper="little")})
        assert run_tiny(tmp_path, *flags, search=labelled) == 0
    (later,) = folder(tmp_path).glob("*/trials.parquet")
    (first,), (second,) = (pd.read_parquet(file)["key"] for file in (folder(tmp_path) / "trials.parquet", later))
    assert [experiment_in(tmp_path, key)["method"]["weight"] for key in (first, second)] == [0.5, 0.7]


def test_an_interrupted_configuration_whose_option_is_gone_stays_in_its_own_study(tmp_path: Path) -> None:
    flags = (*SHORT, "--seeds", "0")
    assert run_tiny(tmp_path, *flags, search=over({"method.weight": Choice({"a": 0.5, "b": 2.0}, paper="a")})) == 0
    journal = folder(tmp_path) / "optuna.journal"
    lines = journal.read_text().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if json.loads(line).get("state") == 1]
    journal.write_text("".join(lines[: ends[-1]]))  # like a kill before the end of the trial
    assert run_tiny(tmp_path, *flags, search=over({"method.weight": Choice({"b": 2.0, "c": 1.0}, paper="b")})) == 0
    (later,) = folder(tmp_path).glob("*/trials.parquet")
    assert list(pd.read_parquet(later)["method.weight"]) == ["b"]


# --- the same experiments in another order -----------------------------------------------------------------------


def experiment_in(out: Path, key: str) -> Mapping[str, Mapping[str, object]]:
    document = records.read_json(LocalStore(out / "store"), key, records.EXPERIMENT)
    assert document is not None
    experiment: Mapping[str, Mapping[str, object]] = document["experiment"]
    return experiment


def test_seeds_in_another_order_are_the_same_study_and_keep_their_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(tmp_path, *SHORT, "--seeds", "1", "0") == 0
    before = pd.read_parquet(folder(tmp_path) / "trials.parquet")
    assert run_tiny(tmp_path, *SHORT, "--seeds", "0", "1") == 0
    pd.testing.assert_frame_equal(pd.read_parquet(folder(tmp_path) / "trials.parquet"), before)
    assert "another study" not in capsys.readouterr().out
    assert list(before["seed"]) == [0, 1] == [experiment_in(tmp_path, key)["seed"] for key in before["key"]]


def test_settings_in_another_order_are_the_same_study(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ("recipe.optimizer.momentum=0.8", "net.encoder.width=8")
    for order in (fields, fields[::-1], ("net.encoder.width=4", *fields)):
        assert run_tiny(finished, *(part for change in order for part in ("--set", change)), "--plan") == 0
    first, *others = (line for line in capsys.readouterr().out.splitlines() if line.startswith("note: "))
    assert len(others) == 2 and {first} == set(others), "the last change of a path counts"


# --- what cannot be run or read ----------------------------------------------------------------------------------

JOURNALS = {
    "a text": b"to do: buy milk\n",
    "a text without an end": b"to do: buy milk",
    "two lines of text": b"to do:\nbuy milk\n",
    "other data": b'{"name": "somebody"}\n',
    "a list": b"[1, 2]\n",
    "an unknown entry": b'{"op_code": 99}\n',
    "no text": b"\xff\xfe\x00\n",
}


@pytest.mark.parametrize("flags", [("--plan",), ("--report-only",), ()])
@pytest.mark.parametrize("content", JOURNALS)
def test_a_file_that_is_no_journal_is_refused_in_one_sentence_and_not_changed(
    content: str, flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = folder(tmp_path) / "optuna.journal"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(JOURNALS[content])
    assert run_tiny(tmp_path, *flags) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {journal} cannot be read as an Optuna journal (")
    assert error.endswith(": move it away, or give --out another folder.")
    assert journal.read_bytes() == JOURNALS[content] and not (folder(tmp_path) / "trials.parquet").exists()


@pytest.mark.parametrize("flags", [("--plan",), ("--report-only",), ()])
def test_a_folder_in_the_place_of_the_journal_is_refused(
    flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder(tmp_path) / "optuna.journal").mkdir(parents=True)
    assert run_tiny(tmp_path, *flags) == 2
    assert "optuna.journal cannot be read as an Optuna journal (IsADirectoryError: " in capsys.readouterr().err


def test_a_journal_with_only_a_torn_line_is_begun_again(tmp_path: Path) -> None:
    journal = folder(tmp_path) / "optuna.journal"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b'{"op_code":0,"worker_')
    assert run_tiny(tmp_path, *SHORT, "--seeds", "0") == 0
    assert len(pd.read_parquet(folder(tmp_path) / "trials.parquet")) == 1


@pytest.mark.parametrize(
    ("search", "flags", "missing"),
    [
        (tiny_search.SEARCH, ("--set", "data.split.labeled=nowhere.txt"), "nowhere.txt"),
        (mkd_search.SEARCH, ("--profile", "camvid"), "CamVid"),
    ],
)
def test_a_search_with_missing_images_ends_before_anything_is_written(
    search: Search, flags: tuple[str, ...], missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tiny(tmp_path / "out", *flags, "--data-root", str(tmp_path), search=search) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and missing in error
    assert not (tmp_path / "out").exists()


def test_a_plan_with_retry_failed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tiny(tmp_path / "out", "--plan", "--retry-failed") == 2
    assert "--plan trains nothing, so --retry-failed has no meaning beside it" in capsys.readouterr().err
