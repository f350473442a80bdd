"""The cache of decoded images returns what the data set's reader returns, whatever happens to files and processes."""

from __future__ import annotations

import dataclasses
import errno
import mmap
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cache_pictures import SIZE, SOURCE, output_of, reader, write_pictures
from PIL import Image

from assay.data import cache as cache_module
from assay.data import decoded_file, notes, reading
from assay.data.cache import ImageCache
from assay.data.cache_folders import cache_folders, evict, finish_evictions
from assay.data.source import IGNORE, DataBroken
from assay.data.sources import Folder, Textures
from assay.places import Places

ID = "train/001"


@pytest.fixture(autouse=True)
def times_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache take files that were written just now."""
    monkeypatch.setattr(cache_module, "TIME_STEP", 0.0)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return dataclasses.replace(write_pictures(tmp_path / "data"), cache=tmp_path / "cache")


def cache_of(places: Places, source: Folder = SOURCE) -> ImageCache:
    assert places.cache is not None
    return ImageCache(source, places, places.cache)


def ids(places: Places) -> list[str]:
    return [image_id for pool in ("train", "val") for image_id in SOURCE.ids(pool, places)]


def is_mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return (isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap)) or isinstance(base, mmap.mmap)


def assert_right(places: Places) -> None:
    """Compare the cache's answers with the reader's, and see that the second ones come from the cache."""
    cache = cache_of(places)
    for image_id in ids(places):
        expected = SOURCE.read(image_id, places)
        first, second = cache.read(image_id), cache.read(image_id)
        assert is_mapped(second[0]) and is_mapped(second[1]) and cache.holds(image_id)
        for pair in (first, second):
            assert all(np.array_equal(one, other) for one, other in zip(pair, expected, strict=True))
            assert [part.dtype for part in pair] == [np.uint8, np.uint8]


# --- what is read --------------------------------------------------------------------------------------------


def test_the_cache_returns_what_the_reader_returns(places: Places) -> None:
    assert_right(places)
    (folder,) = cache_folders(places.cache or Path())
    assert folder.images == len(ids(places))
    assert folder.size > folder.images * SIZE[0] * SIZE[1] * 4


def test_there_is_no_cache_unless_one_is_named(places: Places) -> None:
    without = dataclasses.replace(places, cache=None)
    image, _ = reading.read(SOURCE, ID, without)
    assert not is_mapped(image) and not (places.cache or Path()).exists()
    for _ in range(2):
        image, _ = reading.read(SOURCE, ID, places)
    assert is_mapped(image)


def test_an_image_without_labels_takes_no_room_for_them(tmp_path: Path) -> None:
    image, mask = np.ones((*SIZE, 3), np.uint8), np.full(SIZE, IGNORE, np.uint8)
    decoded_file.write(tmp_path / "file", bytes(32), image, mask)
    read = decoded_file.read(tmp_path / "file", bytes(32))
    assert read is not None and np.array_equal(read[0], image) and np.array_equal(read[1], mask)
    assert (tmp_path / "file").stat().st_size == 64 + image.nbytes


def test_drawn_images_are_not_cached(places: Places) -> None:
    for _ in range(2):
        reading.read(Textures(), "train-000000", places)
    assert not (places.cache or Path()).exists()


def test_other_values_of_a_data_set_have_other_folders(places: Places) -> None:
    for num_labels in (9, 10, 9):
        cache_of(places, Folder(path="pictures", num_labels=num_labels)).read(ID)
    assert len(cache_folders(places.cache or Path())) == 2


def test_a_bad_file_is_reported_as_without_the_cache(places: Places) -> None:
    path = SOURCE.files(ID, places)[0]
    path.write_bytes(b"no image")
    with pytest.raises(DataBroken, match=r"001\.jpg cannot be read"):
        reading.read(SOURCE, ID, places)
    path.unlink()
    with pytest.raises(DataBroken, match=r"001\.jpg is missing"):
        reading.read(SOURCE, ID, places)
    assert not cache_of(places).holds(ID)


# --- files that change ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("way", ["another file", "in place", "a link"])
def test_a_replaced_file_of_the_same_size_and_time_is_read_anew(part: int, way: str, places: Places) -> None:
    cache = cache_of(places)
    before = cache.read(ID)
    path = SOURCE.files(ID, places)[part]
    state = path.stat()
    new = path.with_suffix(".new")
    pixels = 8 - np.asarray(before[1]) if part else 255 - np.asarray(before[0])
    Image.fromarray(pixels).save(new, "PNG" if part else "BMP")
    path_size = max(state.st_size, new.stat().st_size)
    for each in (path, new):  # bytes after the image are ignored
        each.write_bytes(each.read_bytes().ljust(path_size, b"\0"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    cache.read(ID)
    assert cache.holds(ID)
    if way == "in place":
        path.write_bytes(new.read_bytes())
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif way == "a link":
        path.unlink()
        path.symlink_to(new)
    else:
        new.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (path_size, state.st_mtime_ns)
    for _ in range(2):
        assert np.array_equal(cache.read(ID)[part], pixels)
    assert np.array_equal(cache.read(ID)[1 - part], before[1 - part])
    assert cache.holds(ID)


def test_a_file_changed_just_now_is_not_cached(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "TIME_STEP", 0.3)
    cache = cache_of(places)
    SOURCE.files(ID, places)[1].touch()
    cache.read(ID)
    assert not cache.holds(ID)
    time.sleep(0.35)
    cache.read(ID)
    assert cache.holds(ID)


@pytest.mark.parametrize("damage", ["cut", "empty", "other format", "other origin"])
def test_a_file_of_the_cache_that_is_not_whole_is_written_again(damage: str, places: Places) -> None:
    cache = cache_of(places)
    expected = [part.copy() for part in cache.read(ID)]
    path = cache._path(ID)
    content = path.read_bytes()
    changed = {
        "cut": content[:-1],
        "empty": b"",
        "other format": b"X" + content[1:],
        "other origin": content[:16] + bytes(32) + content[48:],
    }
    path.write_bytes(changed[damage])
    assert not cache.holds(ID)
    assert all(np.array_equal(one, other) for one, other in zip(cache.read(ID), expected, strict=True))
    assert path.read_bytes() == content


# --- several processes ---------------------------------------------------------------------------------------


def test_a_build_that_is_killed_again_and_again_leaves_nothing_wrong(tmp_path: Path) -> None:
    places = dataclasses.replace(write_pictures(tmp_path / "data", count=400), cache=tmp_path / "cache")
    assert places.cache is not None
    kills = 0
    for lines in (1, 20, 90, 180):
        process = reader(places.data, places.cache)
        assert process.stdout is not None and process.stderr is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        process.stderr.close()
    assert kills == 4
    cache = cache_of(places)
    held = [image_id for image_id in ids(places) if cache.holds(image_id)]
    assert 90 <= len(held) < 400
    assert_right(places)


def test_processes_that_read_the_same_images_decode_each_of_them_about_once(tmp_path: Path) -> None:
    places = dataclasses.replace(write_pictures(tmp_path / "data", count=60), cache=tmp_path / "cache")
    assert places.cache is not None
    processes = [reader(places.data, places.cache) for _ in range(3)]
    results = [output_of(process) for process in processes]
    assert all(lines[:-1] == list(SOURCE.ids("train", places)) and not err for lines, err in results)
    assert 59 <= sum(int(lines[-1]) for lines, _ in results) < 2 * 59
    assert_right(places)


def test_a_lock_is_free_once_its_process_is_dead_and_waiting_for_a_suspended_one_ends(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.cache is not None
    cache = cache_of(places)
    monkeypatch.setattr(cache_module, "_PATIENCE", 0.05)
    lock = cache._path(ID).parent / cache_module._LOCK
    lock.parent.mkdir(parents=True)
    hold = f"import fcntl; f = open({str(lock)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    process = reader(places.data, places.cache, f"{hold}; import time; time.sleep(60)")
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert np.array_equal(cache.read(ID)[0], SOURCE.read(ID, places)[0])
    assert not cache.holds(ID)
    process.kill()
    process.communicate()
    cache.read(ID)
    assert cache.holds(ID)


# --- disks that take nothing more ----------------------------------------------------------------------------


def test_a_write_that_the_system_refuses_ends_the_filling_and_not_the_reading(places: Places) -> None:
    assert places.cache is not None
    # The system refuses to write more than 1 kB to any file, as a full disk refuses it; one image needs 2.4 kB.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))"
    lines, err = output_of(reader(places.data, places.cache, limit))
    assert lines == [*SOURCE.ids("train", places), str(len(lines) - 1)]
    assert err.count("note: ") == 1 and "is not filled any further (File too large)" in err
    assert [path for path in places.cache.rglob("*") if path.is_file() and path.stat().st_size > 1024] == []
    assert_right(places)


def test_the_cache_leaves_room_on_its_disk(
    places: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = cache_of(places)
    cache.read("train/002")
    monkeypatch.setattr(cache_module, "RESERVE", 10**18)
    for _ in range(2):
        assert np.array_equal(cache.read(ID)[0], SOURCE.read(ID, places)[0])
    assert not cache.holds(ID) and cache.holds("train/002")
    assert cache.problem is not None and cache.problem.errno == errno.ENOSPC
    assert [record.message for record in caplog.records] == [
        f"note: the cache {cache.folder} is not filled any further (its disk has less than 1e+06 TB left); images that"
        " it does not hold are decoded from their files."
    ]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that other users may read and pass through."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("filled", [False, True])
def test_a_cache_that_may_not_be_written_is_read(filled: bool, open_folder: Path) -> None:
    places = dataclasses.replace(write_pictures(open_folder / "data"), cache=open_folder / "cache")
    assert places.cache is not None
    places.cache.mkdir()
    if filled:
        assert_right(places)
    for path in (places.cache, *(path for path in places.cache.rglob("*") if path.is_dir())):
        path.chmod(0o555)
    # The administrator may write everywhere, so the process becomes another user, after its imports.
    imports = f"cache.decoders(); source.read({ID!r}, places); decoded.clear(); import os"
    other_user = "os.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534))"
    lines, err = output_of(reader(places.data, places.cache, f"{imports}; {other_user}"))
    images = SOURCE.ids("train", places)
    assert lines == [*images, "0" if filled else str(len(images))]
    assert err.count("note: ") == (not filled) and ("Permission denied" in err) == (not filled)


def test_a_cache_that_cannot_be_a_folder_is_none(places: Places, caplog: pytest.LogCaptureFixture) -> None:
    assert places.cache is not None
    places.cache.write_bytes(b"a file")
    for image_id in ids(places):
        reading.read(SOURCE, image_id, places)
    assert [record.message.count("Not a directory") for record in caplog.records] == [1]


def test_a_loader_process_keeps_its_notes_for_the_trainer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notes.note("a note of the trainer's own")
    assert notes.take_waiting() == () and len(caplog.records) == 1
    monkeypatch.setitem(notes.multiprocessing.current_process()._config, "daemon", True)
    notes.note("a note of a loader")
    assert notes.take_waiting() == ("a note of a loader",) and notes.take_waiting() == ()
    assert len(caplog.records) == 1


# --- removal -------------------------------------------------------------------------------------------------


def test_an_evicted_cache_is_gone_and_is_filled_again_while_readers_go_on(places: Places) -> None:
    assert places.cache is not None
    cache = cache_of(places)
    cache.read(ID)
    mapped = cache.read(ID)[0]
    (folder,) = cache_folders(places.cache)
    assert folder.is_current and folder.last_use is not None and time.time() - folder.last_use < 60
    evict(folder)
    assert list(places.cache.iterdir()) == []
    assert np.array_equal(mapped, SOURCE.read(ID, places)[0])
    cache.read(ID)
    assert cache.holds(ID)
    assert [found.made_of for found in cache_folders(places.cache)] == [cache.made_of]


def test_a_killed_eviction_is_finished_by_the_next_one_and_other_folders_stay(places: Places) -> None:
    assert places.cache is not None
    for name in (".evicted-folder-0123456789ab.00", "my own folder"):
        (places.cache / name).mkdir(parents=True)
        (places.cache / name / "file").write_bytes(b"x")
    assert cache_folders(places.cache) == []
    finish_evictions(places.cache)
    assert [path.name for path in places.cache.iterdir()] == ["my own folder"]


def test_a_cache_of_other_decoders_is_not_current(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    cache_of(places).read(ID)
    monkeypatch.setattr(cache_module, "decoders", lambda: {"pillow": "0"})
    assert not cache_of(places).holds(ID)
    cache_of(places).read(ID)
    current = [folder.is_current for folder in cache_folders(places.cache or Path())]
    assert sorted(current) == [False, True]
