"""`results.parquet`: one row per table x row x column x seed, rebuilt from the store for every cell ever planned.

Nothing here computes a key: what was planned wrote its keys down, and what was trained lies under them.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from assay.results.nested import INSIDE
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store

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
    """The results of all cells. `cells` is what was planned; `quoted` are cells with only the paper's number."""
    stored = set(store.keys())
    observer = Observer()
    needed = set(itertools.chain.from_iterable(cells["depends"]))
    known: dict[str, dict[str, Any]] = {}
    for key in needed | set(cells["key"].dropna()):
        known[key] = _of_key(store, key, observer) if key in stored else {"status": "waiting"}
    inside = {key: _of_inside(store, key, known[key]) for key in needed}
    rows = [
        {"study": study, "profile": profile}
        | _of_cell(cell)
        | _of_experiment(json.loads(cell["experiment"]))
        | {"inside": json.dumps([inside[key] for key in cell["depends"]])}
        | known.get(cell["key"], {})
        for cell in cells.to_dict("records")
    ]
    _block(rows, store)
    rows += [{"study": study, "profile": profile, "status": "quoted", "error": None} | dict(each) for each in quoted]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS)


def _of_cell(cell: Mapping[Any, Any]) -> dict[str, Any]:
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


def _of_experiment(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """What the experiment says of itself."""
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


def _of_key(store: Store, key: str, observer: Observer) -> dict[str, Any]:
    """What the store knows of a key."""
    state = records.state(store, key, observer=observer)
    found: dict[str, Any] = {"status": STATUS[state.name]}
    if state.name == "failed":
        found["error"] = state.detail
    result = records.read_json(store, key, records.RESULT) if state.name == "done" else None
    return found if result is None else found | _of_result(result)


def _of_result(result: Mapping[str, Any]) -> dict[str, Any]:
    session = result["sessions"][-1]
    peak = result["peak_memory"]
    return {
        "miou": 100 * result["miou"],
        "miou_best": 100 * result["miou_best"],
        "step_best": result["step_best"],
        "pixel_accuracy": 100 * result["pixel_accuracy"],
        "iou": [None if each is None else 100 * each for each in result["iou"]],
        "classes": list(result["classes"]),
        **_size(result),
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


def _size(result: Mapping[str, Any]) -> dict[str, Any]:
    """How large and how fast the official network is; older results know neither their encoder's size nor latency."""
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
    """Where a latency was measured; the image is a training crop, as of `macs`."""
    threads = f"{latency['threads']} thread{'s' if latency['threads'] > 1 else ''}"
    return f"{latency['device']} {latency['processor']}, {threads}"


def _of_inside(store: Store, key: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment that others have inside, such as a teacher: `known` to the store, and what it is once begun."""
    begun = known["status"] != "waiting"
    document = records.read_json(store, key, records.EXPERIMENT) if begun else None
    found = {"key": key, **known}
    if document is not None:
        experiment = document["experiment"]
        found |= _of_experiment(experiment) | {"net": experiment["net"], "seed": experiment["seed"]}
    return {name: found[name] for name in INSIDE if name in found}


def _block(rows: list[dict[str, Any]], store: Store) -> None:
    """Cells whose inputs failed cannot be trained."""
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
