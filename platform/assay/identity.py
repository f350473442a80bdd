"""Keys: equal experiments have equal keys, and a key changes when a number may.

A key is the hash of an *identity*: the experiment as plain data, under short names rather than import paths, with
every list and file replaced by the hash of what was found, with nested experiments replaced by their keys, with
the versions of the method and of this package's numerics, and without fields that hold their neutral value, that
decide nothing beside the others, or that the method never looks at.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from assay import NUMERICS
from assay.experiment import Experiment, MethodValue
from assay.values import Value, fields


def canonical(data: Any) -> str:
    """One text for equal data: sorted names, no spaces, whole numbers without a point."""
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
    """The key: 64 bits are plenty for millions of experiments, and short enough to read out."""
    return _hash(canonical(identity))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keys_by_seed(identity: Mapping[str, Any]) -> Callable[[int], str]:
    """`key_of` for identities that differ from this one in their seed alone, which is all that is written anew."""
    before, after = (
        canonical({name: content for name, content in identity.items() if keep(name)})[1:-1]
        for keep in ("seed".__gt__, "seed".__lt__)
    )
    return lambda seed: _hash("{" + ",".join(filter(None, (before, f'"seed":{seed}', after))) + "}")


def identity_of(
    experiment: Experiment, facts: Mapping[str, Mapping[str, Any]], key_of_input: Callable[[str], str]
) -> dict[str, Any]:
    """What is hashed. `facts` holds, by path, what the resolved fields below that path resolve to;
    `key_of_input` gives the key of a nested experiment by its path."""
    body: dict[str, Any] = _content(experiment, "", facts, key_of_input)
    for path in _unread(experiment.method):
        body = _without(body, path)
    return {"numerics": NUMERICS, **body}


def _unread(method: MethodValue) -> Iterator[tuple[str, ...]]:
    """What this method never looks at: Supervised trains the same whatever lies unlabelled beside its images."""
    if not method.reads_unlabeled():
        yield ("recipe", "unlabeled_batch")
        yield ("data", "split", "unlabeled")
    if not method.reads_strong():
        yield ("recipe", "augment", "strong")


def _without(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """`body` without what lies at a path; the argument is left as it is."""
    first, *rest = path
    if not rest:
        return {name: content for name, content in body.items() if name != first}
    return body | {first: _without(body[first], tuple(rest))}


def _content(value: Any, path: str, facts: Mapping[str, Mapping[str, Any]], key_of_input: Callable[[str], str]) -> Any:
    if isinstance(value, tuple):
        return [_content(item, f"{path}.{index}", facts, key_of_input) for index, item in enumerate(value)]
    if not isinstance(value, Value):
        return value
    if isinstance(value, Experiment) and path:
        return {"experiment": key_of_input(path)}
    found: dict[str, Any] = {"name": value.name} if value.name else {}
    unused = value.unused()
    if isinstance(value, MethodValue):
        found["version"] = type(value).version
    for field in fields(type(value)):
        content = getattr(value, field.name)
        neutral = field.rules.has_neutral and content == field.rules.neutral
        if neutral or field.rules.resolved or field.name in unused:
            continue
        below = f"{path}.{field.name}" if path else field.name
        found[field.name] = _content(content, below, facts, key_of_input)
    return found | dict(facts.get(path, {}))


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two identities differ: (path, old, new), None where one has nothing."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted(set(old) | set(new))
        return [
            each
            for name in names
            for each in differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
        ]
    return [] if canonical(old) == canonical(new) else [(path, old, new)]
