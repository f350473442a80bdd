"""Keys: equal experiments have equal keys, and a key changes when a number may change.

A key is the hash of an *identity*, which is the experiment as plain data:

- under short names rather than import paths,
- with the hash of its content in place of every list and file,
- with its key in place of every nested experiment,
- with the versions of the method and of this package's numerics,
- without fields that hold their neutral value, that change nothing given the others, or that the method never reads.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assay import NUMERICS
from assay.experiment import Experiment, MethodValue
from assay.values import Value, fields, name_in_data, to_json, walk


def canonical(data: Any) -> str:
    """Return the same text for equal data: sorted names, no spaces, whole numbers without a decimal point."""
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(name): _plain(content) for name, content in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(item) for item in data]
    if isinstance(data, float) and math.isfinite(data) and data == int(data):
        return int(data)
    if hasattr(data, "item") and not isinstance(data, (str, bytes)):
        return _plain(data.item())
    return data


def key_of(identity: Mapping[str, Any]) -> str:
    """Return the key. Its 64 bits are enough for millions of experiments, and short enough to type."""
    return _hash(canonical(identity))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keys_by_seed(identity: Mapping[str, Any]) -> Callable[[int], str]:
    """Return a fast `key_of` for identities that differ from this one in their seed alone.

    All other fields are serialised once.
    """
    before, after = (
        canonical({name: content for name, content in identity.items() if keep(name)})[1:-1]
        for keep in ("seed".__gt__, "seed".__lt__)
    )
    return lambda seed: _hash("{" + ",".join(filter(None, (before, f'"seed":{seed}', after))) + "}")


def identity_of(
    experiment: Experiment, fingerprints: Mapping[str, Mapping[str, Any]], key_of_input: Callable[[str], str]
) -> dict[str, Any]:
    """Return the data whose hash is the key.

    fingerprints: by the path of a value, the data that stand for its resolved fields.
    key_of_input: returns the key of a nested experiment by its path.
    """
    body: dict[str, Any] = _content(experiment, "", fingerprints, key_of_input)
    for path in _unread_paths(experiment.method):
        body = _without(body, path)
    return {"numerics": NUMERICS, **body}


def identity_as_written(experiment: Experiment) -> str:
    """Return the identity as text, with lists and files as they are written: these need not be on this machine."""
    values = dict(walk(experiment))
    written = {
        path: {field.name: to_json(getattr(value, field.name)) for field in fields(type(value)) if field.rules.resolved}
        for path, value in values.items()
    }

    def nested(path: str) -> str:
        inner = values[path]
        assert isinstance(inner, Experiment)
        return identity_as_written(inner)

    return canonical(identity_of(experiment, written, nested))


def _unread_paths(method: MethodValue) -> Iterator[tuple[str, ...]]:
    """Yield the paths that this method never reads: unlabelled images, for instance, change nothing in Supervised."""
    if not method.reads_unlabeled():
        yield ("recipe", "unlabeled_batch")
        yield ("data", "split", "unlabeled")
    if not method.reads_strong():
        yield ("recipe", "augment", "strong")


def _without(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return a copy of `body` without the entry at a path."""
    first, *rest = path
    if not rest:
        return {name: content for name, content in body.items() if name != first}
    return body | {first: _without(body[first], tuple(rest))}


def _content(
    value: Any, path: str, fingerprints: Mapping[str, Mapping[str, Any]], key_of_input: Callable[[str], str]
) -> Any:
    if isinstance(value, tuple):
        return [_content(item, f"{path}.{index}", fingerprints, key_of_input) for index, item in enumerate(value)]
    if not isinstance(value, Value):
        return value
    if isinstance(value, Experiment) and path:
        return {"experiment": key_of_input(path)}
    name = name_in_data(type(value))
    data: dict[str, Any] = {"name": name} if name else {}
    unused = value.unused()
    if isinstance(value, MethodValue):
        data["version"] = type(value).version
    for field in fields(type(value)):
        content = getattr(value, field.name)
        is_neutral = field.rules.has_neutral and content == field.rules.neutral
        if is_neutral or field.rules.resolved or field.name in unused:
            continue
        field_path = f"{path}.{field.name}" if path else field.name
        data[field.name] = _content(content, field_path, fingerprints, key_of_input)
    return data | dict(fingerprints.get(path, {}))


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return the differences of two identities as (path, old, new). A side that has no such path is None."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted(set(old) | set(new))
        return [
            difference
            for name in names
            for difference in differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
        ]
    return [] if canonical(old) == canonical(new) else [(path, old, new)]
