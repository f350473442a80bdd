"""Every script runs from any folder of a checkout that is not installed, and finds the checkout's own code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).resolve().parents[2] / "studies"
SCRIPTS = sorted(
    path for path in [*STUDIES.glob("*.py"), *STUDIES.glob("benchmarks/*.py")] if "__main__" in path.read_text()
)
SHOW_CODE = """
import runpy
runpy.run_path({!r}, run_name="imported")
import assay, studies
print(studies.__path__[0], assay.__path__[0])
"""


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_scripts_are_the_studies_the_searches_and_the_benchmarks() -> None:
    assert len(SCRIPTS) == 17
    assert not {path.stem for path in SCRIPTS} & sys.stdlib_module_names, "a script must not hide a standard module"


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.parent != STUDIES], ids=lambda path: path.stem)
def test_a_benchmark_prints_its_help_from_any_folder(script: Path, tmp_path: Path) -> None:
    assert f"python studies/benchmarks/{script.name}" in run(str(script), "--help", folder=tmp_path)


@pytest.mark.parametrize("script", [STUDIES / "mkd_search.py", STUDIES / "benchmarks" / "sharing_benchmark.py"])
def test_a_script_imports_the_code_of_its_checkout(script: Path, tmp_path: Path) -> None:
    imported = run("-c", SHOW_CODE.format(str(script)), folder=tmp_path).split()
    assert imported == [str(STUDIES), str(STUDIES.parent / "platform" / "assay")]
