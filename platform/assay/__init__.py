"""assay: reproduce, question and extend semi-supervised semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from assay.results.load import Results

__version__ = "0.1.0"

# The version of this package's numerics (data, views, loop, losses, networks), which is part of every key.
# Raise it with every change that moves a number of any training; tests/methods/test_golden.py detects such changes.
NUMERICS = 2


def load(out: str | Path = "results") -> Results:
    """Return the results of every study and search below a folder, as pandas tables."""
    from assay.results.load import load as load_results  # imports pandas, which most commands do not need

    return load_results(out)
