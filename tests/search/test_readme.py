"""The search that the README shows is one that the command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.run import run_search
from assay.search.space import parameters

README = Path(__file__).resolve().parents[2] / "README.md"


def shown() -> dict[str, Any]:
    """What the README's search is when it is run."""
    text = README.read_text(encoding="utf-8")
    begin = text.index("```python\n", text.index("**A search**")) + len("```python\n")
    made: dict[str, Any] = {}
    exec(text[begin : text.index("```", begin)], made)
    return made


def test_the_command_takes_the_search_that_the_readme_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = shown()["SEARCH"]
    assert run_search(search, ["--plan", "--out", str(tmp_path / "out")]) == 0, (
        "it checks every value, and trains nothing"
    )
    said = capsys.readouterr().out
    assert all(each.path in said for each in parameters(search.space))
