"""Learning curves: the official network, means over common steps, few points."""

from __future__ import annotations

import pandas as pd
import pytest

from assay.analysis.curves import POINTS, Curve, Logged, by_key, supervised_loss, validation_miou


def history(*lines: tuple[str, int, str, float]) -> Logged:
    return by_key(pd.DataFrame(list(lines), columns=["key", "step", "name", "value"]))


def test_the_official_network_is_the_first_that_was_evaluated() -> None:
    logged = history(
        ("k", 10, "val/student/miou", 50.0), ("k", 10, "val/ema/miou", 90.0), ("k", 10, "val/student/iou", 10.0)
    )
    assert validation_miou(logged, ["k"]) == (((10.0,), (50.0,)),)


def test_the_supervised_loss_of_two_networks_is_their_mean() -> None:
    logged = history(
        ("k", 10, "term/supervised1", 1.0), ("k", 10, "term/supervised2", 2.0), ("k", 10, "term/cross", 9.0)
    )
    assert supervised_loss(logged, ["k"]) == (((10.0,), (1.5,)),)


def test_curves_have_the_order_of_the_keys_and_keys_without_lines_are_left_out() -> None:
    logged = history(("a", 10, "val/s/miou", 10.0), ("b", 10, "val/s/miou", 20.0))
    assert [line[1] for line in validation_miou(logged, ["b", "none", "", "a"])] == [(20.0,), (10.0,)]


def test_the_mean_goes_as_far_as_all_seeds_do() -> None:
    curve = Curve(label="r", style=0, averaged=(((10.0, 20.0), (1.0, 2.0)), ((10.0,), (3.0,))))
    assert curve.mean() == ((10.0,), (2.0,))


def test_seeds_that_did_not_finish_are_shown_and_not_averaged() -> None:
    curve = Curve(label="r", style=0, averaged=(((10.0,), (1.0,)),), others=(((10.0,), (9.0,)),))
    assert curve.mean() == ((10.0,), (1.0,))
    assert len(curve.seeds()) == 2


def test_long_curves_are_thinned_to_means_at_common_steps() -> None:
    lines = [
        (key, step, "term/supervised", float(step))
        for key, end in (("a", 1200), ("b", 600))
        for step in range(1, end + 1)
    ]
    long, short = supervised_loss(history(*lines), ["a", "b"])
    assert len(long[0]) == POINTS
    assert long[0][: len(short[0])] == short[0]
    assert long[0][0] == 20.0
    assert long[1][0] == pytest.approx(10.5)  # the mean of 1 to 20
