"""Local Ray: it is cut off from the network and from the home directory, and nothing is left of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from assay.cluster.connection import cluster_address, connect, is_in_job
from assay.errors import UserError

ROOT = Path(__file__).parents[2]
needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="processes and ports are read from /proc")


# --- which cluster ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "environment", "expected"),
    [
        (None, {}, None),
        ("local", {"RAY_ADDRESS": "10.0.0.1:6379"}, None),
        (None, {"RAY_ADDRESS": "local"}, None),
        (None, {"RAY_ADDRESS": ""}, None),
        (None, {"RAY_ADDRESS": "10.0.0.1:6379"}, "10.0.0.1:6379"),
        ("10.0.0.2:6379", {"RAY_ADDRESS": "10.0.0.1:6379"}, "10.0.0.2:6379"),
        ("auto", {}, "auto"),
        (None, {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}, "auto"),
    ],
)
def test_a_cluster_is_joined_where_it_is_named_or_runs_this_job(
    address: str | None, environment: dict[str, str], expected: str | None
) -> None:
    assert cluster_address(address, environment) == expected


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", r"ray://head:10001 cannot be used.* submit the script as a job to http://head:8265"),
        ("http://head:8265", "takes jobs, not connections"),
        ("https://head", "takes jobs, not connections"),
        ("head", "must be HOST:PORT .* got 'head'"),
        ("head:", "must be HOST:PORT"),
        (":6379", "must be HOST:PORT"),
    ],
)
def test_an_address_that_cannot_be_joined_is_refused_with_its_cure(address: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        connect(address)
    with pytest.raises(UserError, match="from RAY_ADDRESS"):
        cluster_address(None, {"RAY_ADDRESS": address})


def test_a_number_of_cpus_is_only_for_a_local_ray() -> None:
    with pytest.raises(UserError, match=r"not for head:6379; got 2\."):
        connect("head:6379", cpus=2)


def test_a_job_is_recognized_by_its_environment() -> None:
    assert is_in_job({"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"})
    assert not is_in_job({"RAY_ADDRESS": "10.0.0.1:6379"})


def test_an_address_where_nothing_listens_is_refused_at_once() -> None:
    began = time.monotonic()
    with (
        pytest.raises(UserError, match=r"cannot join a Ray cluster at 127.0.0.1:1 \(.*refused"),
        connect("127.0.0.1:1"),
    ):
        pass
    assert time.monotonic() - began < 20


# --- local Rays, each in its own process --------------------------------------------------------------------------

# Functions for the scripts below: the processes under this one, and the addresses at which they listen.
PROCESSES = """
import json, os, signal, sys, time
from pathlib import Path

def stats():
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                yield int(path.name), int(fields[1])

def below(pid):
    pairs = list(stats())
    pids = [pid]
    for pid in pids:
        pids += [child for child, parent in pairs if parent == pid]
    return pids[1:]

def listeners(pids):
    sockets = set()
    for pid in pids:
        try:
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    sockets.add(os.readlink(link))
                except OSError:
                    pass
        except OSError:
            pass
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                addresses.append(fields[1].partition(":")[0])
    return addresses

def still_running(pids):
    return sorted(set(pids) & {pid for pid, _ in stats()})
"""

LOOPBACK = {
    "0100007F",  # 127.0.0.1
    "0000000000000000FFFF00000100007F",  # ::ffff:127.0.0.1
    "00000000000000000000000001000000",  # ::1
}


def environment(home: Path) -> dict[str, str]:
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    kept.pop("PYTHONPATH", None)
    return kept | {"HOME": str(home), "OMP_NUM_THREADS": "1"}


def start(body: str, home: Path) -> subprocess.Popen[str]:
    paths = f"import sys; sys.path[:0] = {[str(ROOT / 'platform'), str(ROOT)]!r}\n"
    return subprocess.Popen(
        [sys.executable, "-c", paths + PROCESSES + textwrap.dedent(body)],
        cwd=home.parent,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return dict(json.loads(out.splitlines()[-1]), stdout=out, stderr=err)


# Ray is imported before anything is set, as it is where another module imports it first; and the block fails.
PLAIN = """
import ray
from assay.cluster.connection import connect

def handler(*_): pass
signal.signal(signal.SIGTERM, handler)
before = dict(os.environ)
results = {}
try:
    with connect(None, cpus=2) as connection:
        results["is_local"] = connection.is_local
        results["describe"] = connection.describe()
        results["holders"] = connection.holders_text()

        @ray.remote(num_cpus=1)
        class Worker:
            def files(self):
                import assay, methods, studies
                print("a worker prints")
                return [assay.__file__, methods.__file__, studies.__file__]

        worker = Worker.remote()
        results["worker"] = ray.get(worker.files.remote())
        deadline = time.monotonic() + 20
        while (node := connection.resources()[0]).free["CPU"] != 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        results["total"], results["free"] = node.total["CPU"], node.free["CPU"]
        results["store"] = node.total["object_store_memory"]
        pids = below(os.getpid())
        results["processes"], results["listeners"] = len(pids), listeners([os.getpid(), *pids])
        folders = [part for pid in pids for part in Path(f"/proc/{pid}/cmdline").read_text().split("\\0")
                   if "/assay-" in part and "--temp-dir=" in part]
        results["folder"] = folders[0].partition("=")[2] if folders else ""
        results["folder_was"] = bool(results["folder"]) and Path(results["folder"]).is_dir()
        results["handler_kept"] = signal.getsignal(signal.SIGTERM) is handler
        try:
            with connect(None):
                pass
        except RuntimeError as error:
            results["second"] = str(error)
        results["still"] = ray.is_initialized()
        raise KeyError("the block fails")
except KeyError:
    results["raised"] = True
results["left"] = still_running(pids)
results["folder_is"] = Path(results["folder"]).exists()
results["home"] = [str(path) for path in Path.home().rglob("*")]
after = dict(os.environ)
results["changed"] = [name for name in before | after if before.get(name) != after.get(name)]
results["handler_after"] = signal.getsignal(signal.SIGTERM) is handler
with connect(None, cpus=1) as connection:
    results["again"] = connection.describe()
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def measurements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return last_line(start(PLAIN, tmp_path_factory.mktemp("plain") / "home"))


@needs_proc
def test_every_port_of_every_process_is_on_loopback(measurements: dict[str, Any]) -> None:
    assert len(measurements["listeners"]) >= 5, "the raylet, the head's server, two agents and this process listen"
    assert set(measurements["listeners"]) <= LOOPBACK


@needs_proc
def test_no_process_and_no_folder_is_left_after_an_exception(measurements: dict[str, Any]) -> None:
    assert measurements["raised"] and measurements["processes"] >= 5 and measurements["folder_was"]
    assert measurements["left"] == []
    assert not measurements["folder_is"]


def test_the_home_directory_stays_empty(measurements: dict[str, Any]) -> None:
    assert measurements["home"] == []


def test_environment_and_handlers_are_as_before(measurements: dict[str, Any]) -> None:
    assert measurements["handler_kept"] and measurements["handler_after"]
    assert set(measurements["changed"]) <= {"PYTHONBREAKPOINT"}, "Ray's debugger stays in place"


def test_a_connection_describes_its_machine(measurements: dict[str, Any]) -> None:
    assert measurements["is_local"] and measurements["holders"] == ""
    assert measurements["describe"] == "this machine: 2 CPUs"
    assert (measurements["total"], measurements["free"]) == (2, 1)
    assert measurements["store"] == 200 * 2**20


def test_workers_import_what_the_driver_found_through_sys_path(measurements: dict[str, Any]) -> None:
    assert measurements["worker"] == [
        str(ROOT / "platform" / "assay" / "__init__.py"),
        str(ROOT / "methods" / "__init__.py"),
        str(ROOT / "studies" / "__init__.py"),
    ]


def test_ray_and_its_workers_keep_quiet(measurements: dict[str, Any]) -> None:
    assert len(measurements["stdout"].splitlines()) == 1
    assert measurements["stderr"] == ""


def test_a_second_connection_is_refused_and_leaves_the_first_alone(measurements: dict[str, Any]) -> None:
    assert measurements["second"] == "this process has a connection to Ray already"
    assert measurements["still"]


def test_a_process_can_connect_again(measurements: dict[str, Any]) -> None:
    assert measurements["again"] == "this machine: 1 CPU"


DASHBOARD = """
from assay.cluster.connection import connect

with connect(None, cpus=1, dashboard=True) as connection:
    import ray
    from ray.util.state import list_actors

    assert list_actors(address=connection.address) == []
    pids = below(os.getpid())
    print(json.dumps({"pids": pids, "listeners": listeners([os.getpid(), *pids])}), flush=True)
    time.sleep(60)
"""


@needs_proc
def test_a_driver_ended_by_sigterm_leaves_no_process_and_its_dashboard_was_on_loopback(tmp_path: Path) -> None:
    process = start(DASHBOARD, tmp_path / "home")
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
    finally:
        process.terminate()
    _, err = process.communicate(timeout=60)
    assert line, err
    measurements = json.loads(line)
    assert len(measurements["pids"]) >= 10 and set(measurements["listeners"]) <= LOOPBACK
    deadline = time.monotonic() + 100  # some of Ray's agents look for its servers for a minute
    while any(map(runs, measurements["pids"])) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [pid for pid in measurements["pids"] if runs(pid)] == []


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
