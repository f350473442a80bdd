"""Settings that several searches share."""

from __future__ import annotations

from assay.search import Pruning

# Importances and slices need results at the end of a training, which a few configurations leave only without pruning.
TO_THE_END = Pruning(name="none")
