"""Values: frozen, typed, nested dataclasses that check themselves.

A `Value` describes something (a network, a recipe, a method) and does nothing. Its fields are declared with
`param`, which carries the rule that the field's value must obey. Types and rules are checked when a value is
made, so every value that exists is valid.

A field whose type is a union of `Value` classes (``head: DeepLabV2 | PSPNet``) accepts an instance of one of them,
or its short name (``"pspnet"``). The union is the register of the classes that the field may hold.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, Self, cast, dataclass_transform

from assay.errors import FieldError

_RULES = "assay.rules"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a field beside its type."""

    low: float | None = None  # smallest value allowed
    high: float | None = None  # largest value allowed
    above: float | None = None  # must be greater than this
    below: float | None = None  # must be smaller than this
    has_neutral: bool = False
    neutral: Any = None  # with this value the field takes no part in the key
    resolved: bool = False  # the key holds the hash of the list or file that the field names
    help: str = ""

    def broken_by(self, value: Any) -> str | None:
        """Return the rule that `value` breaks, in words, or None."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        lower = "" if self.low is None else f"[{_plain(self.low)}"
        lower = lower if self.above is None else f"({_plain(self.above)}"
        upper = "" if self.high is None else f"{_plain(self.high)}]"
        upper = upper if self.below is None else f"{_plain(self.below)})"
        inside = (
            (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
        )
        return None if inside else f"must be in {lower or '(-inf'}, {upper or 'inf)'}"


def _plain(number: float) -> str:
    return f"{number:g}"


_ABSENT: Any = object()


def param(
    *,
    default: Any = dataclasses.MISSING,
    factory: Any = dataclasses.MISSING,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    neutral: Any = _ABSENT,
    resolved: bool = False,
    help: str = "",
) -> Any:
    """Declare a field of a `Value`, with its rule.

    neutral: for a field that was added after results existed: the value with which everything computes as it did
        before the field was added. A field that holds its neutral value takes no part in the key, so old results
        stay valid. The neutral value stays the same when the default changes.
    resolved: the field names a list or a file; the key holds the hash of its content instead.
    """
    rules = Rules(
        low=low,
        high=high,
        above=above,
        below=below,
        has_neutral=neutral is not _ABSENT,
        neutral=None if neutral is _ABSENT else neutral,
        resolved=resolved,
        help=help,
    )
    return dataclasses.field(default=default, default_factory=factory, metadata={_RULES: rules})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(param,))
class Value:
    """Base class of all descriptions. Subclasses become frozen dataclasses.

    `name` is the short name of the class in JSON and in keys, so that both survive moved and renamed code.

    A class with `is_unnamed_in_data` is written without its name. It was the only class of its field when results
    were first stored; its keys stay the same now that the field may hold other classes as well.
    """

    name: ClassVar[str] = ""
    is_unnamed_in_data: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)

    def __post_init__(self) -> None:
        for field in fields(type(self)):
            value = getattr(self, field.name)
            checked = coerce(value, field.type, where=field.name, owner=type(self).__name__)
            rule = field.rules.broken_by(checked)
            if rule:
                raise FieldError(f"{field.name} {rule}, got {checked!r}")
            if checked is not value:
                object.__setattr__(self, field.name, checked)
        self.check()

    def check(self) -> None:
        """Raise a FieldError where a rule over several fields is broken."""

    def unused(self) -> frozenset[str]:
        """Return the fields that change nothing, given the values of the others. They take no part in the key."""
        return frozenset()

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; it is checked again."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a Value class, with its annotation evaluated."""

    name: str
    type: Any
    rules: Rules


def fields(cls: type[Value]) -> tuple[Field, ...]:
    """Return the fields of a Value class in the order of their declaration."""
    return _fields(cls)  # type: ignore[arg-type]  # mypy takes a frozen dataclass's class for unhashable


@functools.cache
def _fields(cls: type[Value]) -> tuple[Field, ...]:
    hints = typing.get_type_hints(cls)
    return tuple(
        Field(name=field.name, type=hints[field.name], rules=field.metadata.get(_RULES, Rules()))
        for field in dataclasses.fields(cls)  # type: ignore[arg-type]
    )


def name_in_data(cls: type[Value]) -> str:
    """Return the name that stands for a class in JSON and in keys; empty if the class is written without one."""
    return "" if cls.is_unnamed_in_data else cls.name


def value_classes(annotation: Any) -> dict[str, type[Value]]:
    """Return the Value classes that a field of this type may hold, by short name."""
    options = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    classes: dict[str, type[Value]] = {}
    for option in options:
        if not (isinstance(option, type) and issubclass(option, Value)):
            continue
        if option in _FAMILIES:
            classes.update(_FAMILIES[option]())
        else:
            classes[option.name or option.__name__] = option
    return classes


# A family is a base class whose subclasses this package does not import (methods): a function returns them by name.
_FAMILIES: dict[type[Value], Callable[[], Mapping[str, type[Value]]]] = {}


def declare_family(base: type[Value], members: Callable[[], Mapping[str, type[Value]]]) -> None:
    """Register the function that returns the subclasses of `base` by short name."""
    _FAMILIES[base] = members


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def coerce(value: Any, annotation: Any, *, where: str, owner: str = "") -> Any:
    """Return `value` as the type that `annotation` names; raise a FieldError that names the expected type.

    Equal numbers become the same value: 1, 1.0 and NumPy scalars give one float for a float field, and one int for
    an int field.
    """
    if _is_union(annotation):
        return _coerce_union(value, annotation, where=where, owner=owner)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return _coerce_choice(value, typing.get_args(annotation), where=where)
    if origin is tuple:
        return _coerce_tuple(value, typing.get_args(annotation), where=where, owner=owner)
    if isinstance(annotation, type) and issubclass(annotation, Value):
        return _coerce_value(value, annotation, where=where)
    if annotation is bool:
        if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
            return bool(value)
    elif annotation is int:
        if is_number(value) and math.isfinite(value) and value == int(value):
            return int(value)
    elif annotation is float:
        if is_number(value):
            if not math.isfinite(value):
                raise FieldError(f"{where} must be a finite number, got {value!r}")
            return float(value) + 0.0  # -0.0 and 0.0 are one value
    elif annotation is str:
        if isinstance(value, str):
            return str(value)
    else:
        raise TypeError(f"{owner}.{where} has the type {annotation!r}, which values cannot hold")
    raise FieldError(f"{where} must be {_type_name(annotation)}, got {value!r}")


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, Python's or NumPy's; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _type_name(annotation: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _coerce_union(value: Any, annotation: Any, *, where: str, owner: str) -> Any:
    options = typing.get_args(annotation)
    if value is None and type(None) in options:
        return None
    classes = value_classes(annotation)
    if classes:
        return _pick_value(value, classes, where=where)
    problems: list[FieldError] = []
    for option in options:
        if option is type(None):
            continue
        try:
            return coerce(value, option, where=where, owner=owner)
        except FieldError as problem:
            problems.append(problem)
    raise problems[-1]


def _coerce_value(value: Any, annotation: type[Value], *, where: str) -> Any:
    if isinstance(value, annotation):
        return value
    return _pick_value(value, value_classes(annotation), where=where)


def _pick_value(value: Any, classes: Mapping[str, type[Value]], *, where: str) -> Value:
    if isinstance(value, tuple(set(classes.values()))):
        return cast(Value, value)
    if isinstance(value, str):
        if value in classes:
            return classes[value]()
        raise FieldError(f"{where} has no choice {value!r}{suggestion(value, classes)}")
    raise FieldError(f"{where} must be one of {', '.join(sorted(classes))}, got {value!r}")


def _coerce_choice(value: Any, choices: tuple[Any, ...], *, where: str) -> Any:
    for choice in choices:
        if value == choice and isinstance(value, bool) == isinstance(choice, bool):
            return choice
    raise FieldError(f"{where} must be one of {', '.join(map(str, choices))}, got {value!r}")


def _coerce_tuple(value: Any, arguments: tuple[Any, ...], *, where: str, owner: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise FieldError(f"{where} must be {_tuple_form(arguments)}, got {value!r}")
    items = tuple(value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        types_of_items: tuple[Any, ...] = (arguments[0],) * len(items)
    elif len(arguments) == len(items):
        types_of_items = arguments
    else:
        given = ",".join(map(str, items))
        raise FieldError(f"{where} must be {_tuple_form(arguments)}, got {given}")
    return tuple(
        coerce(item, type_of_item, where=f"{where}[{index}]", owner=owner)
        for index, (item, type_of_item) in enumerate(zip(items, types_of_items, strict=True))
    )


def _tuple_form(arguments: tuple[Any, ...]) -> str:
    """Return in words what a tuple must hold, with an example where it holds numbers."""
    examples = {int: ("512", "1024"), float: ("0.5", "2")}
    kind, is_any_length = arguments[0], arguments[1:] == (Ellipsis,)
    if kind not in examples or set(arguments) - {kind, Ellipsis}:
        return "a list" if is_any_length else f"a list of {len(arguments)} entries"
    number = "" if is_any_length else {2: "two ", 3: "three "}.get(len(arguments), f"{len(arguments)} ")
    names = f"{number}{'whole ' if kind is int else ''}numbers"
    example = ",".join((examples[kind] * len(arguments))[: 2 if is_any_length else len(arguments)])
    return f"{names} with commas between, as in {example}"


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return the end of a message about a name that does not exist: the most similar name, and all names."""
    choices = sorted(names)
    similar = difflib.get_close_matches(word, choices, n=1)
    hint = f"; did you mean {similar[0]!r}?" if similar else "."
    return f"{hint} There is: {', '.join(choices) or 'nothing'}"


def walk(value: Value, path: str = "") -> Iterable[tuple[str, Value]]:
    """Yield `value` and every value inside it, each with its path. The path through a tuple is an index."""
    yield path, value
    for field in fields(type(value)):
        yield from _walk_content(getattr(value, field.name), f"{path}.{field.name}" if path else field.name)


def _walk_content(content: Any, path: str) -> Iterable[tuple[str, Value]]:
    if isinstance(content, Value):
        yield from walk(content, path)
    elif isinstance(content, tuple):
        for index, item in enumerate(content):
            yield from _walk_content(item, f"{path}.{index}")


# --- JSON ----------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """Return a value as plain JSON data: every field, and the short name of a class that has one."""
    if isinstance(value, Value):
        name = name_in_data(type(value))
        return ({"name": name} if name else {}) | {
            field.name: to_json(getattr(value, field.name)) for field in fields(type(value))
        }
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return value


def from_json(cls: type[Value], data: Any, *, where: str = "") -> Any:
    """Return the value that `to_json` wrote.

    A field that the data lack was added to the class later. It takes its neutral value, which changes nothing.
    """
    if not isinstance(data, Mapping):
        raise FieldError(f"{where or cls.__name__} must be an object, got {data!r}")
    fields_by_name = {field.name: field for field in fields(cls)}
    unknown = sorted(set(data) - set(fields_by_name) - {"name"})
    if unknown:
        raise FieldError(f"{cls.__name__} has no field {unknown[0]!r}{suggestion(unknown[0], fields_by_name)}")
    content: dict[str, Any] = {}
    for name, field in fields_by_name.items():
        path = f"{where}.{name}" if where else name
        if name in data:
            content[name] = _content_from_json(data[name], field.type, path)
        elif field.rules.has_neutral:
            content[name] = field.rules.neutral
        else:
            raise FieldError(f"{path} is missing")
    return cls(**content)


def _content_from_json(data: Any, annotation: Any, where: str) -> Any:
    classes = value_classes(annotation)
    if classes and isinstance(data, Mapping):
        by_name_in_data = {name_in_data(option): option for option in classes.values()}
        name = data.get("name", "")
        if name not in by_name_in_data:
            raise FieldError(f"{where} has no choice {name!r}{suggestion(str(name), classes)}")
        return from_json(by_name_in_data[name], data, where=where)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple and isinstance(data, list):
        type_of_item = arguments[0] if arguments else Any
        return tuple(_content_from_json(item, type_of_item, f"{where}.{index}") for index, item in enumerate(data))
    return data
