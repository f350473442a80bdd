"""The folder of results, as a path or as a URI."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_search
import tiny_study

import assay
from assay.commands import run
from assay.errors import UserError
from assay.places import out_folder
from assay.run import run_search, run_study

TINY = ["--gangs", "0", "--rows", "Supervised", "--columns", "1/16(92)", "--seeds", "0"]


@pytest.mark.parametrize("path", ["/data/results", "/", "/with space/ü", "/a#b?c%20d"])
def test_a_file_uri_is_the_folder_of_its_path(path: str) -> None:
    assert out_folder(Path(path).as_uri()) == out_folder(path) == Path(path)
    assert out_folder(Path(path).as_uri().replace("file://", "FILE://localhost")) == Path(path)


def test_a_relative_path_stays_relative() -> None:
    assert out_folder("results") == Path("results") and out_folder("file:odd") == Path("file:odd")


@pytest.mark.parametrize("text", ["file://", "file://results", "file://host/results", "file://./results"])
def test_a_file_uri_without_an_absolute_path_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="after file:// comes an absolute path"):
        out_folder(text)


def test_studies_searches_and_commands_accept_a_uri(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "all results"
    uri = out.as_uri()
    assert run_study(tiny_study.STUDY, [*TINY, "--out", uri]) == 0
    (key,) = (path.name for path in (out / "store").iterdir())
    assert list(assay.load(uri).frame.query("status == 'done'")["key"]) == [key]
    assert run(["show", key, "--out", uri]) == 0 and run(["status", "--out", uri]) == 0
    assert run_search(tiny_search.SEARCH, ["--gangs", "0", "--configurations", "1", "--seeds", "0", "--out", uri]) == 0
    assert (out / "tiny_search" / "quick" / "trials.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["all results"]


@pytest.mark.parametrize("command", ["status", "show", "export", "log"])
def test_commands_refuse_other_schemes_and_write_nothing(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    key = [] if command == "status" else ["0" * 16]
    assert run([command, *key, "--out", "s3://bucket/results"]) == 2
    assert "not to s3://" in capsys.readouterr().err and not list(tmp_path.iterdir())
