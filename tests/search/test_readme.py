"""The search in the README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.run import run_search
from assay.search.space import parameters_of

README = Path(__file__).resolve().parents[2] / "README.md"


def names_in_readme() -> dict[str, Any]:
    """Run the README's example and return the names that it defines."""
    text = README.read_text(encoding="utf-8")
    begin = text.index("```python\n", text.index("**A search**")) + len("```python\n")
    names: dict[str, Any] = {}
    exec(text[begin : text.index("```", begin)], names)
    return names


def test_the_search_in_the_readme_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = names_in_readme()["SEARCH"]
    assert run_search(search, ["--plan", "--out", str(tmp_path / "out")]) == 0, (
        "--plan checks every value and trains nothing"
    )
    output = capsys.readouterr().out
    assert all(parameter.path in output for parameter in parameters_of(search.space))
