"""A driver without data and a node with data: real processes of one Ray, each with its own environment."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tiny_study import STUDY

from assay.cluster.remote_resolve import resolve_here
from assay.cluster.worker_checks import code_hash
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.resolve import Resolved, resolve
from assay.study.cells import Cell, Selection, cells_of

ROOT = Path(__file__).parents[2]
HERE, NOWHERE = "1/16(92)", "1/8(183)"


def cells(*columns: str) -> list[Cell]:
    return cells_of(STUDY, STUDY.profiles[1], Selection(rows=("Supervised", "KD"), columns=columns))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root that only one node has in its environment."""
    root = tmp_path_factory.mktemp("data")
    for pool in ("train", "val"):
        for number in range(8):
            for folder, mode in (("images", "RGB"), ("masks", "L")):
                (root / "mine" / pool / folder).mkdir(parents=True, exist_ok=True)
                Image.new(mode, (16, 16), number % 2).save(root / "mine" / pool / folder / f"{number}.png")
    return root


def test_a_node_resolves_with_its_own_files_or_returns_the_reason_why_not(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    driver = Places.from_environment()
    monkeypatch.setenv("ASSAY_DATA", str(data))
    experiments = [cell.experiment for cell in cells(HERE, NOWHERE)]
    (supervised, missing, kd, _) = resolve_here([each.to_json() for each in experiments], driver, code_hash(), "n1")
    assert isinstance(supervised, Resolved) and isinstance(kd, Resolved)
    assert supervised.key == resolve(experiments[0], Places(data=data)).key and supervised.resolved_on == "n1"
    assert [each.resolved_on for each in kd.inputs.values()] == ["n1"]
    assert isinstance(missing, str) and "nowhere.txt" in missing
    explicit = Places.from_environment(data=str(tmp_path))
    (refused,) = resolve_here([experiments[0].to_json()], explicit, code_hash(), "n1")
    assert "mine" in str(refused), "a folder that the user named is the same on all machines"
    (refused,) = resolve_here([experiments[0].to_json()], driver, "0" * 64, "n1")
    assert "runs other code than the driver" in str(refused)


CLUSTER = """
import sys
from ray.cluster_utils import Cluster

store = 100 * 2**20
head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": store}
cluster = Cluster(initialize_head=True, head_node_args=head)
cluster.add_node(num_cpus=2, object_store_memory=store, env_vars={"ASSAY_DATA": sys.argv[1]})
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@dataclasses.dataclass(frozen=True)
class Head:
    """A cluster's head, and the environment of programs on its machine."""

    address: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head(data: Path) -> Iterator[Head]:
    """Yield a head without CPUs and without data, and a node with both."""
    folder = tempfile.mkdtemp(prefix="assay-t-", dir="/tmp")  # sockets have short names: not below pytest's folder
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ASSAY_"))}
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    alone = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_TMPDIR": folder, "HOME": folder}
    environment = kept | secret | alone | {"OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)  # the code must come with the driver
    with (Path(folder) / "log").open("w") as log:
        cluster = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, str(data)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        assert address, (Path(folder) / "log").read_text()
        yield Head(address, environment)
    finally:
        cluster.communicate("\n", timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


STUDY_SCRIPT = (str(ROOT / "tests" / "tiny_study.py"), "--rows", "Supervised", "KD")
SEARCH_SCRIPT = (
    "-c",
    f"""
import sys
sys.path[:0] = {[str(ROOT / "platform"), str(ROOT), str(ROOT / "tests")]}
from tiny_study import STUDY
from assay.run import run_search
from assay.search import Float, ProfileSettings, Search
space = {{"recipe.optimizer.lr": Float(0.01, 0.1)}}
settings = {{"folder": ProfileSettings(column="{HERE}", configurations=2)}}
search = Search(
    name="far", title="T", study=STUDY, table="mkd.table1", row="Supervised", space=space, settings=settings
)
sys.exit(run_search(search))
""",
)


def run(head: Head, out: Path, *flags: str, script: tuple[str, ...] = STUDY_SCRIPT) -> subprocess.CompletedProcess[str]:
    out.mkdir(exist_ok=True)
    where = ["--profile", "folder", "--address", head.address, "--out", str(out / "results")]
    return subprocess.run(
        [sys.executable, *script, *where, *flags],
        env=head.environment,
        cwd=out,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.long
def test_experiments_that_a_node_resolves_are_planned_and_trained_there_and_the_rest_stay_unresolved(
    head: Head, data: Path, tmp_path: Path
) -> None:
    done = run(head, tmp_path, "--gangs", "1")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert f"3 experiments resolved on node {os.uname().nodename}" in done.stdout
    assert "2 cells unresolved here" in done.stdout and "unresolved on node" in done.stdout
    frame = pd.read_parquet(tmp_path / "results" / "tiny" / "folder" / "results.parquet").query("status != 'quoted'")
    assert len(frame) == 4
    assert dict(zip(frame["column"], frame["status"], strict=True)) == {HERE: "done", NOWHERE: "blocked"}
    assert frame.query("column == @NOWHERE")["error"].str.contains("nowhere.txt").all()
    expected = {resolve(cell.experiment, Places(data=data)).key for cell in cells(HERE)}
    assert set(frame["key"].dropna()) == expected
    planned = run(head, tmp_path, "--plan", "--columns", HERE)
    assert planned.returncode == 0 and "3 done" in planned.stdout, planned.stdout + planned.stderr


@pytest.mark.long
def test_a_search_lets_a_node_resolve_its_proposals(head: Head, data: Path, tmp_path: Path) -> None:
    done = run(head, tmp_path, "--gangs", "1", script=SEARCH_SCRIPT)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    frame = pd.read_parquet(tmp_path / "results" / "far" / "folder" / "trials.parquet")
    assert list(frame["state"]) == ["complete", "complete"]
    (cell,) = cells_of(STUDY, STUDY.profiles[1], Selection(rows=("Supervised",), columns=(HERE,)))
    for _, trial in frame.iterrows():
        changed = overrides_of({"recipe.optimizer.lr": trial["recipe.optimizer.lr"]}, "the search")
        assert trial["key"] == resolve(apply(cell.experiment, changed), Places(data=data)).key


@pytest.mark.long
def test_a_search_ends_with_the_reason_where_no_node_can_resolve_its_experiments(head: Head, tmp_path: Path) -> None:
    nowhere = ("--set", "data.split.labeled=nowhere.txt")
    done = run(head, tmp_path, "--gangs", "1", *nowhere, script=SEARCH_SCRIPT)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert "unresolved on node" in done.stdout and "error: " in done.stderr
