"""assay: reproduce, question and extend semi-supervised semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from assay.results.load import Results

__version__ = "0.1.0"

# The version of this package's own numerics: data, views, loop, losses, networks. Part of every key.
# Raise it whenever a change moves any number of any training;
# tests/methods/test_golden.py notices.
NUMERICS = 1


def load(out: str | Path = "results") -> Results:
    """The results of every study below a folder, as pandas tables."""
    from assay.results.load import load as load_results  # pandas is imported where it is needed

    return load_results(out)
