"""The frame of `results.parquet`: the state of every cell in columns that never change their type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import QUIET, small
from planned_cell import cell

from assay import NUMERICS
from assay.experiment import Experiment
from assay.nets.encoders import build_encoder
from assay.nets.flops import multiply_adds, parameters
from assay.places import Places
from assay.resolve import resolve
from assay.results.columns import COLUMNS, results_frame
from assay.results.nested import NESTED_COLUMNS
from assay.store import records
from assay.store.claims import acquire
from assay.store.local import LocalStore
from assay.training.session import train

PLACES = Places()


def frame_of(store: LocalStore, *cells: dict[str, Any], quoted: tuple[dict[str, Any], ...] = ()) -> pd.DataFrame:
    return results_frame(pd.DataFrame(list(cells)), quoted, store, study="s", profile="quick")


QUOTED = {"table": "mkd.table1", "row": "CCT", "column": "1/8(183)", "paper_miou": 71.5}
WAITING = small(recipe__steps=5)
DISTILLED = small("kd", method__teachers=(small(seed=8),))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, dict[str, Any]]:
    """A store with one training in it, and its cell."""
    store = LocalStore(tmp_path_factory.mktemp("frame"))
    experiment = small(recipe__steps=4, seed=2)
    train(resolve(experiment, PLACES), store, places=PLACES, runtime=QUIET)
    return store, cell(experiment, "done", paper_miou=45.77, differs="trained on drawn textures")


def test_columns_and_types_are_the_same_for_any_content(
    done: tuple[LocalStore, dict[str, Any]], store: LocalStore, tmp_path: Path
) -> None:
    frames = [
        frame_of(done[0], done[1], quoted=(QUOTED,)),
        frame_of(store, cell(WAITING, "waiting")),
        frame_of(store, cell(WAITING, "waiting"), cell(DISTILLED, "distilled"), quoted=(QUOTED,)),
    ]
    for frame in frames:
        assert list(frame.columns) == list(COLUMNS)
        assert frame.dtypes.astype(str).to_dict() == {
            name: str(pd.Series(dtype=kind).dtype) for name, kind in COLUMNS.items()
        }
        frame.to_parquet(tmp_path / "f.parquet")
        read = pd.read_parquet(tmp_path / "f.parquet")
        assert list(read.columns) == list(COLUMNS) and list(read["status"]) == list(frame["status"])
        exact = [name for name, kind in COLUMNS.items() if kind in ("Int64", "float64", "boolean")]
        assert read[exact].dtypes.astype(str).tolist() == frame[exact].dtypes.astype(str).tolist()


def test_a_finished_cell_has_its_numbers_in_percent_with_their_origin(
    done: tuple[LocalStore, dict[str, Any]],
) -> None:
    store, planned = done
    (row,) = frame_of(store, planned).to_dict("records")
    result = records.read_json(store, planned["key"], records.RESULT)
    assert row["status"] == "done" and pd.isna(row["error"])
    for name in ("miou", "miou_best", "pixel_accuracy"):
        assert row[name] == pytest.approx(100 * result[name])
    assert row["paper_miou"] == 45.77 and not row["comparable"] and row["differs"] == "trained on drawn textures"
    assert np.nanmean([np.nan if iou is None else iou for iou in row["iou"]]) == pytest.approx(row["miou"])
    assert len(row["classes"]) == len(row["iou"])
    assert (row["method"], row["seed"], row["steps"], row["labeled_batch"]) == ("supervised", 2, 4, 4)
    assert row["crop"] == "16x16" and row["data"] == "textures" and row["world_size"] == 1 and row["device"] == "cpu"
    assert row["labeled"] == result["data"]["labeled"]["count"] and row["params"] > 0 and row["macs"] > 0
    versions = json.loads(row["versions"])
    assert versions["numpy"] == np.__version__ and versions["pandas"] == pd.__version__
    assert versions["numerics"] == NUMERICS and "ray" in versions
    assert Experiment.from_json(json.loads(row["experiment"])) == small(recipe__steps=4, seed=2)


def test_every_state_of_the_store_has_a_status(store: LocalStore) -> None:
    cells = [cell(small(seed=seed), name) for seed, name in enumerate(("running", "failed", "begun", "absent"))]
    running, failed, begun, _ = (planned["key"] for planned in cells)
    records.add_failure(store, failed, {"error": "NotFinite: at step 3"}, final=True)
    records.begin_attempt(store, begun, {"run": "r"})
    with acquire(store, running):
        frame = frame_of(store, *cells, quoted=(QUOTED,)).set_index("row")
    assert dict(frame["status"]) == {
        "running": "running",
        "failed": "failed",
        "begun": "waiting",
        "absent": "waiting",
        "CCT": "quoted",
    }
    assert frame.loc["failed", "error"] == "NotFinite: at step 3" and frame["error"].notna().sum() == 1
    assert pd.isna(frame.loc["CCT", "seed"]) and frame.loc["CCT", "paper_miou"] == 71.5
    assert frame["miou"].isna().all()


def test_a_cell_is_blocked_from_the_failure_of_its_teacher_until_the_retry(store: LocalStore) -> None:
    planned = cell(DISTILLED, "distilled")
    (teacher,) = planned["depends"]
    assert list(frame_of(store, planned)["status"]) == ["waiting"]
    records.add_failure(store, teacher, {"error": "so"}, final=True)
    (row,) = frame_of(store, planned).to_dict("records")
    assert (row["status"], row["error"]) == ("blocked", f"needs {teacher}, which failed")
    records.retry(store, teacher)
    assert list(frame_of(store, planned)["status"]) == ["waiting"]


def test_cells_of_one_experiment_share_its_numbers(done: tuple[LocalStore, dict[str, Any]]) -> None:
    store, planned = done
    frame = frame_of(store, planned, {**planned, "row": "again", "paper_miou": None})
    assert frame["miou"].nunique() == 1 and frame["key"].nunique() == 1
    assert frame["paper_miou"].tolist()[0] == 45.77 and np.isnan(frame["paper_miou"].tolist()[1])


def test_a_trained_teacher_is_in_the_frame_with_size_score_and_time(store: LocalStore) -> None:
    planned = cell(DISTILLED, "distilled")
    (teacher,) = resolve(DISTILLED, PLACES).inputs.values()
    (before,) = frame_of(store, planned)["inside"]
    assert json.loads(before) == [{"key": teacher.key, "status": "waiting"}]
    train(teacher, store, places=PLACES, runtime=QUIET)
    (row,) = frame_of(store, planned).to_dict("records")
    (nested,) = json.loads(row["inside"])
    cost = records.read_json(store, teacher.key, records.RESULT)["cost"]["student"]
    assert (nested["key"], nested["encoder"], nested["arch"]) == (teacher.key, "tiny", "deeplabv3plus")
    assert (nested["params"], nested["macs"]) == (cost["parameters"], cost["multiply_adds"])
    result = records.read_json(store, teacher.key, records.RESULT)
    assert (nested["miou"], nested["device_seconds"]) == (100 * result["miou"], result["device_seconds"])
    assert (nested["status"], nested["seed"], nested["net"]) == ("done", 8, small().to_json()["net"])
    assert set(nested) <= set(NESTED_COLUMNS)
    assert nested["latency_ms"] > 0 and nested["latency_at"].startswith("cpu ")
    assert pd.isna(row["latency_ms"])


def test_a_finished_cell_has_the_size_of_its_encoder_alone_on_a_training_crop(
    done: tuple[LocalStore, dict[str, Any]],
) -> None:
    (row,) = frame_of(*done).to_dict("records")
    encoder = build_encoder(small().net.encoder)
    assert (row["encoder_params"], row["encoder_macs"]) == (parameters(encoder), multiply_adds(encoder, 16, 16))
    assert row["encoder_params"] < row["params"] and row["encoder_macs"] < row["macs"]


def test_a_result_from_before_encoders_were_counted_has_the_size_of_its_network_only(
    done: tuple[LocalStore, dict[str, Any]], store: LocalStore
) -> None:
    _, planned = done
    result = records.read_json(done[0], planned["key"], records.RESULT)
    for cost in result["cost"].values():
        del cost["encoder"]
    records.write_result(store, planned["key"], result)
    (row,) = frame_of(store, planned).to_dict("records")
    assert row["status"] == "done" and row["params"] > 0
    assert pd.isna(row["encoder_params"]) and pd.isna(row["encoder_macs"])


def test_a_result_from_before_latency_was_measured_has_none(
    done: tuple[LocalStore, dict[str, Any]], store: LocalStore
) -> None:
    _, planned = done
    result = records.read_json(done[0], planned["key"], records.RESULT)
    assert frame_of(*done)["latency_ms"].tolist()[0] > 0
    records.write_result(store, planned["key"], {name: value for name, value in result.items() if name != "latency"})
    (row,) = frame_of(store, planned).to_dict("records")
    assert row["status"] == "done" and row["params"] > 0
    assert pd.isna(row["latency_ms"]) and pd.isna(row["latency_at"])
