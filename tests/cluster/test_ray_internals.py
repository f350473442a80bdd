"""The private names of Ray that the platform uses exist in the installed version, and one file alone uses them."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from assay.cluster import ray_internals
from assay.cluster.ray_internals import failure_callback, torch_trainer

ROOT = Path(__file__).parents[2]
INTERNALS = Path(ray_internals.__file__)
NAMES = (
    "ray._private.accelerators.get_accelerator_manager_for_resource",
    "ray._private.ray_constants.ENABLE_RAY_CLUSTER",
    "ray._private.ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR",
    "ray._private.ray_constants.IS_WINDOWS_OR_OSX",
    "ray._private.ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV",
    "ray._private.ray_constants.env_bool",
    "ray._private.services.ConsolePopen",
    "ray._private.services.canonicalize_bootstrap_address",
    "ray._private.state.actors",
    "ray._private.state.available_resources_per_node",
    "ray._private.state.state.get_max_resources_from_cluster_config",
    "ray._private.utils.detect_fate_sharing_support",
    "ray._private.utils.get_num_cpus",
    "ray._private.worker.global_worker",
    "ray._raylet.AuthenticationTokenLoader.instance",
    "ray._raylet.AuthenticationTokenLoader.reset_cache",
    "ray._raylet.Config.initialize",
    "ray._raylet.CoreWorker.kill_actor",
    "ray._raylet.GcsClient",
    "ray.train.torch.TorchTrainer._create_default_callbacks",
    "ray.train.v2._internal.callbacks.datasets.DatasetsCallback",
    "ray.train.v2._internal.callbacks.placement_group_callback.PlacementGroupCleanerCallback",
    "ray.train.v2._internal.exceptions.WorkerGroupStartupTimeoutError",
    "ray.train.v2._internal.execution.callback.ControllerCallback.after_controller_state_update",
    "ray.train.v2._internal.execution.callback.WorkerGroupCallback.after_worker_group_start",
    "ray.train.v2._internal.execution.controller.controller.TrainController",
    "ray.train.v2._internal.execution.controller.state.ErroredState",
    "ray.train.v2._internal.execution.controller.state.ReschedulingState",
    "ray.train.v2._internal.execution.worker_group.WorkerGroup.get_worker_group_state",
    "ray.train.v2._internal.execution.worker_group.WorkerGroup.get_workers",
    "ray.train.v2._internal.execution.worker_group.worker.RayTrainWorker",
)
FIELDS = (
    ("ray.train.v2.api.exceptions.ControllerError.__init__", "controller_failure"),
    ("ray.train.v2.api.exceptions.WorkerGroupError.__init__", "worker_failures"),
    ("ray.train.v2._internal.execution.controller.state.ErroredState", "training_failed_error"),
    ("ray.train.v2._internal.execution.controller.state.ReschedulingState", "training_failed_error"),
    ("ray.train.v2._internal.execution.controller.state.RestartingState", "training_failed_error"),
    ("ray.train.v2._internal.execution.controller.state.ShuttingDownState", "next_state"),
    ("ray.train.v2._internal.execution.worker_group.state.WorkerGroupState", "placement_group_handle"),
    ("ray.train.v2._internal.execution.worker_group.worker.ActorMetadata", "hostname"),
    ("ray.train.v2._internal.execution.worker_group.worker.Worker", "distributed_context"),
    ("ray.train.v2._internal.execution.worker_group.worker.Worker", "metadata"),
    ("ray.init", "_temp_dir"),
)


def find(name: str) -> Any:
    """Return the object with a dotted name; the longest importable prefix is its module."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            result: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            result = getattr(result, part)
        return result
    raise ImportError(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_installed_ray_has_the_private_name(name: str) -> None:
    assert find(name) is not None


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_the_installed_ray_has_the_private_field(name: str, field: str) -> None:
    assert re.search(rf"\b{field}\b", inspect.getsource(find(name)))


@pytest.mark.parametrize("name", ray_internals.JOB_LOGGERS)
def test_a_module_of_ray_has_the_logger_that_is_silenced(name: str) -> None:
    importlib.import_module(name)
    assert isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)


def test_every_private_import_is_in_the_list_of_names() -> None:
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(INTERNALS.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and re.match(r"ray\._|ray\..*\._", node.module)
        for alias in node.names
    }
    for name in imported:
        assert any(f"{listed}.".startswith(f"{name}.") for listed in NAMES), f"{name} is missing from NAMES"


@pytest.mark.parametrize("room", ["platform", "methods", "studies", "tests"])
def test_no_other_file_names_a_private_part_of_ray(room: str) -> None:
    private = re.compile(r"\bray(?:\.\w+)*\._(?!_)|_raylet|_create_default_callbacks|_temp_dir\b")
    paths = [path for path in (ROOT / room).rglob("*.py") if path not in (INTERNALS, Path(__file__))]
    assert not [path for path in paths if private.search(path.read_text())]


def test_the_failure_callback_comes_first_and_unused_callbacks_are_left_out() -> None:
    from ray.train import RunConfig, ScalingConfig

    unused = (ray_internals.DATASETS_CALLBACK, ray_internals.CLEANER_CALLBACK)
    first = failure_callback(lambda error, nodes: None)
    trainer = torch_trainer(first_callback=first, unused_callbacks=unused)(
        lambda: None, scaling_config=ScalingConfig(num_workers=1), run_config=RunConfig(name="gang")
    )
    callbacks = trainer._create_default_callbacks()
    names = {type(callback).__name__ for callback in callbacks}
    assert callbacks[0] is first and "BackendSetupCallback" in names and not names & set(unused)


def test_the_failure_callback_reports_failures_before_another_attempt_and_at_the_end() -> None:
    from ray.train import WorkerGroupError
    from ray.train.v2._internal.execution.controller import state

    reported: list[tuple[Exception, dict[int, str]]] = []
    callback = failure_callback(lambda error, nodes: reported.append((error, dict(nodes))))
    error = WorkerGroupError("text", {0: RuntimeError("broken")})
    before = state.RunningState()
    callback.after_controller_state_update(state.InitializingState(), before)
    callback.after_controller_state_update(before, state.RestartingState(error))
    callback.after_controller_state_update(before, state.ShuttingDownState(next_state=state.ErroredState(error)))
    assert reported == [(error, {}), (error, {})]
