"""A worker is refused unless it shares the driver's OUT, data and code."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from assay.cluster.worker_checks import (
    DriverFingerprint,
    Nonce,
    check_worker,
    code_hash,
    remove_nonce,
    require_absolute,
    write_nonce,
)
from assay.errors import UserError
from assay.places import Places

ROOT = Path(__file__).parents[2]


def fingerprint(out: Path, nonce: Nonce, **changes: object) -> DriverFingerprint:
    present = DriverFingerprint(out=out, nonce_name=nonce.name, nonce_value=nonce.value, places=None, code=code_hash())
    return dataclasses.replace(present, **changes)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_a_worker_that_shares_everything_passes_until_the_nonce_is_removed_and_a_fingerprint_can_be_pickled(
    out: Path, tmp_path: Path
) -> None:
    nonce = write_nonce(out)
    received = pickle.loads(pickle.dumps(fingerprint(out, nonce, places=Places(data=tmp_path))))
    check_worker(received, patience=0)
    remove_nonce(out, nonce)
    with pytest.raises(UserError, match=f"does not see {out}"):
        check_worker(received, patience=0)


def test_another_disk_of_the_same_name_is_refused_with_its_node_and_folder(out: Path) -> None:
    nonce = write_nonce(out)
    shutil.rmtree(out)
    out.mkdir()
    with pytest.raises(UserError, match=f"node {socket.gethostname()} does not see {out} .no file .*must be on a file"):
        check_worker(fingerprint(out, nonce), patience=0)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    nonce = write_nonce(tmp_path / "here")
    with pytest.raises(UserError, match=r"does not see .*there"):
        check_worker(fingerprint(tmp_path / "there", nonce), patience=0)


def test_a_file_of_the_right_name_with_another_value_is_refused(out: Path) -> None:
    nonce = write_nonce(out)
    (out / nonce.name).write_text("something")
    with pytest.raises(UserError, match="holds something else"):
        check_worker(fingerprint(out, nonce), patience=0)


def test_a_file_that_appears_late_is_waited_for(out: Path) -> None:
    nonce = write_nonce(out)
    (out / nonce.name).rename(out / "late")
    script = f"import os, time; time.sleep(0.4); os.rename({str(out / 'late')!r}, {str(out / nonce.name)!r})"
    with pytest.raises(UserError, match=f"no file {nonce.name}"):
        check_worker(fingerprint(out, nonce), patience=0)
    with subprocess.Popen([sys.executable, "-c", script]):
        check_worker(fingerprint(out, nonce), patience=20)


def test_a_missing_data_root_is_refused_with_its_path(out: Path, tmp_path: Path) -> None:
    nonce = write_nonce(out)
    with pytest.raises(UserError, match=f"does not see {tmp_path / 'data'} .no such folder"):
        check_worker(fingerprint(out, nonce, places=Places(data=tmp_path / "data")))


def test_the_default_data_root_is_the_one_in_the_nodes_own_environment(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonce = write_nonce(out)
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path / "the driver's"))
    unnamed, named = Places.from_environment(), Places.from_environment(data=str(tmp_path / "the driver's"))
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path))
    check_worker(fingerprint(out, nonce, places=unnamed))
    with pytest.raises(UserError, match=r"does not see .*the driver's"):
        check_worker(fingerprint(out, nonce, places=named))


def test_other_code_is_refused_with_both_hashes(out: Path) -> None:
    nonce = write_nonce(out)
    with pytest.raises(UserError, match=f"{code_hash()[:12]} at .*driver's is {'f' * 12}"):
        check_worker(fingerprint(out, nonce, code="f" * 64))


def test_two_drivers_with_one_folder_do_not_disturb_each_other(out: Path) -> None:
    first, second = write_nonce(out), write_nonce(out)
    check_worker(fingerprint(out, first), patience=0)
    remove_nonce(out, first)
    check_worker(fingerprint(out, second), patience=0)
    mixed = Nonce(name=second.name, value=first.value)
    with pytest.raises(UserError, match="holds something else"):
        check_worker(fingerprint(out, mixed), patience=0)


def test_removing_a_nonce_leaves_nothing_and_may_be_repeated(out: Path) -> None:
    nonce = write_nonce(out)
    remove_nonce(out, nonce)
    remove_nonce(out, nonce)
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file"):
        write_nonce(tmp_path / "file" / "results")


def hash_of(root: Path) -> str:
    script = "from assay.cluster.worker_checks import code_hash; print(code_hash())"
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-c", script],  # without site, where an editable install would come first
        cwd=root,
        env={"PYTHONPATH": f"{root / 'platform'}:{root}", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    for name in ("platform", "methods", "studies"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def test_a_copy_of_the_code_elsewhere_has_the_same_hash_and_each_package_counts(copy: Path) -> None:
    before = hash_of(copy)
    shutil.move(copy, copy.with_name("moved"))
    assert hash_of(copy.with_name("moved")) == before
    hashes = {before}
    for changed in ("platform/assay/values.py", "methods/cps.py", "studies/__init__.py"):
        path = copy.with_name("moved") / changed
        path.write_text(path.read_text() + "# changed\n")
        hashes.add(hash_of(copy.with_name("moved")))
    assert len(hashes) == 4


def test_a_renamed_source_file_changes_the_hash_and_compiled_ones_do_not(copy: Path) -> None:
    before = hash_of(copy)
    (copy / "methods" / "__pycache__").mkdir()
    (copy / "methods" / "__pycache__" / "cps.pyc").write_bytes(b"compiled")
    assert hash_of(copy) == before
    (copy / "methods" / "cps.py").rename(copy / "methods" / "spc.py")
    assert hash_of(copy) != before


def test_the_code_is_hashed_without_studies_where_there_are_none(copy: Path) -> None:
    before = hash_of(copy)
    shutil.rmtree(copy / "studies")
    assert hash_of(copy) != before


@pytest.mark.parametrize(
    ("out", "multi_node", "in_job", "refused"),
    [
        ("results", False, False, ""),
        ("results", True, False, "with more than one node, got 'results'"),
        ("./results", False, True, "inside a job, whose working folder is thrown away, got './results'"),
        ("../results", True, True, "inside a job, whose working folder is thrown away, got '../results'"),
        ("/data/results", True, True, ""),
        ("~/results", True, True, ""),
        ("file:///results", True, True, ""),
    ],
)
def test_a_relative_out_is_refused_in_a_job_and_on_several_nodes_and_an_absolute_one_nowhere(
    out: str, multi_node: bool, in_job: bool, refused: str
) -> None:
    message = ""
    try:
        require_absolute(out, multi_node=multi_node, in_job=in_job)
    except UserError as error:
        message = str(error)
    assert refused in message and bool(message) == bool(refused)


@pytest.mark.parametrize("out", ["s3://bucket/results", "gs://bucket"])
def test_a_url_is_refused_as_out_with_its_scheme(out: str) -> None:
    with pytest.raises(UserError, match=f"not to {out.partition(':')[0]}://"):
        require_absolute(out, multi_node=False, in_job=False)


@pytest.mark.parametrize("module", ["worker_checks", "connection", "jobs"])
def test_modules_that_check_command_lines_import_neither_ray_nor_torch(module: str) -> None:
    script = f"import assay.cluster.{module}, sys; print({{'ray', 'torch'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT / "platform", capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
