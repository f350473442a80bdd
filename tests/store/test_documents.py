from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.store.documents import line, parse, parse_lines, pretty
from assay.store.store import StoreError


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.none()))
def test_what_is_written_is_read_back_bit_for_bit(document):
    assert parse(pretty(document), "x") == document
    assert parse(line(document), "x") == document


@given(st.dictionaries(st.text(), st.text()))
def test_a_line_is_one_line_whatever_the_texts_hold(document):
    assert line(document).count(b"\n") == 1
    assert [each for _, each in parse_lines(line(document) * 2, "x")] == [document, document]


def test_a_document_keeps_its_order_and_ends_with_a_line_end():
    assert pretty({"b": 1, "a": [0.1]}) == b'{\n  "b": 1,\n  "a": [\n    0.1\n  ]\n}\n'


def test_letters_stay_readable():
    assert "β" in pretty({"β": "ü"}).decode()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("write", [pretty, line])
def test_a_number_that_json_does_not_know_is_refused(write, number):
    with pytest.raises(ValueError, match="JSON compliant"):
        write({"loss": [number]})


def test_bytes_of_a_file_name_that_are_no_utf8_survive():
    name = b"\xff.png".decode("utf-8", errors="surrogateescape")
    assert json.loads(pretty({"file": name})) == {"file": name}


@pytest.mark.parametrize("data", [b"{", b"", b"[1]", b"\xff\xfe", b"{}{}"])
def test_what_is_no_document_is_named_with_its_place_and_a_cure(data):
    with pytest.raises(StoreError, match=r"^there/result\.json cannot be read as JSON .*: restore it .*\.$"):
        parse(data, "there/result.json")


def test_a_log_cut_at_any_byte_reads_as_its_complete_lines():
    documents = [{"step": step, "loss": step / 3} for step in range(5)]
    lines = [line(each) for each in documents]
    whole = b"".join(lines)
    for length in range(len(whole) + 1):
        complete = sum(length >= len(b"".join(lines[: count + 1])) for count in range(len(lines)))
        assert [each for _, each in parse_lines(whole[:length], "x")] == documents[:complete]


def test_a_spoilt_line_within_a_log_is_named_by_its_number():
    with pytest.raises(StoreError, match="log, line 2 cannot"):
        parse_lines(b'{"step": 1}\n{"st\n{"step": 3}\n', "log")
