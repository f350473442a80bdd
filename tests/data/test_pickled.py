"""Pickled permutations: all forms that numpy and Python write are read, and nothing in a pickle is ever executed."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from assay.data.lists import read_file
from assay.data.pickled import MAX_BYTES, read_permutation
from assay.errors import UserError

ORDER = tuple(int(position) for position in np.random.default_rng(0).permutation(300))
NAMES = tuple(f"2007_{position:06}" for position in ORDER)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "split_0.pkl"
    path.write_bytes(data)
    return path


def refusal(folder: Path, data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        read_permutation(write(folder, data))
    text = str(caught.value)
    assert str(folder / "split_0.pkl") in text and text.endswith("Nothing in it was executed.")
    return text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "positions",
    [
        list(ORDER),
        ORDER,
        np.array(ORDER),
        np.array(ORDER, np.int32),
        np.array(ORDER, ">i4"),
        np.array(ORDER, np.uint16),
        np.array(ORDER, object),
        [np.int64(position) for position in ORDER],
    ],
    ids=["list", "tuple", "int64", "int32", "big endian", "uint16", "objects", "scalars"],
)
def test_positions_are_read_from_every_form_and_protocol(tmp_path, protocol, positions):
    assert read_permutation(write(tmp_path, pickle.dumps(positions, protocol))) == ((), ORDER)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "names",
    [list(NAMES), np.array(NAMES), np.array(NAMES, "S"), np.array(NAMES, object), [np.str_(name) for name in NAMES]],
    ids=["list", "texts", "bytes", "objects", "scalars"],
)
def test_names_are_read_from_every_form_and_protocol(tmp_path, protocol, names):
    assert read_permutation(write(tmp_path, pickle.dumps(names, protocol))) == (NAMES, ())


@pytest.mark.parametrize("protocol", range(4))
@pytest.mark.parametrize(
    "positions", [np.array(ORDER), [np.int64(position) for position in ORDER]], ids=["array", "list"]
)
def test_numpy_1_and_numpy_2_name_their_functions_differently_and_both_are_read(tmp_path, protocol, positions):
    data = pickle.dumps(positions, protocol)
    old, new = data.replace(b"numpy._core", b"numpy.core"), data.replace(b"numpy.core", b"numpy._core")
    assert old != new
    for form in (old, new):
        assert read_permutation(write(tmp_path, form)) == ((), ORDER)


def test_an_array_that_python_2_wrote_is_read(tmp_path):
    """Python 2 wrote bytes as texts of one byte per character (BINSTRING, here T)."""
    raw = np.array(ORDER, "<i8").tobytes()
    data = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04\x87q\x05R"
    )
    data += b"q\x06(K\x01M" + struct.pack("<H", len(ORDER)) + b"\x85q\x07cnumpy\ndtype\nq\x08U\x02i8q\x09K\x00K\x01"
    data += b"\x87q\x0aRq\x0b(K\x03U\x01<q\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0db\x89"
    data += b"T" + struct.pack("<I", len(raw)) + raw + b"q\x0etq\x0fb."
    assert read_permutation(write(tmp_path, data)) == ((), ORDER)


def test_a_permutation_is_a_list_with_a_size(tmp_path):
    images = read_file(write(tmp_path, pickle.dumps(list(ORDER))))
    assert (images.positions, images.entries, images.size) == (ORDER, (), len(ORDER))
    assert images.first(7).positions == ORDER[:7] and images.first(7).size == len(ORDER)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "it is empty"),
        ({"a": 1}, "the instruction EMPTY_DICT"),
        (3, "values of type int"),
        ("2007_000032", "values of type str"),
        ([0, 2], "its 2 numbers are not the positions 0 to 1"),
        ([0, 0], "are not the positions"),
        ([-1, 0], "are not the positions"),
        ([0, True], "values of type bool"),
        ([0, "a"], "values of type int, values of type str"),
        ([0.0, 1.0], "the instruction BINFLOAT"),
        (np.arange(4.0), "neither whole numbers nor texts"),
        (np.arange(4).reshape(2, 2), "2 dimensions"),
        (np.array(3), "0 dimensions"),
        (np.array([True, False]), "neither whole numbers nor texts"),
        (np.array([None, 1]), "values of type NoneType"),
        (np.zeros(2, [("a", int)]), "neither whole numbers nor texts"),
        (np.array([[0], [1, 2]], object), "values of type list"),
        (Path("a"), "it names pathlib"),
        ({1, 2}, "the instruction EMPTY_SET"),
    ],
    ids=str,
)
def test_what_is_no_permutation_is_refused_with_the_reason(tmp_path, value, reason):
    assert reason in refusal(tmp_path, pickle.dumps(value, 4))


# --- malicious pickles ----------------------------------------------------------------------------------------------


class Calls:
    """A value whose pickle makes the standard unpickler call a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> object:
        return self.call


def malicious(marker: Path) -> dict[str, object]:
    code = f"open({str(marker)!r}, 'w')"
    return {
        "os.system": Calls(os.system, f"touch {marker}"),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "open": Calls(open, str(marker), "w"),
        "subprocess": Calls(subprocess.check_call, ("touch", str(marker))),
        "mkdir": Calls(os.mkdir, str(marker)),
        "__import__": Calls(__import__, "antigravity"),
        "getattr": Calls(getattr, "", "join"),
        "numpy": Calls(np.save, str(marker), np.arange(3)),
        "numpy's load": Calls(np.load, str(marker), "r", True),
        "ndarray": Calls(np.ndarray, (10**12,)),
        "bytes": Calls(bytes, 10**12),
    }


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", malicious(Path()))
@pytest.mark.parametrize(
    "around",
    [lambda bad: bad, lambda bad: [0, bad], lambda bad: np.array([0, bad], object), lambda bad: (bad, list(ORDER))],
    ids=["alone", "in a list", "in an array of objects", "before a list"],
)
def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path, name, protocol, around):
    marker = tmp_path / "was executed"
    data = pickle.dumps(around(malicious(marker)[name]), protocol)
    assert refusal(tmp_path, data)
    assert not marker.exists() and not marker.with_suffix(".npy").exists()


def test_the_standard_unpickler_would_have_executed_these_pickles(tmp_path):
    """The pickles above are dangerous; otherwise their refusal would prove nothing."""
    for name in ("os.system", "eval", "subprocess", "mkdir", "open"):
        marker = tmp_path / name
        pickle.loads(pickle.dumps(malicious(marker)[name]))
        assert marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"\x80\x02cos\nsystem\nU\x04true\x85\x81.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x02\x82\x01.",
        b"Panything\n.",
        b"\x80\x02U\x08anythingQ.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R}U\x01ab.",
        b"cnumpy\ndtype\n(S'O'\ntRcnumpy\ndtype\nb.",
    ],
    ids=["GLOBAL", "INST", "OBJ", "NEWOBJ", "STACK_GLOBAL", "EXT1", "PERSID", "BINPERSID", "BUILD", "BUILD a dtype"],
)
def test_every_instruction_that_could_call_is_refused(tmp_path, data):
    refusal(tmp_path, data)


def bombs() -> dict[str, bytes]:
    big = b"\x00" * 2**20
    many = 5000
    kept = b"\x80\x04B" + struct.pack("<I", len(big)) + big + b"q\x000"
    text = b"\x80\x04X" + struct.pack("<I", len(big)) + big + b"q\x000"
    encode = b"c_codecs\nencode\nq\x01"
    frombuffer = b"cnumpy.core.numeric\n_frombuffer\nq\x01cnumpy\ndtype\n\x8c\x02i1\x85Rq\x02"
    arrays = b"h\x01(h\x00h\x02K\x01\x85U\x01CtR" * many
    scalar = b"cnumpy.core.multiarray\nscalar\nq\x01cnumpy\ndtype\n\x8c\x05S9999\x85Rq\x02"
    return {
        "a length of 2**62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.",
        "a length of 2**31": b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b"a.",
        "a negative length": b"\x80\x02T" + struct.pack("<i", -1) + b"a.",
        "a frame of 2**62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"].",
        "a long of 2**31 bytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"a.",
        "a number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
        "tuples in tuples": b"\x80\x02)" + b"\x85" * 30_000 + b".",
        "lists in lists": b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".",
        "a list of itself": b"\x80\x02]q\x00h\x00a.",
        "a billion laughs": b"\x80\x02]" + (b"q\x00(" + b"h\x00" * 9 + b"l") * 100 + b".",
        "one buffer as many arrays": kept + frombuffer + b"00(" + arrays + b"l.",
        "one text encoded many times": text + encode + b"0(" + b"h\x01h\x00U\x06latin1\x86R" * many + b"l.",
        "one long scalar many times": kept + b"\x80\x02T" + struct.pack("<i", 9999) + b"a" * 9999 + b"q\x000"
        + scalar + b"00(" + b"h\x01h\x02h\x00\x86R" * 20000 + b"l.",
        "marks alone": b"(" * 10**5 + b".",
        "pops alone": b"0" * 10 + b".",
        "a memo that is missing": b"h\x07.",
    }  # fmt: skip


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_with_little_memory(tmp_path, name):
    data = bombs()[name]
    path = write(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            read_permutation(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_a_file_beyond_the_limit_is_not_read(tmp_path):
    path = tmp_path / "huge.pkl"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match=f"it has {MAX_BYTES + 1} bytes, and at most {MAX_BYTES} are read"):
        read_permutation(path)


def test_the_permutation_of_the_largest_data_set_is_read(tmp_path):
    order = np.random.default_rng(1).permutation(118287)
    assert read_permutation(write(tmp_path, pickle.dumps(order)))[1] == tuple(order.tolist())


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_truncated_pickle_is_refused_wherever_it_ends(tmp_path, protocol):
    data = pickle.dumps(np.arange(20), protocol)
    for size in range(len(data)):
        refusal(tmp_path, data[:size])


def test_damaged_pickles_are_read_or_refused_and_never_fail_otherwise(tmp_path):
    draws = random.Random(0)
    outcomes = set()
    for _ in range(800):
        value = draws.choice([list(range(9)), np.arange(9), np.array(NAMES[:9], object), [np.int64(0), np.int64(1)]])
        data = bytearray(pickle.dumps(value, draws.randrange(6)))
        for _ in range(draws.randint(1, 3)):
            data[draws.randrange(len(data))] = draws.randrange(256)
        try:
            names, positions = read_permutation(write(tmp_path, bytes(data)))
            assert all(isinstance(name, str) for name in names)
            assert sorted(positions) == list(range(len(positions)))
            outcomes.add("read")
        except UserError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
