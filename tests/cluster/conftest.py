"""The results with which tests of gangs compare."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_study

from assay.run import run_study


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of the study, trained in this process without interruption."""
    out = tmp_path_factory.mktemp("whole")
    assert run_study(tiny_study.STUDY, ["--out", str(out), "--gangs", "0"]) == 0
    return out
