"""Failures of groups of workers: a run shows the cause, the node and the cure at once."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import tiny_study
from ray.train import ControllerError, WorkerGroupError
from study_runs import started, wait_until_nothing_is_left

from assay.cluster import gangs
from assay.cluster.dispatcher import RunStatus
from assay.cluster.failures import cure_for, describe, first_cause, is_failure
from assay.cluster.placement import GangShape
from assay.cluster.resources import NodeResources

GLOO = "RuntimeError: [enforce fail at device.cc:84] ifa != nullptr. Unable to find address for: eth7 (gloo)"
TRACEBACK = f"""ray::RayTrainWorker.execute() (pid=7, ip=10.0.0.3, actor_id=1)
  File "ray/train/torch/config.py", line 1, in _setup_torch_process_group
{GLOO}"""


@pytest.mark.parametrize(
    ("cause", "variable"),
    [
        (GLOO, "Set GLOO_SOCKET_IFNAME"),
        ("RuntimeError: Gloo connectFullMesh failed with [pair.cc:144] no error", "Set GLOO_SOCKET_IFNAME"),
        ("torch.distributed.DistNetworkError: The client socket has timed out", "Set GLOO_SOCKET_IFNAME"),
        ("DistBackendError: NCCL error: ncclSystemError: Call to connect failed", "Set NCCL_SOCKET_IFNAME"),
        ("DistBackendError: NCCL error: invalid usage", ""),
        ("OutOfMemoryError: CUDA out of memory", ""),
        ("UserError: node n1 does not see /results", ""),
    ],
)
def test_the_cure_depends_on_the_cause(cause: str, variable: str) -> None:
    cure = cure_for(cause)
    assert cure.startswith(variable) and bool(cure) == bool(variable)


def test_a_failure_while_the_process_group_forms_has_the_cause_and_the_address_of_its_node() -> None:
    error = ControllerError(RuntimeError(TRACEBACK))
    assert is_failure(error)
    assert describe(error, {0: "n1", 1: "n2"}) == (GLOO, "10.0.0.3")
    assert describe(error, {0: "n1", 1: "n1"}) == (GLOO, "n1")


def test_a_failure_of_a_rank_has_the_name_of_its_node() -> None:
    error = WorkerGroupError("text", {1: RuntimeError("Traceback:\n  File\nassay.errors.UserError: node n2 has none")})
    assert describe(error, {0: "n1", 1: "n2"}) == ("node n2 has none", "n2")
    assert describe(error, {}) == ("node n2 has none", "")


def test_the_rank_that_failed_by_itself_is_named_and_not_the_ranks_that_lost_their_peer() -> None:
    lost_peer = RuntimeError("RuntimeError: [gloo pair.cc:525] Connection closed by peer [10.0.0.3]:123")
    error = WorkerGroupError("text", {0: lost_peer, 1: RuntimeError("ValueError: broken")})
    assert describe(error, {0: "n1", 1: "n2"}) == ("ValueError: broken", "n2")
    assert cure_for(str(lost_peer)) == ""


def test_workers_that_end_while_they_start_are_reported_with_their_cause() -> None:
    start = RuntimeError("At least one of the worker actors failed to initialize.")
    start.__cause__ = RuntimeError("The actor died.\n\tip: 10.0.0.3\nThe worker process ran out of memory.")
    error = ControllerError(start)
    assert describe(error, {}) == ("The worker process ran out of memory.", "10.0.0.3")


def test_a_deliberate_restart_and_waiting_for_resources_are_no_failures() -> None:
    restart = WorkerGroupError("text", {0: RuntimeError("assay.cluster.gang.Restart: a new process")})
    assert not is_failure(restart)
    no_room = RuntimeError("The worker group startup timed out after 60.0 seconds waiting for 2 workers.")
    assert not is_failure(ControllerError(no_room))


def test_an_error_without_a_text_is_named_by_its_class() -> None:
    assert first_cause(RuntimeError()) == "RuntimeError"


class FakeConnection:
    """A connection to one node with two CPUs, some of them free."""

    free = 2.0

    def resources(self) -> list[NodeResources]:
        """Return the resources of the node."""
        return [NodeResources(node_id="", name="", total={"CPU": 2.0}, free={"CPU": self.free})]


def test_a_run_names_the_reason_while_no_gang_works(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = 0
    monkeypatch.setattr(gangs, "train_workers", lambda: workers)
    monkeypatch.setattr(gangs, "_CHECK_START_EVERY", 0.0)
    shape = GangShape(gangs=1, workers=2, gpus_per_worker=0.0, widen=False)
    connection = FakeConnection()
    monitor = gangs._StartMonitor(connection, shape)  # type: ignore[arg-type]
    idle = RunStatus(remaining=1, present=frozenset(), halted="")
    working = RunStatus(remaining=1, present=frozenset({"gang-1"}), halted="")

    def reason(status: RunStatus) -> str | None:
        event = monitor.event(status)
        return None if event is None else event.reason

    assert reason(idle) == "the workers of 1 gang start (0 s so far; about 20 s is normal)"
    connection.free = 1.0
    assert reason(idle) == "waiting for resources that others hold now, or for nodes to come"
    assert reason(idle) is None, "a reason is reported once"
    workers = 2  # they hold the resources
    assert str(reason(idle)).startswith("the workers of 1 gang start (0 s so far")
    assert reason(working) == ""
    assert reason(working) is None


def test_workers_that_start_for_long_bring_the_cure_for_networks() -> None:
    pair = GangShape(gangs=1, workers=2, gpus_per_worker=0.0, widen=False)
    single = GangShape(gangs=2, workers=1, gpus_per_worker=0.0, widen=False)
    assert "GLOO_SOCKET_IFNAME" in gangs.starting(pair, 70.0)
    assert "GLOO_SOCKET_IFNAME" not in gangs.starting(pair, 20.0)
    assert gangs.starting(single, 70.0) == "the workers of 2 gangs start (70 s so far; about 20 s is normal)"


FREQUENT_LINES = f"""
import sys
sys.path.insert(0, {str(Path(tiny_study.__file__).parent)!r})
from tiny_study import STUDY
from assay.execution import display
from assay.run import run_study
display.SECONDS_BETWEEN_LINES = 1.0
sys.exit(run_study(STUDY))
"""


def test_a_gang_that_cannot_form_its_process_group_ends_the_run_with_cause_node_and_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "missing0")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    script = tmp_path / "study.py"
    script.write_text(FREQUENT_LINES)
    flags = ["--gangs", "1", "--workers", "2", "--rows", "Supervised"]
    began = time.monotonic()
    with started(tmp_path, *flags, script=str(script)) as driver:
        assert driver.stdout is not None
        lines = []
        for line in driver.stdout:
            lines.append(line)
            if "gang-1 failed" in line:
                break
        shown_after = time.monotonic() - began
        rest, _ = driver.communicate(timeout=150)
    output = "".join(lines)
    assert shown_after < 180, output  # some 30 seconds where nothing else runs
    assert "the workers of 1 gang start (" in output, "lines show what the run waits for"
    assert f"gang-1 failed on node {socket.gethostname()}: " in output, output + rest
    assert "Unable to find address for: missing0" in lines[-1] and "Set GLOO_SOCKET_IFNAME" in lines[-1]
    assert "gang-1 failed" not in rest, "the first failure stands for all of them"
    assert driver.returncode == 1, rest
    assert "the gangs could not go on: RuntimeError: " in rest and "Set GLOO_SOCKET_IFNAME" in rest, rest
    assert "Traceback" not in output + rest
    wait_until_nothing_is_left(str(tmp_path))
