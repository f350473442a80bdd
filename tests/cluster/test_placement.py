"""The gangs that fit on clusters, given by the resources of their nodes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from assay.cluster.placement import GangShape, cpus_here, fit_gangs, fits_now, uses_gangs_by_default
from assay.cluster.resources import NodeResources
from assay.errors import UserError
from assay.experiment import Runtime
from assay.run.launcher import Launcher
from assay.run.options import LaunchOptions


def node(*, free: float | None = None, **total: float) -> NodeResources:
    held = {name: free if free is not None else amount for name, amount in total.items()}
    return NodeResources(node_id="", name="", total=total, free=held)


def shape(gangs: int = 1, workers: int = 1, gpus: float | None = None, *, widen: bool = False) -> GangShape:
    return GangShape(gangs=gangs, workers=workers, gpus_per_worker=gpus, widen=widen)


def test_a_worker_takes_a_gpu_where_there_are_any() -> None:
    assert fit_gangs(shape(), [node(CPU=8, GPU=4)], 9).gpus_per_worker == 1
    assert fit_gangs(shape(), [node(CPU=8)], 9).gpus_per_worker == 0


def test_as_many_gangs_as_fit_but_no_more_than_there_are_tasks() -> None:
    nodes = [node(CPU=8, GPU=4), node(CPU=8, GPU=4)]
    assert fit_gangs(shape(workers=4, widen=True), nodes, 9).gangs == 2
    assert fit_gangs(shape(workers=4, widen=True), nodes, 1).gangs == 1


def test_cpus_count_beside_gpus() -> None:
    with pytest.raises(UserError, match="needs 4 CPU and 4 GPU, and there are places for 2 such workers"):
        fit_gangs(shape(workers=4), [node(CPU=2, GPU=8)], 9)


def test_a_worker_does_not_span_nodes() -> None:
    with pytest.raises(UserError, match="places for 0 such workers on 2 nodes"):
        fit_gangs(shape(gpus=1.0), [node(CPU=4, GPU=0.5), node(CPU=4, GPU=0.5)], 9)


def test_more_gangs_than_fit_are_refused_with_the_number_that_does() -> None:
    with pytest.raises(UserError, match="lower --gangs to 2"):
        fit_gangs(shape(gangs=3, workers=2), [node(CPU=4)], 9)


def test_nodes_that_an_autoscaler_may_still_add_count() -> None:
    assert fit_gangs(shape(workers=8), [node(CPU=2)], 9, at_most={"CPU": 64.0, "GPU": 8.0}).gpus_per_worker == 1
    assert fit_gangs(shape(gangs=4, workers=2), [node(CPU=2)], 9, at_most={"CPU": float(sys.maxsize)}).gangs == 4
    with pytest.raises(UserError, match="places for 8"):
        fit_gangs(shape(workers=9), [node(CPU=2)], 9, at_most={"CPU": 64.0, "GPU": 8.0})


def test_resources_that_others_hold_are_no_place_now() -> None:
    fitted = fit_gangs(shape(workers=2), [node(CPU=4, free=1)], 9)
    assert not fits_now(fitted, [node(CPU=4, free=1)]) and fits_now(fitted, [node(CPU=4, free=2)])


def test_as_many_gangs_as_have_room_beside_others_but_always_one() -> None:
    busy = [node(CPU=4, free=1), node(CPU=4, free=2)]
    assert fit_gangs(shape(widen=True), busy, 9).gangs == 3
    assert fit_gangs(shape(workers=2, widen=True), busy, 9).gangs == 1
    assert fit_gangs(shape(widen=True), [node(CPU=4, free=0)], 9).gangs == 1, "it waits for resources"
    assert fit_gangs(shape(widen=True), busy, 9, at_most={"CPU": 10}).gangs == 5, "nodes that may still come are free"
    assert fit_gangs(shape(gangs=5), busy, 9).gangs == 5, "an explicit number is waited for"


def launcher(tmp_path: Path, **fields: Any) -> Launcher:
    parallel = fields.pop("parallel_by_default", False)
    options = LaunchOptions(out=str(tmp_path), **fields)
    return Launcher(options=options, runtime=Runtime(), parallel_by_default=parallel)


@pytest.mark.skipif(uses_gangs_by_default(), reason="gangs are the default where there is a GPU or a cluster")
def test_long_trainings_get_a_core_each_and_all_others_stay_in_this_process(tmp_path: Path) -> None:
    cores = cpus_here()
    parallel = launcher(tmp_path, parallel_by_default=True)
    assert parallel.place(1, check_room=True).gangs == 0, "Ray would only start later"
    assert parallel.place(3, check_room=True).gangs == (min(cores, 3) if cores > 1 else 0)
    assert launcher(tmp_path, parallel_by_default=True, gangs=0).place(3, check_room=True).gangs == 0
    assert launcher(tmp_path).place(3, check_room=True).gangs == 0
