"""Texts that distinguish things of one name, by the fewest paths at which their data differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FlatData = Mapping[str, Any]


def flatten(data: Any, path: str = "") -> dict[str, Any]:
    """Return plain data by path. A list of mappings is walked by index; any other list stays whole."""
    return dict(_leaves(data, path))


def _leaves(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping):
        children = list(data.items())
    elif isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        children = [(str(index), item) for index, item in enumerate(data)]
    else:
        yield path, data
        return
    for name, child in children:
        yield from _leaves(child, f"{path}.{name}" if path else name)


def distinguishing_texts(items: Sequence[FlatData]) -> list[str]:
    """Return for each of several flat data its values where they differ: "encoder.width 16"; "" if nothing differs.

    Paths are added until no further path distinguishes more of the data, the best path first. Of equally good paths
    the first one is taken.
    """
    paths = dict.fromkeys(path for item in items for path in item)
    texts = {path: [_text(item.get(path)) for item in items] for path in paths}
    differing = [path for path in paths if len(set(texts[path])) > 1]
    chosen: list[str] = []
    num_groups = 1
    while differing:
        groups = {path: _num_groups(texts, (*chosen, path)) for path in differing}
        best = max(differing, key=groups.__getitem__)
        if groups[best] == num_groups:
            break
        num_groups = groups[best]
        chosen.append(best)
    return [", ".join(f"{_short(path)} {texts[path][index]}" for path in chosen) for index in range(len(items))]


def _num_groups(texts: Mapping[str, list[str]], paths: Sequence[str]) -> int:
    """Return the number of groups whose data agree at all of the paths."""
    return len(set(zip(*(texts[path] for path in paths), strict=True)))


def _short(path: str) -> str:
    """Return the last two names of a path: encoder.width of net.encoder.width."""
    return ".".join(path.split(".")[-2:])


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
