"""Loader processes change no batch. Their errors arrive as they are raised, and Ctrl-C stops the trainer in order."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import multiprocessing
import os
import pickle
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import small
from PIL import Image
from small_values import SMALL

import assay
from assay.commands import run
from assay.data.normalize import IMAGENET
from assay.data.source import DataBroken
from assay.data.sources import Folder
from assay.data.splits import Split, split
from assay.data.views import Views
from assay.errors import AssayError
from assay.places import Places
from assay.store.local import LocalStore
from assay.training.loading import BatchPlan, batches

ROOT = Path(__file__).parent.parent.parent


def subclasses(of: type[AssayError]) -> Iterator[type[AssayError]]:
    yield of
    for each in of.__subclasses__():
        yield from subclasses(each)


def example(kind: type[AssayError]) -> AssayError:
    """Return an error with a text for every argument."""
    named = [each for each in inspect.signature(kind.__init__).parameters.values() if each.kind == each.KEYWORD_ONLY]
    return kind("width must be even, got 3", **{each.name: f"some {each.name}" for each in named})


def test_every_error_survives_the_way_to_another_process() -> None:
    for module in pkgutil.walk_packages(assay.__path__, "assay."):
        with contextlib.suppress(ImportError):  # rooms that need an extra
            importlib.import_module(module.name)
    kinds = {kind for kind in subclasses(AssayError) if kind.__module__.startswith("assay.")}
    assert len(kinds) >= 10
    for error in map(example, kinds):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Return a folder `mine` of eight images of two classes, in `images` and `masks`."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data" / "mine"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(root / "images" / f"{index}.png")
        Image.fromarray(rng.integers(0, 2, (20, 24), dtype=np.uint8)).save(root / "masks" / f"{index}.png")
    return root


def one_by_one(root: Path) -> BatchPlan:
    """Return a plan with batches of one labelled image, so that a step is a position of the stream."""
    places, source = Places(data=root.parent), Folder(path=root.name)
    images = split(source, Split(labeled="all", unlabeled="rest"), places)
    recipe = small(recipe__labeled_batch=1).recipe
    return BatchPlan.make(source, images, Views(), recipe, places=places, normalization=IMAGENET, seed=0)


def test_a_bad_file_is_the_same_error_at_the_same_step_in_any_process(dataset: Path) -> None:
    plan, bad = one_by_one(dataset), 4
    stem = plan.labeled.image_id(bad).split("/")[1]
    (dataset / "images" / f"{stem}.png").write_bytes(b"no image")
    before, messages = set(multiprocessing.active_children()), []
    for workers in (0, 2):
        read_ids = []
        with pytest.raises(DataBroken) as caught:
            for (raw,) in batches(plan, range(6), workers=workers):
                read_ids.append(raw.labeled.ids[0])
        assert read_ids == [plan.labeled.image_id(step) for step in range(bad)]
        # The error holds its frames, and its frames must hold no loader process.
        assert set(multiprocessing.active_children()) == before
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and f"{stem}.png cannot be read as an image" in messages[0]


def test_the_command_line_prints_a_loader_processs_error_in_one_line(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (dataset / "masks").iterdir():
        Image.fromarray(np.zeros((5, 5), dtype=np.uint8)).save(path)
    arguments = ["train", "--method", "supervised", "--data", "folder", "--set", "data.source.path=mine"]
    arguments += ["--set", "net.encoder.arch=tiny", "--set", "net.head.channels=8", "--set", "recipe.steps=2"]
    arguments += ["--set", "recipe.labeled_batch=2", "--set", "recipe.augment.crop=16,16", "--data-root"]
    arguments += [str(dataset.parent), "--runtime", "loader_workers=1", "--out", str(dataset.parent / "out")]
    capsys.readouterr()
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "must have the size of its image" in error


def start_endless(out: Path) -> subprocess.Popen[str]:
    """Start `assay train` with two loader processes, in its own process group, as a terminal does."""
    changes = SMALL | {"recipe.steps": 100_000, "recipe.evaluation.every": 100_000}
    sets = [
        f"{path}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for path, value in changes.items()
    ]
    arguments = ["--method", "supervised", "--runtime", "loader_workers=2", "--runtime", "log_every=5"]
    return subprocess.Popen(
        [sys.executable, "-m", "assay", "train", *arguments, "--out", str(out)]
        + [part for each in sets for part in ("--set", each)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "platform:.", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_log(out: Path, process: subprocess.Popen[str], *, size: int) -> None:
    """Wait until metrics.jsonl is there, with at least so many bytes."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if any(log.stat().st_size >= size for log in out.glob("store/*/metrics.jsonl")):
            return
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(process.communicate())


def group_is_empty(group: int) -> bool:
    """Return whether the group is empty within ten seconds: multiprocessing's helpers end after the trainer."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False


@pytest.mark.parametrize("moment", ["in the middle", "while loader processes import"])
def test_ctrl_c_reaches_all_processes_and_the_trainer_stops_in_order(moment: str, tmp_path: Path) -> None:
    process = start_endless(tmp_path)
    if moment == "in the middle":
        wait_for_log(tmp_path, process, size=1)
    else:
        wait_for_log(tmp_path, process, size=0)  # opened just before loader processes start
        time.sleep(0.7)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "The same command continues: python -m assay train --method supervised" in output
    assert "Traceback" not in errors
    store = LocalStore(tmp_path / "store")
    (key,) = store.keys()
    assert any(name.startswith("checkpoint-") for name in store.names(key))
    assert group_is_empty(process.pid)
