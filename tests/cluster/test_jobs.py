"""Jobs, and connections to an existing cluster, with a real head on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from assay.cluster.jobs import checkout, code_copy, entrypoint, submit
from assay.errors import UserError
from assay.run import run_study
from studies import baseline_benchmark

ROOT = Path(__file__).parents[2]

# --- the code that is sent ----------------------------------------------------------------------------------------


def test_the_entrypoint_survives_the_shell() -> None:
    flags = ["--set", "method.threshold=0.9", "--rows", "two words", "--only", "$HOME;'"]
    command = entrypoint(["studies/__init__.py", *flags], ROOT)
    assert command.startswith("python studies/__init__.py ")
    script = 'for each in "$@"; do printf "%s\\n" "$each"; done'
    words = command.removeprefix("python studies/__init__.py ")
    done = subprocess.run(["sh", "-c", f"set -- {words}; {script}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == flags


def test_a_script_given_by_its_absolute_path_is_named_relative_to_the_checkout() -> None:
    assert entrypoint([str(ROOT / "studies" / "__init__.py")], ROOT) == "python studies/__init__.py"


@pytest.mark.parametrize("script", ["tests/conftest.py", "../x.py", "studies/missing.py", "/etc/passwd", "studies"])
def test_a_script_that_is_not_sent_along_is_refused(script: str) -> None:
    with pytest.raises(UserError, match="only a script in platform, methods, studies"):
        entrypoint([script], ROOT)


def test_the_copy_holds_the_code_and_nothing_else(tmp_path: Path) -> None:
    for path in ("platform/assay/a.py", "methods/b.py", "studies/c.py", "data/big.bin", "results/r", "README.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / "methods" / "__pycache__").mkdir()
    (tmp_path / "methods" / "__pycache__" / "b.pyc").write_text("x")
    with code_copy(tmp_path) as folder:
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["methods/b.py", "platform/assay/a.py", "studies/c.py"]
    assert not folder.exists()


def test_the_checkout_is_the_folder_above_platform() -> None:
    assert checkout() == ROOT


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://nowhere.invalid:8265", "https://127.0.0.1:1"])
def test_an_address_that_does_not_answer_is_a_user_error(address: str) -> None:
    with pytest.raises(UserError, match=f"no Ray cluster takes jobs at {address} .*http://HEAD:8265"):
        submit(address, ["studies/__init__.py"], root=ROOT, print_line=print)


# --- an existing cluster ------------------------------------------------------------------------------------------


class Head:
    """A running Ray that was started like a cluster's head."""

    def __init__(self, folder: Path) -> None:
        home = folder / "home"
        home.mkdir()
        gcs, dashboard, client, agent = free_ports(4)
        self.address, self.dashboard = f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        kept.pop("PYTHONPATH", None)  # the code must come with the job
        self.environment = kept | {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # the job's `python`
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "OMP_NUM_THREADS": "1",
        }
        options = {
            "--port": gcs,
            "--dashboard-port": dashboard,
            "--ray-client-server-port": client,
            "--dashboard-agent-listen-port": agent,
            "--node-ip-address": "127.0.0.1",
            "--dashboard-host": "127.0.0.1",
            "--num-cpus": 2,
            "--object-store-memory": 100 * 2**20,
            "--temp-dir": folder / "r",
        }
        flags = [f"{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *flags], env=self.environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until the head takes jobs."""
        deadline = time.monotonic() + 120
        while not answers(self.dashboard):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)

    def stop(self) -> None:
        """Kill this Ray only; `ray stop` would end every Ray of the machine."""
        for pid in below(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def run(self, script: str, *, seconds: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script on this machine to its end."""
        with self.start(script, **environment) as process:
            out, err = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(script, process.returncode, out, err)

    def start(self, script: str, **environment: str) -> subprocess.Popen[str]:
        paths = f"import sys; sys.path[:0] = {[str(ROOT / 'platform'), str(ROOT)]!r}\n"
        return subprocess.Popen(
            [sys.executable, "-c", paths + script],
            env=self.environment | environment,
            cwd=self.environment["HOME"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports


def answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def below(pid: int) -> list[int]:
    """Return a process and all processes that it started."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    pids = [pid]
    for parent in pids:  # the loop goes on with the children
        pids += [child for child, its_parent in parents.items() if its_parent == parent]
    return pids


def read_until(process: subprocess.Popen[str], word: str) -> str:
    """Return the output up to the line with a word; the job may print other lines before."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Sockets have short names: not below pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="assay-t-", dir="/tmp"))
    head = Head(folder)
    try:
        head.wait()
        yield head
    finally:
        head.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout with the real packages and small scripts."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("platform", "methods"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "studies").mkdir()
    (root / "studies" / "reports.py").write_text(REPORTS)
    (root / "studies" / "waits.py").write_text("import time\nprint('waiting', flush=True)\ntime.sleep(60)\n")
    return root


REPORTS = """
import sys
import assay
import ray
from assay.cluster.connection import connect, is_in_job

def worker_files():
    import assay, methods
    return assay.__file__, methods.__file__

print("arguments", sys.argv[1:])
with connect(None) as connection:
    print("job", is_in_job(), connection.is_local, connection.describe().partition(",")[2])
    print("worker", *ray.get(ray.remote(worker_files).remote()))
print("driver", assay.__file__)
sys.exit(int(sys.argv[1]))
"""

SUBMIT = """
from pathlib import Path
from assay.cluster.jobs import submit
sys.exit(submit({address!r}, {argv!r}, root=Path({root!r}), print_line=lambda text: print("line:", text, flush=True)))
"""


def submitting(head: Head, root: Path, *argv: str) -> str:
    return SUBMIT.format(address=head.dashboard, argv=list(argv), root=str(root))


@pytest.fixture(scope="module")
def failed(head: Head, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a job that prints its surroundings and exits with 7; RAY_ADDRESS names another cluster, without effect."""
    script = submitting(head, root, "studies/reports.py", "7", "two words")
    return head.run(script, RAY_ADDRESS="http://127.0.0.1:1")


def test_the_exit_code_is_that_of_the_script(failed: subprocess.CompletedProcess[str]) -> None:
    assert failed.returncode == 7, failed.stderr
    assert "failed with exit code 7" in failed.stdout


def test_the_log_goes_to_stdout_and_flags_arrive_unchanged(failed: subprocess.CompletedProcess[str]) -> None:
    assert "arguments ['7', 'two words']" in failed.stdout.splitlines(), failed.stdout
    assert failed.stderr == ""


def test_driver_and_workers_of_a_job_run_the_code_that_was_sent(
    failed: subprocess.CompletedProcess[str], head: Head
) -> None:
    lines = dict(line.split(" ", 1) for line in failed.stdout.splitlines() if line.startswith(("worker", "driver")))
    sent, methods = lines["worker"].split()
    assert lines["driver"] == sent
    assert sent.endswith("platform/assay/__init__.py") and sent.startswith(str(head.log.parent))
    assert Path(methods).parents[1] == Path(sent).parents[2]


def test_a_job_joins_its_own_cluster(failed: subprocess.CompletedProcess[str]) -> None:
    assert "job True False  1 node: 2 CPUs" in failed.stdout.splitlines()


def test_ctrl_c_leaves_the_job_running_and_prints_the_command_that_stops_it(head: Head, root: Path) -> None:
    with head.start(submitting(head, root, "studies/waits.py")) as process:
        first = read_until(process, "waiting")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    job = first.split()[2]
    assert f"ray job stop --address {head.dashboard} {job}" in out
    stop = f"""
from ray.job_submission import JobSubmissionClient
import time
client = JobSubmissionClient({head.dashboard!r})
print(client.get_job_status({job!r}).value)
client.stop_job({job!r})
"""
    assert head.run(stop).stdout.strip() == "RUNNING"


def test_a_job_that_is_stopped_by_others_ends_with_130(head: Head, root: Path) -> None:
    with head.start(submitting(head, root, "studies/waits.py")) as process:
        job = read_until(process, "waiting").split()[2]
        stop = f"from ray.job_submission import JobSubmissionClient as C; C({head.dashboard!r}).stop_job({job!r})"
        assert head.run(stop).returncode == 0
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"job {job} was stopped" in out


def test_a_wrong_token_is_reported_with_its_cure(head: Head, root: Path) -> None:
    script = submitting(head, root, "studies/waits.py").replace("sys.exit(", "print(", 1)
    done = head.run(script, RAY_AUTH_TOKEN="wrong")
    assert "UserError" in done.stderr and "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN" in done.stderr


HOLD = """
import ray, sys

ray.init(address={address!r}, log_to_driver=False)
ray.get(ray.util.placement_group([{{"CPU": 1}}]).ready())
print("holding", flush=True)
sys.stdin.readline()
"""


def test_a_cluster_names_the_holders_of_its_resources_and_goes_on_after_the_connection(head: Head) -> None:
    script = f"""
from assay.cluster.connection import connect
import ray

def worker_files():
    import assay
    return assay.__file__

with connect({head.address!r}) as connection:
    holder = ray.remote(num_cpus=1)(type("Holder", (), {{"ready": lambda self: True}})).remote()
    ray.get(holder.ready.remote())
    print("local", connection.is_local)
    print("holds", connection.holders_text())
    print("worker", ray.get(ray.remote(worker_files).options(num_cpus=0).remote()))
print("left", ray.is_initialized())
with connect(None) as connection:
    print("again", connection.describe())
"""
    with head.start(HOLD.format(address=head.address)) as other:
        read_until(other, "holding")
        done = head.run(script, RAY_ADDRESS=head.address)
        other.kill()
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines["local"] == "False", done.stderr
    assert re.fullmatch(r"Held by (job \d+ \(.*-c.*\): 1 CPU; this program: 1 CPU)\.", lines["holds"]), lines["holds"]
    assert lines["worker"].startswith(str(head.log.parent))  # the code was sent, since no job had brought it
    assert lines["left"] == "False"
    assert lines["again"] == f"the Ray cluster at {head.address}, 1 node: 2 CPUs"


def test_nothing_was_written_to_the_home_directory(head: Head, failed: subprocess.CompletedProcess[str]) -> None:
    assert list(Path(head.environment["HOME"]).rglob("*")) == []


@pytest.mark.long
def test_a_study_has_the_same_results_as_a_job_and_in_one_process(head: Head, tmp_path: Path) -> None:
    """The job is sent with --address, and with `ray job submit` as in Ray's documentation."""
    script = "studies/baseline_benchmark.py"
    flags = ["--rows", "Supervised", "--seeds", "0", "--set", "recipe.steps=10"]
    environment = head.environment | {"PYTHONPATH": ""}
    submitted = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.dashboard]
    commands = {
        "address": [sys.executable, script, "--gangs", "1", "--address", head.dashboard],
        "submit": [*submitted, "--working-dir", ".", "--", "python", script, "--gangs", "1"],
    }
    assert run_study(baseline_benchmark.STUDY, [*flags, "--gangs", "0", "--out", str(tmp_path / "alone")]) == 0
    with code_copy(ROOT) as folder:  # the folders that `--working-dir .` sends from a checkout, without git and results
        for name, command in commands.items():
            done = subprocess.run(
                [*command, *flags, "--out", str(tmp_path / name)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, f"{name}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    columns = ["row", "seed", "key", "status", "miou", "pixel_accuracy"]
    tables = {
        name: pd.read_parquet(tmp_path / name / "baseline_benchmark" / "quick" / "results.parquet")
        .query("status == 'done'")[columns]
        .reset_index(drop=True)
        for name in ("alone", *commands)
    }
    assert len(tables["alone"]) == 1
    pd.testing.assert_frame_equal(tables["address"], tables["alone"], check_exact=True)
    pd.testing.assert_frame_equal(tables["submit"], tables["alone"], check_exact=True)


def test_ctrl_c_ends_a_run_that_waits_for_resources_that_others_hold(head: Head, tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "studies" / "baseline_benchmark.py"), "--address", head.address]
    flags = ["--gangs", "1", "--rows", "Supervised", "--seeds", "0", "--out", str(tmp_path)]
    environment = head.environment | {"PYTHONUNBUFFERED": "1"}
    hold = HOLD.format(address=head.address).replace('"CPU": 1', '"CPU": 2')
    with head.start(hold) as other:
        read_until(other, "holding")
        with subprocess.Popen(
            [*script, *flags], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            printed = read_until(run, "waiting for resources that others hold now")
            assert "2 CPUs" in printed
            time.sleep(2)
            run.send_signal(signal.SIGINT)
            rest, _ = run.communicate(timeout=60)
        other.kill()
    free = f"""
from assay.cluster.connection import connect
import time
with connect({head.address!r}) as connection:
    while sum(node.free["CPU"] for node in connection.resources()) < 2:
        time.sleep(0.5)
"""
    assert head.run(free).returncode == 0, "the run holds no CPU any more"
    assert run.returncode == 130 and "The same command continues" in rest, rest
    assert "Traceback" not in rest
