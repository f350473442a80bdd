"""What tells things apart that would have one name: the fewest paths at which their data differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Flat = Mapping[str, Any]


def flat(data: Any, path: str = "") -> dict[str, Any]:
    """Plain data by path; a list of numbers or words stays whole, one of mappings is walked by index."""
    return dict(_leaves(data, path))


def _leaves(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping):
        parts = list(data.items())
    elif isinstance(data, list) and any(isinstance(each, Mapping) for each in data):
        parts = [(str(index), each) for index, each in enumerate(data)]
    else:
        yield path, data
        return
    for name, each in parts:
        yield from _leaves(each, f"{path}.{name}" if path else name)


def apart(each: Sequence[Flat]) -> list[str]:
    """For each of several `flat` data, its values where they differ: "encoder.width 16"; "" where nothing does.

    Of several paths that tell as many apart the first one is taken, as few as it needs.
    """
    paths = dict.fromkeys(path for data in each for path in data)
    texts = {path: [_text(data.get(path)) for data in each] for path in paths}
    differing = [path for path in paths if len(set(texts[path])) > 1]
    chosen: list[str] = []
    told = 1
    while differing:
        groups = {path: len(set(zip(*(texts[one] for one in (*chosen, path)), strict=True))) for path in differing}
        best = max(differing, key=groups.__getitem__)
        if groups[best] == told:
            break
        told = groups[best]
        chosen.append(best)
    return [", ".join(f"{_short(path)} {texts[path][index]}" for path in chosen) for index in range(len(each))]


def _short(path: str) -> str:
    """The last two names of a path: encoder.width of net.encoder.width."""
    return ".".join(path.split(".")[-2:])


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
