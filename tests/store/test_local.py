from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from assay.errors import UserError
from assay.store.local import LocalStore, explain
from assay.store.store import StoreError


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "deep" / "store")


def files(store):
    """Return every file on the disk, spools included."""
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def run(program, *arguments, check=True):
    """Run a program in its own process, with this process's import paths."""
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path[:0] = {sys.path!r}\n{program}",
        *map(str, arguments),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=check)


# --- reading and writing ----------------------------------------------------------------------------------


def test_what_was_written_is_read(store):
    store.write("key", "name", b"\0one")
    assert store.read("key", "name") == b"\0one"


def test_writing_replaces(store):
    store.write("key", "name", b"a long content")
    store.write("key", "name", b"short")
    assert store.read("key", "name") == b"short"
    assert files(store) == ["key/name"]


def test_what_is_not_there_reads_as_none(store):
    assert store.read("key", "name") is None
    store.write("key", "other", b"")
    assert store.read("key", "name") is None
    assert store.read("key", "other") == b""


def test_reading_and_listing_create_nothing(store):
    assert (store.read("key", "name"), store.names("key"), store.keys()) == (None, [], [])
    store.delete("key", "name")
    assert not store.root.parent.exists()


def test_names_and_keys_are_sorted_and_hold_only_what_the_store_could_have_written(store):
    for key, name in [("b", "z"), ("b", "a"), ("a", "x")]:
        store.write(key, name, b"")
    (store.root / "b" / ".a.0123.tmp").write_bytes(b"half")
    (store.root / "b" / "a copy").write_bytes(b"")
    (store.root / "b" / "profile").mkdir()
    (store.root / "notes.txt").write_bytes(b"")
    (store.root / ".git").mkdir()
    assert store.keys() == ["a", "b"]
    assert store.names("b") == ["a", "z"]


def test_deleting_takes_one_name_and_may_be_repeated(store):
    store.write("key", "one", b"")
    store.write("key", "two", b"")
    store.delete("key", "one")
    store.delete("key", "one")
    assert store.names("key") == ["two"]


def test_the_root_stays_the_same_when_the_process_changes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LocalStore(Path("here"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.write("key", "name", b"x")
    assert (tmp_path / "here/key/name").read_bytes() == b"x"
    assert store.describe() == str(tmp_path / "here")
    assert store.place("key") == str(tmp_path / "here" / "key")


def test_files_get_the_rights_that_the_user_gives_new_files(store):
    before = os.umask(0o027)
    try:
        store.write("key", "name", b"")
        store.create("key", "other", b"")
    finally:
        os.umask(before)
    assert {(store.root / "key" / name).stat().st_mode & 0o777 for name in ["name", "other"]} == {0o640}


@pytest.mark.parametrize("key, name", [("..", "x"), ("key", "../x"), ("a/b", "x"), ("key", "")])
def test_every_method_refuses_a_name_that_points_elsewhere(store, key, name):
    calls = [
        lambda: store.read(key, name),
        lambda: store.write(key, name, b""),
        lambda: store.create(key, name, b""),
        lambda: store.delete(key, name),
        lambda: store.open_log(key, name, b""),
    ]
    for call in calls:
        with pytest.raises(UserError):
            call()
    assert not store.root.exists()


def test_a_reader_gets_the_old_content_or_the_new_and_nothing_between(store):
    contents = {bytes([letter]) * 50_000 for letter in b"abc"}
    store.write("key", "name", min(contents))
    done = threading.Event()

    def write():
        for _ in range(20):
            for content in contents:
                store.write("key", "name", content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    read = set()
    while not done.is_set():
        read.add(store.read("key", "name"))
    writer.join()
    assert read <= contents


# --- exclusive creation -----------------------------------------------------------------------------------


def test_creating_succeeds_once_and_leaves_what_is_there(store):
    assert store.create("key", "name", b"first") is True
    assert store.create("key", "name", b"second") is False
    assert store.read("key", "name") == b"first"
    assert files(store) == ["key/name"]


RACE = """
import sys
from pathlib import Path
from assay.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(*[name for name in range(60) if store.create("key", f"n{name}", sys.argv[2].encode() * 1000)])
"""


def test_of_several_processes_that_create_a_name_one_succeeds_with_its_whole_content(store):
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{RACE}", str(store.root)]
    racers = {
        letter: subprocess.Popen([*command, letter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for letter in "abc"
    }
    for racer in racers.values():
        assert racer.stdout.readline() == "ready\n"
    for racer in racers.values():
        racer.stdin.write("\n")
        racer.stdin.flush()
    won = {letter: racer.communicate()[0].split() for letter, racer in racers.items()}
    assert sorted((name for names in won.values() for name in names), key=int) == [str(name) for name in range(60)]
    for letter, names in won.items():
        for name in names:
            assert store.read("key", f"n{name}") == letter.encode() * 1000
    assert files(store) == sorted(f"key/n{name}" for name in range(60))


# --- logs -------------------------------------------------------------------------------------------------


def test_a_log_begins_with_what_is_kept_and_grows(store):
    store.write("key", "log", b"1\n2\n3\n")
    log = store.open_log("key", "log", b"1\n")
    assert store.read("key", "log") == b"1\n"
    log.append(b"b\n")
    log.append(b"c\n")
    assert store.read("key", "log") == b"1\nb\nc\n"
    log.sync()
    log.close()
    log.close()
    assert files(store) == ["key/log"]


def test_a_closed_log_takes_nothing(store):
    log = store.open_log("key", "log", b"")
    log.close()
    with pytest.raises(StoreError, match="closed"):
        log.append(b"x")


def test_a_former_owner_appends_to_a_log_that_is_no_longer_read(store):
    former = store.open_log("key", "log", b"")
    former.append(b"1\n")
    successor = store.open_log("key", "log", b"1\n")
    former.append(b"stale\n")
    successor.append(b"2\n")
    former.append(b"stale\n")
    former.close()
    successor.append(b"3\n")
    successor.close()
    assert store.read("key", "log") == b"1\n2\n3\n"


def test_what_was_appended_survives_a_kill(store):
    program = """
import os, signal, sys
from pathlib import Path
from assay.store.local import LocalStore
log = LocalStore(Path(sys.argv[1])).open_log("key", "log", b"kept\\n")
log.append(b"appended\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(program, store.root, check=False).returncode == -9
    assert store.read("key", "log") == b"kept\nappended\n"


def test_descriptors_are_given_back(store):
    def count():
        return len(list(Path("/dev/fd").iterdir()))

    before = count()
    for number in range(5):
        store.write("key", "name", b"x")
        store.create("key", f"name{number}", b"x")
        store.open_log("key", "log", b"").close()
    assert count() == before


# --- temporary files --------------------------------------------------------------------------------------


def test_writing_sweeps_away_what_a_killed_writer_left_long_ago(store):
    store.write("key", "name", b"old")
    old, young, other = (store.root / "key" / each for each in (".name.1.tmp", ".name.2.tmp", ".other.3.tmp"))
    for each in (old, young, other):
        each.write_bytes(b"half")
    hour_ago = young.stat().st_mtime - 3600
    os.utime(old, (hour_ago, hour_ago))
    os.utime(other, (hour_ago, hour_ago))
    store.write("key", "name", b"new")
    assert files(store) == ["key/.name.2.tmp", "key/.other.3.tmp", "key/name"]


LIMITED = """
import resource, signal, sys
from pathlib import Path
from assay.store.local import LocalStore
from assay.store.store import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LocalStore(Path(sys.argv[1]))
log = store.open_log("key", "log", b"kept\\n")
log.append(b"1\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
big = b"x" * 1500
for action in (
    lambda: store.write("key", "name", big),
    lambda: store.create("key", "fresh", big),
    lambda: store.open_log("key", "name", big),
    lambda: log.append(big),
):
    try:
        action()
    except StoreError as problem:
        print(problem)
log.append(b"2\\n")
"""


def test_a_write_that_fails_half_way_leaves_everything_as_it_was(store):
    store.write("key", "name", b"old")
    messages = run(LIMITED, store.root).stdout.splitlines()
    reason = "the file would be larger than allowed: raise the limit (ulimit -f), or choose another folder"
    assert messages == [
        f"Cannot write {store.root}/key/{name}: {reason} for the store." for name in ["name", "fresh", "name", "log"]
    ]
    assert store.read("key", "name") == b"old"
    assert store.read("key", "log") == b"kept\n1\n2\n"
    assert files(store) == ["key/log", "key/name"]


# --- what goes wrong --------------------------------------------------------------------------------------


def test_a_root_that_is_a_file_is_named_with_a_cure(tmp_path):
    (tmp_path / "file").write_text("precious")
    store = LocalStore(tmp_path / "file")
    calls = [
        lambda: store.read("key", "name"),
        lambda: store.write("key", "name", b""),
        lambda: store.create("key", "name", b""),
        lambda: store.open_log("key", "name", b""),
        lambda: store.names("key"),
        lambda: store.keys(),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=r"file.*: a file stands where a folder must be: move it away, or"):
            call()
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_in_the_place_of_a_file_is_named(store):
    (store.root / "key" / "name").mkdir(parents=True)
    for call in (lambda: store.read("key", "name"), lambda: store.write("key", "name", b"")):
        with pytest.raises(StoreError, match="key/name: a folder stands where a file must be"):
            call()
    assert files(store) == []


def test_a_folder_that_the_system_guards_is_named_with_a_cure():
    with pytest.raises(StoreError, match=r"/sys/store/key/name: (permission is denied|the file system is read-)"):
        LocalStore(Path("/sys/store")).write("key", "name", b"")


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.ENOSPC, "no space is left there: free some, or choose another folder for the store"),
        (errno.EDQUOT, "your quota there is used up"),
        (errno.EACCES, "permission is denied: ask for write access"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "the device reports an error"),
        (errno.ESTALE, "another process has replaced it"),
        (errno.ENAMETOOLONG, "File name too long"),
    ],
)
def test_an_error_of_the_system_becomes_one_sentence(number, words):
    problem = explain(OSError(number, os.strerror(number)), "write", Path("/place/key"))
    assert isinstance(problem, StoreError)
    assert str(problem).startswith(f"Cannot write /place/key: {words}")
    assert str(problem).endswith(".")
    assert str(problem).count("\n") == 0


def test_the_error_of_a_real_full_device_becomes_that_sentence():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError) as caught:
        os.write(descriptor, b"x")
    os.close(descriptor)
    assert "no space is left" in str(explain(caught.value, "write", Path("x")))
