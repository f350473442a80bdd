"""Histories: percent where users expect it, and files of older versions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from assay.results.history import SCHEMA, encode_history, is_current, read_histories
from assay.results.parquet import parquet

LINES = [
    {"step": 1, "loss": 0.5, "share/pseudo_accuracy": 0.25, "lr": 0.1},
    {"step": 2, "val/student/miou": 0.5, "val/student/pixel_accuracy": 0.75, "val/student/iou": [0.5, None]},
]
LOGGED = {"loss": 0.5, "share/pseudo_accuracy": 0.25, "lr": 0.1}
SHARES = LOGGED | {"val/student/miou": 0.5, "val/student/pixel_accuracy": 0.75}
PERCENT = LOGGED | {"val/student/miou": 50.0, "val/student/pixel_accuracy": 75.0}


def written(path: Path, *, finished: str | None = None) -> Path:
    path.write_bytes(encode_history("k", LINES, finished) or b"")
    return path


def written_by_an_older_version(path: Path, *, finished: str) -> Path:
    steps = [1 if name in LOGGED else 2 for name in SHARES]
    schema = SCHEMA.with_metadata({b"finished": finished.encode()})
    path.write_bytes(parquet(pa.table([["k"] * len(SHARES), steps, [*SHARES], [*SHARES.values()]], schema=schema)))
    return path


def values(frame: pd.DataFrame) -> dict[str, float]:
    return dict(zip(frame["name"], frame["value"], strict=True))


def test_miou_and_pixel_accuracy_are_in_percent_and_shares_of_pixels_stay_shares(tmp_path: Path) -> None:
    path = written(tmp_path / "k.parquet")
    assert values(pd.read_parquet(path)) == PERCENT
    assert values(read_histories([path]).to_pandas()) == PERCENT


def test_a_file_of_an_older_version_is_read_in_percent_beside_a_new_one(tmp_path: Path) -> None:
    old = written_by_an_older_version(tmp_path / "a.parquet", finished="t")
    assert values(pd.read_parquet(old)) == SHARES
    frame = read_histories([old, written(tmp_path / "b.parquet")]).to_pandas()
    assert list(frame.columns) == ["key", "step", "name", "value"]
    assert values(frame[: len(SHARES)]) == values(frame[len(SHARES) :]) == PERCENT


@pytest.mark.parametrize(
    ("stored", "finished", "current"), [("t", "t", True), ("t", "later", False), ("t", None, False), (None, "t", False)]
)
def test_a_file_is_current_where_it_was_written_after_the_end_of_its_training(
    stored: str | None, finished: str | None, current: bool, tmp_path: Path
) -> None:
    assert is_current(written(tmp_path / "k.parquet", finished=stored), finished) == current


def test_a_file_of_an_older_version_is_never_current(tmp_path: Path) -> None:
    assert not is_current(written_by_an_older_version(tmp_path / "k.parquet", finished="t"), "t")
    assert not is_current(tmp_path / "absent.parquet", "t")


def test_a_log_without_numbers_has_no_file() -> None:
    assert encode_history("k", [{"step": 1, "loss": float("nan"), "note": "text"}], None) is None


def test_no_files_have_no_rows_in_the_same_columns() -> None:
    assert read_histories([]).schema == SCHEMA
