"""The record of a cell in cells.parquet."""

from __future__ import annotations

import json
from typing import Any

from assay.execution.plan import seedless_key
from assay.experiment import Experiment
from assay.places import Places
from assay.resolve import resolve


def cell(experiment: Experiment, row: str = "a", **changes: Any) -> dict[str, Any]:
    """Return the record of a cell of mkd.table1."""
    resolved = resolve(experiment, Places())
    return {
        "table": "mkd.table1",
        "row": row,
        "column": "1/8(183)",
        "seed": experiment.seed,
        "overrides": json.dumps({"method": experiment.method.name}),
        "paper_miou": None,
        "differs": "",
        "key": resolved.key,
        "meaning": seedless_key(resolved),
        "depends": [nested.key for nested in resolved.inputs.values()],
        "experiment": json.dumps(experiment.to_json()),
        **changes,
    }
