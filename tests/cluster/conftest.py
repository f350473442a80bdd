"""What tests of gangs compare with."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_study

from assay.run import run_study


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, trained in this process and never interrupted."""
    out = tmp_path_factory.mktemp("whole")
    assert run_study(tiny_study.STUDY, ["--out", str(out), "--gangs", "0"]) == 0
    return out
