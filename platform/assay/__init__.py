"""assay: reproduce, question and extend semi-supervised semantic segmentation."""

__version__ = "0.1.0"

# The version of this package's own numerics: data, views, loop, losses, networks. Part of every key.
# Raise it whenever a change moves any number of any training;
# tests/methods/test_golden.py notices.
NUMERICS = 1
