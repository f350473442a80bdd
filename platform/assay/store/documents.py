"""JSON as the store writes it: for people to read, exact for numbers, and never with a NaN in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assay.store.store import DamagedDocument


def pretty(document: Mapping[str, Any]) -> bytes:
    """A document as a file of its own: indented, in the order in which it was written."""
    return _encode(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def line(document: Mapping[str, Any]) -> bytes:
    """A document as one line of a log."""
    return _encode(json.dumps(document, ensure_ascii=False, allow_nan=False))


def _encode(text: str) -> bytes:
    # File names and error texts may hold bytes that are no UTF-8; Python's escape for them is also JSON's.
    return (text + "\n").encode("utf-8", errors="backslashreplace")


def parse(data: bytes, place: str) -> dict[str, Any]:
    """The document that was written, or a DamagedDocument that names the file."""
    try:
        document = json.loads(data)
    except ValueError as problem:
        raise _unreadable(place, str(problem)) from None
    if not isinstance(document, dict):
        raise _unreadable(place, "it holds no object")
    return document


def parse_lines(data: bytes, place: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Each line of a log with its document.

    What follows the last line's end was being written when its writer was killed, and is left out.
    """
    complete = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    return [(raw, parse(raw, f"{place}, line {number}")) for number, raw in enumerate(complete, start=1)]


def _unreadable(place: str, reason: str) -> DamagedDocument:
    return DamagedDocument(f"{place} cannot be read as JSON ({reason}): restore it from a copy, or delete it.")
