"""A latency is a median of runs, and takes no longer than it may."""

from __future__ import annotations

import time

import pytest
import torch

from assay.nets.latency import conditions, latency

IMAGES = torch.zeros(1, 3, 4, 4)


def test_it_is_about_the_time_of_one_run() -> None:
    found = latency(lambda images: time.sleep(0.005), IMAGES, runs=7)
    assert found.runs == 7 and 5 <= found.milliseconds < 50


def test_runs_that_warm_up_do_not_count() -> None:
    waits = iter([0.3, 0.0, 0.0, *[0.001] * 5])
    assert latency(lambda images: time.sleep(next(waits)), IMAGES, runs=5).milliseconds < 100


def test_what_is_slow_is_run_once_to_warm_up_and_once_to_measure() -> None:
    calls = []
    found = latency(lambda images: (calls.append(1), time.sleep(0.03)), IMAGES, seconds=0.01)
    assert (len(calls), found.runs) == (2, 1) and found.milliseconds >= 30


def test_nothing_is_kept_for_a_gradient() -> None:
    weight = torch.ones(1, requires_grad=True)
    outputs = []
    latency(lambda images: outputs.append(images * weight), IMAGES, runs=1)
    assert not any(each.requires_grad for each in outputs)


def test_conditions_name_the_threads() -> None:
    assert conditions(16, 24) == pytest.approx(
        {"device": "cpu", "processor": torch.backends.cpu.get_cpu_capability(), "threads": 1, "height": 16, "width": 24}
    )
