"""``path=value``: the one way to change an experiment, from a command line, a table's row or a search space.

A path names fields from the experiment down: ``method.threshold``, ``recipe.optimizer.lr``, ``seed``. Where a field
may hold one of several classes, the short name selects the class (``net.head=pspnet``). Longer paths then reach the
fields of that class.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from assay.errors import FieldError
from assay.values import Field, Value, coerce, fields, suggestion, value_classes

V = TypeVar("V", bound=Value)


@dataclasses.dataclass(frozen=True)
class Override:
    """One change, with the place where the user wrote it."""

    path: str
    value: Any
    origin: str
    is_text: bool = False  # from a command line: the field's type decides how the text is read

    @classmethod
    def parse(cls, text: str, *, flag: str = "--set") -> Override:
        """Read a command line's ``path=value``."""
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise FieldError(f"{flag} takes path=value, got {text!r}")
        return cls(path.strip(), value.strip(), f"{flag} {text}", is_text=True)


def overrides_of(changes: Mapping[str, Any], origin: str) -> list[Override]:
    """Return a mapping ``{path: value}`` as overrides."""
    return [Override(path, value, f"{origin}: {path}={value!r}") for path, value in changes.items()]


def apply(value: V, overrides: Iterable[Override]) -> V:
    """Return `value` with all changes made at once, so that rules over several fields apply to the result only."""
    return _apply(value, [(override.path.split("."), override) for override in overrides], path="")


def _apply(value: V, overrides: list[tuple[list[str], Override]], *, path: str) -> V:
    fields_by_name = {field.name: field for field in fields(type(value))}
    overrides_by_field: dict[str, list[tuple[list[str], Override]]] = {}
    for steps, override in overrides:
        if steps[0] not in fields_by_name:
            where = f" (at {path})" if path else ""
            raise FieldError(
                f"{type(value).__name__}{where} has no field {steps[0]!r}{suggestion(steps[0], fields_by_name)}",
                origin=override.origin,
            )
        overrides_by_field.setdefault(steps[0], []).append((steps[1:], override))
    changes: dict[str, Any] = {}
    for name, inner in overrides_by_field.items():
        field_path = f"{path}.{name}" if path else name
        changes[name] = _apply_to_field(getattr(value, name), fields_by_name[name], inner, path=field_path)
    try:
        return value.replace(**changes)
    except FieldError as error:
        raise error.from_origin(", ".join(override.origin for _, override in overrides)) from None


def _apply_to_field(content: Any, field: Field, overrides: list[tuple[list[str], Override]], *, path: str) -> Any:
    """Return a field's content after the overrides of the field itself (the last one wins) and of fields below it."""
    for steps, override in overrides:
        if not steps:
            content = _read(override, field)
    deeper = [(steps, override) for steps, override in overrides if steps]
    if not deeper:
        return content
    if isinstance(content, tuple):
        return _apply_to_entries(content, deeper, path=path)
    if not isinstance(content, Value):
        raise FieldError(f"{path} is {content!r} and has no fields", origin=deeper[0][1].origin)
    return _apply(content, deeper, path=path)


def _apply_to_entries(
    content: tuple[Any, ...], overrides: list[tuple[list[str], Override]], *, path: str
) -> tuple[Any, ...]:
    """Return a tuple of values with changes inside its entries, which paths name by position."""
    entries = list(content)
    for steps, override in overrides:
        reachable = steps[0].isdigit() and int(steps[0]) < len(entries) and len(steps) > 1
        if not reachable or not isinstance(entries[int(steps[0])], Value):
            raise FieldError(f"{path} has no entry {'.'.join(steps)!r} to change", origin=override.origin)
        index = int(steps[0])
        entries[index] = _apply(entries[index], [(steps[1:], override)], path=f"{path}.{index}")
    return tuple(entries)


def _read(override: Override, field: Field) -> Any:
    """Return the override's value as the field's type. Checks the rule, so that an error names this override alone."""
    try:
        raw = parse_text(override.value, field.type) if override.is_text else override.value
        value = coerce(raw, field.type, where=field.name)
        rule = field.rules.broken_by(value)
        if rule:
            raise FieldError(f"{field.name} {rule}, got {value!r}")
    except FieldError as error:
        raise error.from_origin(override.origin) from None
    return value


def parse_text(text: str, annotation: Any) -> Any:
    """Read a command line's text for a field's type: as JSON where the type is not str, ``none`` as None."""
    options = typing.get_args(annotation) or (annotation,)
    if type(None) in options and text.lower() in ("none", "null"):
        return None
    if value_classes(annotation) or annotation is str or text in options:
        return text
    lowered = text.lower() if text.lower() in ("true", "false") else text
    try:
        return json.loads(lowered)
    except json.JSONDecodeError:
        pass
    if any(typing.get_origin(option) is tuple for option in (annotation, *options)):
        return [_number_or_text(item.strip()) for item in text.strip("()[]").split(",") if item.strip()]
    return text


def _number_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
