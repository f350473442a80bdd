"""Files and folders change as a whole, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from assay import atomic


def names(folder: Path) -> list[str]:
    """Every name in a folder, spools included."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def spools(tmp_path: Path) -> dict[str, Path]:
    """Three spools of the file `name`: of a writer that died an hour ago, of a living one, and of another file."""
    paths = {kind: tmp_path / name for kind, name in (("old", ".name.1.tmp"), ("young", ".name.2.tmp"))}
    paths["other"] = tmp_path / ".other.3.tmp"
    for path in paths.values():
        path.write_bytes(b"half")
    hour_ago = paths["young"].stat().st_mtime - 3600
    for kind in ("old", "other"):
        os.utime(paths[kind], (hour_ago, hour_ago))
    return paths


# --- files ------------------------------------------------------------------------------------------------


def test_replacing_makes_missing_folders_and_leaves_the_new_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "name"
    for data in (b"a long content", b"short"):
        assert atomic.replace(path, data) == path
        assert path.read_bytes() == data and names(path.parent) == ["name"]


def test_a_reader_gets_the_old_content_or_the_new_and_nothing_between(tmp_path: Path) -> None:
    contents = {bytes([letter]) * 50_000 for letter in b"abc"}
    path = atomic.replace(tmp_path / "name", min(contents))
    done = threading.Event()

    def write() -> None:
        for _ in range(20):
            for content in contents:
                atomic.replace(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    read = set()
    while not done.is_set():
        read.add(atomic.read(path))
    writer.join()
    assert read <= contents


@pytest.mark.parametrize("write", [atomic.replace, atomic.replace_and_open, atomic.create])
def test_a_write_that_fails_leaves_the_old_content_and_no_spool(
    write: Callable[[Path, bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = atomic.replace(tmp_path / "name", b"old")
    new = tmp_path / "new" if write is atomic.create else path

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            write(new, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["name"]


def test_the_descriptor_of_a_replaced_file_appends_to_it_even_where_it_was_replaced_again(tmp_path: Path) -> None:
    path = tmp_path / "name"
    descriptor = atomic.replace_and_open(path, b"first ")
    os.write(descriptor, b"second")
    assert path.read_bytes() == b"first second"
    atomic.replace(path, b"another")
    os.write(descriptor, b" third")
    os.close(descriptor)
    assert path.read_bytes() == b"another"


def test_creating_succeeds_once_and_leaves_the_first_content(tmp_path: Path) -> None:
    assert atomic.create(tmp_path / "name", b"first") is True
    assert atomic.create(tmp_path / "name", b"second") is False
    assert (tmp_path / "name").read_bytes() == b"first" and names(tmp_path) == ["name"]


def test_files_get_the_rights_that_the_user_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.replace(tmp_path / "replaced", b"")
        atomic.create(tmp_path / "created", b"")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


@pytest.mark.parametrize("write", [atomic.replace, atomic.create])
def test_writing_removes_the_spools_of_this_file_whose_writers_died_long_ago(
    write: Callable[[Path, bytes], object], tmp_path: Path, spools: dict[str, Path]
) -> None:
    write(tmp_path / "name", b"new")
    assert {kind for kind, path in spools.items() if path.exists()} == {"young", "other"}


def test_brackets_in_a_name_are_no_pattern_of_other_files_spools(tmp_path: Path, spools: dict[str, Path]) -> None:
    hour_ago = spools["old"].stat().st_mtime
    own = tmp_path / ".[n]ame.1.tmp"
    own.write_bytes(b"half")
    os.utime(own, (hour_ago, hour_ago))
    atomic.replace(tmp_path / "[n]ame", b"")
    assert all(path.exists() for path in spools.values()) and not own.exists()


@pytest.mark.parametrize("publish", [atomic.publish, atomic.publish_without_links])
def test_publishing_takes_a_free_name_and_no_other(publish: Callable[[Path, Path], bool], tmp_path: Path) -> None:
    for content in ["first", "second"]:
        (tmp_path / content).write_text(content)
    assert publish(tmp_path / "first", tmp_path / "name") is True
    assert publish(tmp_path / "second", tmp_path / "name") is False
    assert (tmp_path / "name").read_text() == "first"


def test_a_link_whose_answer_was_lost_and_that_was_requested_again_counts_as_made(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("content")
    os.link(tmp_path / "spool", tmp_path / "name")
    assert atomic.publish(tmp_path / "spool", tmp_path / "name") is True


def test_where_there_are_no_links_a_name_is_published_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(path: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    assert atomic.create(tmp_path / "name", b"first") is True
    assert atomic.create(tmp_path / "name", b"second") is False
    assert (tmp_path / "name").read_bytes() == b"first" and names(tmp_path) == ["name"]


def test_without_links_one_of_several_publishes(tmp_path: Path) -> None:
    winners: list[int] = []

    def race(number: int, barrier: threading.Barrier) -> None:
        spool = tmp_path / f"spool{number}"
        spool.write_text(str(number))
        barrier.wait()
        if atomic.publish_without_links(spool, tmp_path / "name"):
            winners.append(number)

    for _ in range(20):
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=race, args=(number, barrier)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(tmp_path / "name").read_text()] == [str(number) for number in winners]
        winners.clear()
        (tmp_path / "name").unlink()


def test_a_file_that_was_just_replaced_on_a_file_server_is_read_again() -> None:
    answers: list[OSError | bytes] = [OSError(errno.ESTALE, "stale"), OSError(errno.ESTALE, "stale"), b"content"]

    def read() -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert atomic.retry_if_stale(read) == b"content"


@pytest.mark.parametrize(("number", "attempts"), [(errno.ESTALE, 3), (errno.EIO, 1)])
def test_reading_again_has_an_end_and_is_for_no_other_error(number: int, attempts: int) -> None:
    calls: list[int] = []

    def read() -> bytes:
        calls.append(number)
        raise OSError(number, "")

    with pytest.raises(OSError):
        atomic.retry_if_stale(read, attempts=3)
    assert len(calls) == attempts


# --- folders ----------------------------------------------------------------------------------------------


def test_a_folder_appears_as_a_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    for content in ("first", "second"):
        with atomic.replace_folder(folder) as spool:
            (spool / content).write_text(content)
            assert not (folder / content).exists()
        assert names(folder) == [content] and names(folder.parent) == ["folder"]


def test_an_error_while_a_folder_is_written_leaves_the_old_one_and_no_spool(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("")
    with pytest.raises(ZeroDivisionError), atomic.replace_folder(folder) as spool:
        (spool / "new").write_text("")
        _ = 1 / 0
    assert names(folder) == ["old"] and names(tmp_path) == ["folder"]


def test_a_folder_that_cannot_take_its_name_leaves_the_old_one_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("")
    rename = Path.rename

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name.endswith(".new"):
            raise OSError(errno.EIO, "refused")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OSError, match="refused"), atomic.replace_folder(folder):
        pass
    assert names(folder) == ["old"] and names(tmp_path) == ["folder"]
