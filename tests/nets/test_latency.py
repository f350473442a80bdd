"""Latency: the median of runs, within a time limit."""

from __future__ import annotations

import time

import pytest
import torch

from assay.nets.latency import conditions, latency

IMAGES = torch.zeros(1, 3, 4, 4)


def test_the_latency_is_about_the_time_of_one_run() -> None:
    result = latency(lambda images: time.sleep(0.005), IMAGES, runs=7)
    assert result.runs == 7 and 5 <= result.milliseconds < 50


def test_warm_up_runs_do_not_count() -> None:
    waits = iter([0.3, 0.0, 0.0, *[0.001] * 5])
    assert latency(lambda images: time.sleep(next(waits)), IMAGES, runs=5).milliseconds < 100


def test_a_slow_network_runs_once_to_warm_up_and_once_to_measure() -> None:
    calls = []
    result = latency(lambda images: (calls.append(1), time.sleep(0.03)), IMAGES, seconds=0.01)
    assert (len(calls), result.runs) == (2, 1) and result.milliseconds >= 30


def test_a_measurement_records_no_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)
    outputs = []
    latency(lambda images: outputs.append(images * weight), IMAGES, runs=1)
    assert not any(output.requires_grad for output in outputs)


def test_conditions_hold_processor_threads_and_size() -> None:
    assert conditions(16, 24) == pytest.approx(
        {"device": "cpu", "processor": torch.backends.cpu.get_cpu_capability(), "threads": 1, "height": 16, "width": 24}
    )
