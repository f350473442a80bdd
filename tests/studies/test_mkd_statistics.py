"""Batch norm statistics of given images, and the scores of a finished study with them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from small_values import SMALL
from torch import nn

from assay.run import run_study
from studies.mkd_ablation import STUDY
from studies.mkd_statistics import main as statistics
from studies.mkd_statistics import replace_statistics, score_study, summarize


def test_statistics_are_those_of_all_images_and_replace_the_old_ones() -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 5, 5, generator=draw) * 3 + 2
    layer = nn.BatchNorm2d(3)
    layer.running_mean.fill_(9.0)  # type: ignore[union-attr]
    weight = layer.weight.clone()
    replace_statistics(layer, images.split(2))
    assert layer.running_mean is not None and layer.running_var is not None
    torch.testing.assert_close(layer.running_mean, images.mean(dim=(0, 2, 3)))
    halves = torch.stack([batch.var(dim=(0, 2, 3)) for batch in images.split(2)])
    torch.testing.assert_close(layer.running_var, halves.mean(dim=0))
    assert not layer.training and torch.equal(layer.weight, weight)


def test_networks_of_a_finished_study_get_their_stored_score_and_a_second_one(tmp_path: Path) -> None:
    short = {**SMALL, "recipe.steps": 4, "recipe.evaluation.every": 4}
    changes = [word for path, value in short.items() for word in ("--set", f"{path}={value}")]
    flags = ["--gangs", "0", "--rows", "+ Mutual MT + FDA", "--columns", "1/16(662)", "--seeds", "0"]
    flags = [*flags, "--out", str(tmp_path), *changes]
    assert run_study(STUDY, flags) == 0
    lines = score_study(tmp_path)
    frame = pd.read_parquet(tmp_path / "mkd_ablation" / "quick" / "results.parquet").query("status == 'done'")
    official = lines.query("network == 'student1'")
    assert official["trained"].tolist() == pytest.approx(frame["miou"].tolist())
    assert (lines["trained"] != lines["images"]).any()
    table = summarize(lines)
    assert table["change"].tolist() == pytest.approx((lines["images"] - lines["trained"]).tolist())


def test_a_folder_without_the_study_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["mkd_statistics.py", "--out", str(tmp_path)])
    assert statistics() == 2
    assert "run studies/mkd_ablation.py --out" in capsys.readouterr().err
