"""The baselines of the drawn images: a comparison over three seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

import assay
from assay.run import run_study
from studies.baseline_benchmark import STUDY


@pytest.mark.long
def test_over_three_seeds_cps_with_cutmix_is_more_than_5_points_above_supervised(tmp_path: Path) -> None:
    rows = ["Supervised", "CPS + CutMix"]
    assert run_study(STUDY, ["--gangs", "0", "--rows", *rows, "--out", str(tmp_path)]) == 0
    frame = assay.load(tmp_path).frame.query("status == 'done'")
    means = frame.groupby("row")["miou"].agg(["mean", "count"])
    assert set(means["count"]) == {3}
    assert means.loc["CPS + CutMix", "mean"] > means.loc["Supervised", "mean"] + 5
