"""JSON as the store writes it: readable by people, exact for numbers, and without NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from assay.store.store import DamagedDocument


def pretty(document: Mapping[str, Any]) -> bytes:
    """Return a document as the content of a file: indented, in its own order."""
    return _encode(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def line(document: Mapping[str, Any]) -> bytes:
    """Return a document as one line of a log."""
    return _encode(json.dumps(document, ensure_ascii=False, allow_nan=False))


def _encode(text: str) -> bytes:
    # File names and error texts may hold bytes that are not UTF-8; Python's escape for them is also JSON's.
    return (text + "\n").encode("utf-8", errors="backslashreplace")


def parse(data: bytes, place: str) -> dict[str, Any]:
    """Return the document that was written; raise a DamagedDocument that names the file where it is damaged."""
    try:
        document = json.loads(data)
    except ValueError as problem:
        raise _unreadable(place, str(problem)) from None
    if not isinstance(document, dict):
        raise _unreadable(place, "it holds no JSON object")
    return document


def parse_lines(data: bytes, place: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Return each line of a log with its document.

    Bytes after the last line's end are left out: their writer was killed while it wrote them.
    """
    complete = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    return [(raw, parse(raw, f"{place}, line {number}")) for number, raw in enumerate(complete, start=1)]


def _unreadable(place: str, reason: str) -> DamagedDocument:
    return DamagedDocument(f"{place} cannot be read as JSON ({reason}): restore it from a copy, or delete it.")
