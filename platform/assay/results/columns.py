"""`results.parquet`: a row per table x row x column x seed, rebuilt from the store for every cell ever planned.

No key is computed here: cells.parquet has the keys of the planned cells, and the store has results by key. `miou`,
`miou_best`, `pixel_accuracy` and `iou` are in percent, as are `paper_miou` and the `miou` in `inside`; the store has
shares.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from assay.results.nested import NESTED_COLUMNS
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store
from assay.wording import count

STATUS = {
    "absent": "waiting",
    "interrupted": "waiting",
    "running": "running",
    "failed": "failed",
    "done": "done",
}
_VERSIONS = ("assay", "python", "torch", "torchvision", "timm", "numpy", "pillow", "ray", "pandas", "numerics")


def results_frame(
    cells: pd.DataFrame, quoted: Iterable[Mapping[str, Any]], store: Store, *, study: str, profile: str
) -> pd.DataFrame:
    """Return the results of the planned `cells`, and of the `quoted` ones, which have the paper's number only."""
    stored = set(store.keys())
    observer = Observer()
    inputs = set(itertools.chain.from_iterable(cells["depends"]))
    trainings: dict[str, dict[str, Any]] = {}
    for key in inputs | set(cells["key"].dropna()):
        trainings[key] = _training_columns(store, key, observer) if key in stored else {"status": "waiting"}
    nested = {key: _nested_record(store, key, trainings[key]) for key in inputs}
    rows = [
        {"study": study, "profile": profile}
        | _cell_columns(cell)
        | _experiment_columns(json.loads(cell["experiment"]))
        | {"inside": json.dumps([nested[key] for key in cell["depends"]])}
        | trainings.get(cell["key"], {})
        for cell in cells.to_dict("records")
    ]
    _block(rows, store)
    rows += [{"study": study, "profile": profile, "status": "quoted", "error": None} | dict(cell) for cell in quoted]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS)


def _cell_columns(cell: Mapping[Any, Any]) -> dict[str, Any]:
    paper = cell["paper_miou"]
    return {
        "table": cell["table"],
        "row": cell["row"],
        "column": cell["column"],
        "seed": cell["seed"],
        "overrides": cell["overrides"],
        "status": "blocked" if cell.get("problem") else "waiting",
        "error": cell.get("problem") or None,
        "paper_miou": math.nan if paper is None else paper,
        "comparable": not cell["differs"],
        "differs": cell["differs"],
        "key": cell["key"],
        "depends": list(cell["depends"]),
        "experiment": cell["experiment"],
    }


def _experiment_columns(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that follow from an experiment alone."""
    recipe, net = experiment["recipe"], experiment["net"]
    height, width = recipe["augment"]["crop"]
    evaluation, data = recipe["evaluation"], experiment["data"]
    return {
        "method": experiment["method"]["name"],
        "arch": net["head"]["name"],
        "encoder": net["encoder"]["arch"],
        "data": data and data["source"]["name"],  # None where the data are not supported
        "steps": recipe["steps"],
        "labeled_batch": recipe["labeled_batch"],
        "unlabeled_batch": recipe["unlabeled_batch"],
        "crop": f"{height}x{width}",
        "evaluation": evaluation["mode"]
        + (f" fit {evaluation['fit']}" if evaluation.get("fit") else "")  # older results know no fit
        + (" flip" if evaluation["flip"] else "")
        + (f" scales {evaluation['scales']}" if evaluation["scales"] != [1.0] else ""),
    }


def _training_columns(store: Store, key: str, observer: Observer) -> dict[str, Any]:
    """Return the columns that follow from the store's records of a key."""
    state = records.state(store, key, observer=observer)
    columns: dict[str, Any] = {"status": STATUS[state.name]}
    if state.name == "failed":
        columns["error"] = state.detail
    result = records.read_json(store, key, records.RESULT) if state.name == "done" else None
    return columns if result is None else columns | _result_columns(result)


def _result_columns(result: Mapping[str, Any]) -> dict[str, Any]:
    session = result["sessions"][-1]
    peak = result["peak_memory"]
    return {
        "miou": 100 * result["miou"],
        "miou_best": 100 * result["miou_best"],
        "step_best": result["step_best"],
        "pixel_accuracy": 100 * result["pixel_accuracy"],
        "iou": [None if share is None else 100 * share for share in result["iou"]],
        "classes": list(result["classes"]),
        **_size_columns(result),
        "labeled": result["data"]["labeled"]["count"],
        "unlabeled": result["data"]["unlabeled"]["count"],
        "list_hash": result["data"]["labeled"]["hash"],
        "seconds": result["seconds"],
        "device_seconds": result["device_seconds"],
        "device": session["device"],
        "world_size": session["ranks"],
        "threads": session["threads"],
        "peak_memory_mb": None if peak is None else peak / 2**20,
        "images_per_second": result["images_per_second"],
        "started": result["sessions"][0].get("started"),
        "finished": result.get("finished"),
        "git_commit": session.get("git_commit"),
        "git_clean": session.get("git_clean"),
        "versions": json.dumps({name: session[name] for name in _VERSIONS if name in session}),
    }


def _size_columns(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return size and latency of the official network; older results lack the encoder's size and the latency."""
    official, costs, latency = result["official"], result["cost"], result.get("latency")
    cost = costs.get(official, next(iter(costs.values()), {}))
    size = {"params": cost.get("parameters"), "macs": cost.get("multiply_adds")}
    encoder = cost.get("encoder", {})
    size |= {"encoder_params": encoder.get("parameters"), "encoder_macs": encoder.get("multiply_adds")}
    return size | {
        "latency_ms": latency["milliseconds"].get(official) if latency else None,
        "latency_at": _conditions(latency) if latency else None,
    }


def _conditions(latency: Mapping[str, Any]) -> str:
    """Return the processor and threads of a latency; its image is a training crop, as for `macs`."""
    return f"{latency['device']} {latency['processor']}, {count(latency['threads'], 'thread')}"


def _nested_record(store: Store, key: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a nested experiment, such as a teacher; before it began, its state only."""
    has_begun = training["status"] != "waiting"
    document = records.read_json(store, key, records.EXPERIMENT) if has_begun else None
    columns = {"key": key, **training}
    if document is not None:
        experiment = document["experiment"]
        columns |= _experiment_columns(experiment) | {"net": experiment["net"], "seed": experiment["seed"]}
    return {name: columns[name] for name in NESTED_COLUMNS if name in columns}


def _block(rows: list[dict[str, Any]], store: Store) -> None:
    """Mark waiting rows as blocked where one of their inputs failed."""
    failed: dict[str, bool] = {}
    for row in rows:
        if row["status"] != "waiting":
            continue
        for key in row["depends"]:
            if key not in failed:
                failed[key] = records.state(store, key).name == "failed"
            if failed[key]:
                row["status"], row["error"] = "blocked", f"needs {key}, which failed"
                break


COLUMNS: dict[str, str] = {
    "study": "string",
    "profile": "string",
    "table": "string",
    "row": "string",
    "column": "string",
    "seed": "Int64",
    "overrides": "string",
    "status": "string",
    "error": "string",
    "miou": "float64",
    "miou_best": "float64",
    "step_best": "Int64",
    "pixel_accuracy": "float64",
    "iou": "object",
    "classes": "object",
    "paper_miou": "float64",
    "comparable": "boolean",
    "differs": "string",
    "key": "string",
    "depends": "object",
    "method": "string",
    "arch": "string",
    "encoder": "string",
    "params": "Int64",
    "macs": "Int64",
    "encoder_params": "Int64",
    "encoder_macs": "Int64",
    "latency_ms": "float64",
    "latency_at": "string",
    "inside": "string",
    "data": "string",
    "labeled": "Int64",
    "unlabeled": "Int64",
    "list_hash": "string",
    "steps": "Int64",
    "labeled_batch": "Int64",
    "unlabeled_batch": "Int64",
    "crop": "string",
    "evaluation": "string",
    "seconds": "float64",
    "device_seconds": "float64",
    "device": "string",
    "world_size": "Int64",
    "threads": "Int64",
    "peak_memory_mb": "float64",
    "images_per_second": "float64",
    "started": "string",
    "finished": "string",
    "git_commit": "string",
    "git_clean": "boolean",
    "versions": "string",
    "experiment": "string",
}
