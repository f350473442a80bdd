"""`assay cache`: the list, the estimate, filling and deleting; and trainings that read from the cache."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
from cache_pictures import SOURCE, write_pictures
from helpers import QUIET, small

from assay.commands import run
from assay.data import cache as cache_module
from assay.data.cache_folders import cache_folders
from assay.data.splits import Split
from assay.experiment import Data
from assay.places import Places
from assay.resolve import resolve
from assay.store.local import LocalStore
from assay.training.loading import batches
from assay.training.loop import Training
from assay.training.result import WEIGHTS
from assay.training.session import train

SET = ["--set", "data.source.path=pictures", "--set", "data.source.num_labels=9"]
EXPERIMENT = small("cps", recipe__steps=6).replace(
    data=Data(source=SOURCE, split=Split(labeled="4", unlabeled="train"))
)


@pytest.fixture(autouse=True)
def times_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "TIME_STEP", 0.0)
    monkeypatch.delenv("ASSAY_CACHE", raising=False)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return dataclasses.replace(write_pictures(tmp_path / "data", count=8), cache=tmp_path / "cache")


def printed(arguments: list[str], places: Places, capsys: pytest.CaptureFixture[str], *, code: int = 0) -> str:
    capsys.readouterr()
    assert run(["cache", *arguments, "--data-root", str(places.data), "--cache", str(places.cache)]) == code
    output = capsys.readouterr()
    return output.err if code else output.out


def test_a_cache_is_built_listed_and_deleted(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed([], places, capsys) == f"no cache in {places.cache}\n"
    first, last = printed(["--build", "folder", *SET], places, capsys).splitlines()
    assert re.fullmatch(
        rf"{places.cache}/folder-[0-9a-f]{{12}}: 8 images, 8 of them to decode: about 19.2 kB; .*", first
    )
    assert last.startswith("8 images decoded in ")
    assert "8 images, 0 of them" in printed(["--build", "folder", *SET], places, capsys)
    (folder,) = cache_folders(places.cache or Path())
    _, line = printed([], places, capsys).splitlines()
    assert re.fullmatch(
        rf"{folder.path.name} +8 +2\d\.\d kB +\d\.\d s "
        rf" folder path=pictures num_labels=9 val_share=0.2 in {places.data}",
        line,
    )
    assert printed(["--evict", folder.path.name], places, capsys).startswith(f"deleted {folder.path.name}, 2")
    assert printed(["--evict-all"], places, capsys) == f"no cache in {places.cache}\n"


@pytest.mark.parametrize(
    "record",
    [
        None,
        "{",
        "[1]",
        "1",
        '{"a": 1}',
        '{"source": 1, "data": null}',
        '{"source": {}, "data": ""}',
        '{"source": {"name": "voc"}}',
        '{"source": {"name": 1}, "data": 2}',
        "[" * 100_000,
    ],
)
def test_a_cache_with_a_damaged_record_is_listed_and_deleted(
    record: str | None, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    assert places.cache is not None
    folder = places.cache / "folder-0123456789ab"
    folder.mkdir(parents=True)
    if record is not None:
        (folder / cache_module.RECORD).write_text(record)
    _, line = printed([], places, capsys).splitlines()
    assert line.startswith(folder.name) and line.endswith("  unknown: its record is missing or damaged")
    assert printed(["--evict", folder.name], places, capsys).startswith(f"deleted {folder.name}")


def test_what_cannot_be_done_is_one_sentence(
    places: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed(["--build", "folder", *SET], places, capsys)
    (folder,) = cache_folders(places.cache or Path())
    wrong = folder.path.name[:-1] + "x"
    assert f"did you mean '{folder.path.name}'" in printed(["--evict", wrong], places, capsys, code=2)
    assert "are drawn" in printed(["--build", "textures"], places, capsys, code=2)
    assert "--threads must be 1 or more" in printed(["--build", "folder", "--threads", "0"], places, capsys, code=2)
    printed(["--evict-all"], places, capsys)
    monkeypatch.setattr(cache_module, "RESERVE", 10**18)
    message = printed(["--build", "folder", *SET], places, capsys, code=2)
    assert "needs about 19.2 kB beside the 1e+06 TB that stay free" in message and message.count("\n") == 1
    assert run(["cache"]) == 2
    assert "--cache or ASSAY_CACHE" in capsys.readouterr().err


def test_the_environment_names_the_cache_and_a_flag_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Places.from_environment().cache is None
    monkeypatch.setenv("ASSAY_CACHE", "/the drivers")
    driver, flag = Places.from_environment(), Places.from_environment(cache="/flag")
    assert (driver.cache, flag.cache) == (Path("/the drivers"), Path("/flag"))
    monkeypatch.setenv("ASSAY_CACHE", "/the nodes")
    assert driver.on_this_machine().cache == Path("/the nodes") and flag.on_this_machine().cache == Path("/flag")


def test_a_training_gives_the_same_bits_with_a_cache_that_it_fills_and_with_a_full_one(
    places: Places, tmp_path: Path
) -> None:
    weights, results = [], []
    for name, cache in (("without", None), ("filled", places.cache), ("full", places.cache)):
        here, store = dataclasses.replace(places, cache=cache), LocalStore(tmp_path / name)
        resolved = resolve(EXPERIMENT, here)
        train(resolved, store, places=here, runtime=QUIET)
        weights.append(store.read(resolved.key, WEIGHTS))
        result = json.loads(store.read(resolved.key, "result.json") or b"")
        results.append([result[field] for field in ("key", "miou", "iou", "networks", "weights_sha256")])
    assert weights[0] == weights[1] == weights[2] and weights[0]
    assert results[0] == results[1] == results[2]
    (folder,) = cache_folders(places.cache or Path())
    assert folder.images == 8


def tensors(places: Places, cache: Path | None, workers: int) -> list[torch.Tensor]:
    """Return all that six batches hold."""
    here = dataclasses.replace(places, cache=cache)
    plan = Training(resolve(EXPERIMENT, here), places=here, runtime=QUIET).plan
    steps = batches(plan, range(6), workers=workers)
    crops = [part for step in steps for part in (step[0].labeled, *step[0].unlabeled)]
    return [tensor for part in crops for tensor in (part.images, part.labels, part.valid)]


def test_batches_are_the_same_from_the_cache_whatever_fills_it(
    places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    no_folder = tmp_path / "a file"
    no_folder.write_bytes(b"")
    expected = tensors(places, None, 0)
    for cache, workers in ((places.cache, 2), (places.cache, 0), (no_folder, 2)):
        results = tensors(places, cache, workers)
        assert all(torch.equal(one, other) for one, other in zip(results, expected, strict=True))
    (folder,) = cache_folders(places.cache or Path())
    assert folder.images == 7  # all but the validation image
    # Both loader processes have this note, and the trainer shows it.
    (note,) = (record.message for record in caplog.records if record.message.startswith("note: "))
    assert note.startswith(f"note: the cache {no_folder}/folder-") and "(Not a directory)" in note
