"""A study that was never trained: drawn numbers, as a study gives its results to the report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from assay.results.layout import ColumnLayout, Counted, RowLayout, StudyLayout, TableLayout
from assay.results.panel import Panel

SEEDS = (0, 1, 2)
COLUMNS = ("1/16 (92)", "1/8 (183)")
# Label, mIoU of seed 0 by column, the paper's numbers; "CPS & <R50>_100%" is there to be escaped.
ROWS: dict[str, tuple[tuple[float, float], tuple[float | None, float | None]]] = {
    "Supervised": ((52.5, 58.1), (45.77, 54.92)),
    "Mean Teacher [31]": ((56.8, 61.0), (48.7, 55.81)),
    "CPS & <R50>_100%": ((57.8, 62.3), (64.07, 67.42)),
    "PseudoSeg [48]": ((0.0, 0.0), (57.6, 65.5)),
    "Mutual distillation": ((60.1, 64.4), (60.1, None)),
}
# mIoU, multiply-adds of network and encoder, and the encoder's size in the paper, which prints none of the teacher.
NETWORKS: dict[str, tuple[float, float, float, Counted | None]] = {
    "ResNet-18": (70.1, 5.1e10, 1.72e10, Counted(params=11.19e6, macs=17.2e9, crop="512x512")),
    "MobileNetV2": (66.4, 1.4e10, 1.53e9, Counted(params=1.81e6, macs=1.52e9, crop="512x512")),
    "ResNet-101 (teacher)": (75.9, 2.9e11, 5.91e10, None),
}
OFFSETS = (0.0, 0.6, -0.3)
ERROR = "NotFinite: the term 'cross' became NaN at step 310\n  on rank 0 & <batch>"


@dataclasses.dataclass(frozen=True)
class Study:
    """The arguments of `write_report`."""

    frame: pd.DataFrame
    layout: StudyLayout

    def history(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return curves that rise to the mIoU of their key, and losses that fall."""
        ends = self.frame.dropna(subset=["key"]).drop_duplicates("key").set_index("key")
        lines = [line for key in keys for line in _curve(key, ends.loc[key])]
        return pd.DataFrame(lines, columns=["key", "step", "name", "value"])

    def panel(self, key: str) -> Panel | None:
        """Return the same four images for every key; longer keys have more wrong predictions."""
        return draw_panel(mistakes=len(key) % 7 / 40)


def line(table: str, row: str, column: str, seed: int | None, **changes: Any) -> dict[str, Any]:
    """Return a line of results.parquet, by default of a finished training."""
    trained = seed is not None
    return {
        "study": "drawn",
        "profile": "quick",
        "table": table,
        "row": row,
        "column": column,
        "seed": seed,
        "status": "done" if trained else "quoted",
        "error": None,
        "miou": float("nan"),
        "miou_best": float("nan"),
        "paper_miou": float("nan"),
        "comparable": True,
        "differs": "",
        "key": f"{table}-{row}-{column}-{seed}" if trained else None,
        "encoder": "tiny",
        "arch": "deeplabv3plus",
        "crop": "32x32",
        "params": 1.2e5,
        "macs": 2.4e7,
        "encoder_params": 9e4,
        "encoder_macs": 2e7,
        "latency_ms": 1.5,
        "latency_at": "cpu AVX2, 1 thread",
        "inside": "[]",
        "seconds": 38.5,
        "device_seconds": 38.5,
        "device": "cpu",
        "world_size": 1,
        "threads": 1,
        "started": "2030-01-01T10:00:00Z",
        "finished": "2030-01-01T10:00:39Z",
        "git_commit": "0123abc",
        "git_clean": True,
        "versions": json.dumps({"python": "3.11.9", "torch": "2.11.0"}),
        **changes,
    }


def frame_of(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return lines as a frame with the stored types."""
    return pd.DataFrame(lines).astype({"seed": "Int64"})


def _score(base: float, seed: int, spread: float) -> dict[str, float]:
    miou = base + spread * OFFSETS[seed]
    return {"miou": miou, "miou_best": miou + 0.4}


def _methods(comparable: bool, differs: str) -> list[dict[str, Any]]:
    lines = []
    for place, (row, (bases, papers)) in enumerate(ROWS.items()):
        for column, base, paper in zip(COLUMNS, bases, papers, strict=True):
            common = {
                "paper_miou": float("nan") if paper is None else paper,
                "comparable": comparable,
                "differs": differs,
            }
            if row == "PseudoSeg [48]":
                lines.append(line("drawn.table1", row, column, None, **common))
                continue
            for seed in SEEDS:
                spread = 1 + 0.2 * place * (-1) ** seed
                lines.append(line("drawn.table1", row, column, seed, **common, **_score(base, seed, spread)))
    return lines


def _lose(record: dict[str, Any], status: str, error: str | None) -> None:
    record.update(status=status, error=error, miou=float("nan"), miou_best=float("nan"), seconds=float("nan"))
    record.update(device_seconds=float("nan"), started=None, finished=None, device=None, versions=None, git_commit=None)


def _networks(comparable: bool, differs: str) -> list[dict[str, Any]]:
    return [
        line(
            "drawn.table2", row, "1/8", seed, macs=macs, params=macs / 4e3, encoder_macs=alone,
            encoder_params=alone / 1e3, paper_miou=70.0, comparable=comparable, differs=differs,
            **_score(base, seed, 1.0),
        )
        for row, (base, macs, alone, _) in NETWORKS.items()
        for seed in SEEDS
    ]  # fmt: skip


def draw_study(*, comparable: bool = False) -> Study:
    """Return a study of two tables: five methods in two columns and three networks, with three seeds.

    One seed failed, one cell is blocked, one row is quoted.
    """
    differs = "" if comparable else "trained on drawn textures, not on PASCAL VOC 2012"
    lines = _methods(comparable, differs) + _networks(comparable, differs)
    for record in lines:
        if (record["row"], record["column"], record["seed"]) == ("CPS & <R50>_100%", "1/8 (183)", 2):
            _lose(record, "failed", ERROR)
        if (record["row"], record["column"]) == ("Mutual distillation", "1/8 (183)"):
            _lose(record, "blocked", "It needs CPS & <R50>_100% at 1/8 (183), seed 2, which failed.")
    tables = (
        TableLayout(
            name="drawn.table1",
            title="Semi-supervised methods on PASCAL VOC 2012",
            caption="Partitions of the original training set; '1/n' labelled, the remaining images unlabelled.",
            rows=tuple(RowLayout(label=row, notes=("quoted",) if "48" in row else ()) for row in ROWS),
            columns=tuple(ColumnLayout(label=column, note="62 of 992 drawn images labelled") for column in COLUMNS),
            reference="Supervised",
        ),
        TableLayout(
            name="drawn.table2",
            title="Students of different size",
            rows=tuple(RowLayout(label=row, counted=printed) for row, (*_, printed) in NETWORKS.items()),
            columns=(ColumnLayout(label="1/8"),),
            count_flops_of="encoder",
        ),
    )
    note = "It trains small networks on images drawn by the program; its numbers say how methods compare here."
    layout = StudyLayout(
        name="drawn", title="Mutual knowledge distillation", profile="quick", profile_note=note, tables=tables
    )
    return Study(frame_of(lines), layout)


def _curve(key: str, end: pd.Series) -> list[tuple[str, int, str, float]]:
    if end["status"] not in ("done", "failed"):
        return []
    final, last = (end["miou"], 800) if end["status"] == "done" else (58.0, 300)
    wave = len(key) + (end["seed"] or 0)
    lines = []
    for step in range(10, last + 1, 10):
        loss = 0.3 + 1.5 * np.exp(-step / 180) + 0.05 * np.sin(step * 0.3 + wave)
        lines.append((key, step, "term/supervised", loss))
        if step % 50 == 0:
            miou = final * (1 - np.exp(-step / 150)) / (1 - np.exp(-800 / 150)) + 0.8 * np.sin(step + wave)
            lines.append((key, step, "val/student/miou", miou))
            lines.append((key, step, "val/teacher/miou", 1.0))
    return lines


def draw_panel(*, mistakes: float = 0.0, count: int = 4, size: int = 48) -> Panel:
    """Return discs and squares with ignored edges on a ground; a share of the predictions is wrong."""
    palette = ((96, 96, 96), (176, 76, 70), (80, 142, 92))
    down, across = np.indices((size, size)) / size
    truths = np.zeros((count, size, size), np.uint8)
    for number, truth in enumerate(truths):
        distance = np.hypot(down - 0.3 - 0.1 * number, across - 0.35)
        truth[(abs(down - 0.6) < 0.22) & (abs(across - 0.3 - 0.12 * number) < 0.22)] = 2
        truth[distance < 0.26] = 255
        truth[distance < 0.22] = 1
    noise = np.random.default_rng(0).random(truths.shape)
    clean = np.where(truths == 255, 0, truths)
    images = np.clip(np.asarray(palette)[clean] + 60 * (noise[..., None] - 0.5), 0, 255).astype(np.uint8)
    predictions = np.where(noise < mistakes, (clean + 1) % 3, clean).astype(np.uint8)
    return Panel(
        images=images,
        truths=truths,
        predictions=predictions,
        palette=palette,
        classes=("ground", "disc", "square & <more>"),
    )
