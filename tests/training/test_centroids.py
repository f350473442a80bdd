"""Centroids are found once where there is a cache of images, and found again for other images, masks or tiles."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from cache_pictures import write_pictures
from helpers import QUIET
from PIL import Image

from assay.data import cache
from assay.data.class_uniform import Centroids
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.resolve import resolve
from assay.training.centroids import centroids_for

DATA = {
    "data.source.path": "pictures",
    "data.source.num_labels": 9,
    "data.split.labeled": "all",
    "data.sampling": "class_uniform",
    "data.sampling.tile": 16,
}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(cache, "TIME_STEP", 0.0)  # the pictures were written just now
    return dataclasses.replace(write_pictures(tmp_path / "data"), cache=tmp_path / "cache")


def found_in(places: Places, **changes: object) -> Centroids:
    paths = {name.replace("__", "."): value for name, value in changes.items()}
    experiment = apply(starting_point("supervised", "folder"), overrides_of(DATA | paths, "test"))
    found = centroids_for(resolve(experiment, places), places, QUIET)
    assert found is not None
    return found


def files(places: Places) -> list[Path]:
    assert places.cache is not None
    return sorted(places.cache.glob("*/.centroids-*"))


def same(one: Centroids, other: Centroids) -> bool:
    return one.points.keys() == other.points.keys() and all(
        np.array_equal(one.points[each], other.points[each]) for each in one.points
    )


def test_a_second_training_reads_what_the_first_one_found(places: Places) -> None:
    without_cache = found_in(dataclasses.replace(places, cache=None))
    assert same(found_in(places), without_cache)
    (file,) = files(places)
    with np.load(file) as content:
        counts, rows = content["counts"], content["rows"]
    rows[:, 1] += 1
    with file.open("wb") as writable:
        np.savez(writable, counts=counts, rows=rows)
    moved = found_in(places)
    assert all(np.array_equal(moved.points[each] - (0, 1, 0), without_cache.points[each]) for each in moved.points)


@pytest.mark.parametrize("content", [b"", b"PK no archive", None])
def test_a_damaged_file_is_found_anew(places: Places, content: bytes | None) -> None:
    found = found_in(places)
    (file,) = files(places)
    file.write_bytes(file.read_bytes()[:-40] if content is None else content)
    assert same(found_in(places), found)


def test_a_changed_mask_and_another_tile_are_found_anew(places: Places) -> None:
    first = found_in(places)
    assert len(files(places)) == 1
    other_tile = found_in(places, data__sampling__tile=8)
    assert len(files(places)) == 2 and not same(first, other_tile)
    mask = places.data / "pictures" / "train" / "masks" / "005.png"
    Image.fromarray(np.full((20, 30), 3, dtype=np.uint8)).save(mask)
    changed = found_in(places)
    assert len(files(places)) == 3 and not same(first, changed)
    assert same(changed, found_in(dataclasses.replace(places, cache=None)))


def test_nothing_is_kept_of_drawn_images(tmp_path: Path) -> None:
    experiment = apply(starting_point("supervised", "textures"), overrides_of({"data.sampling": "class_uniform"}, "t"))
    places = Places(cache=tmp_path / "cache")
    assert centroids_for(resolve(experiment, places), places, QUIET) is not None
    assert not (tmp_path / "cache").exists()
