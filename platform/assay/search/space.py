"""Spaces: a domain for each explored path, with the paper's value beside it.

    SPACE = {
        "method.threshold_teachers": Float(0.5, 0.99, paper=0.95),
        "method.weight_teachers": Float(0.1, 3.0, log=True),
        "method.sda": Choice({"none": None, "sda": "sda"}, paper="sda"),
        "method.weight": When("method", {"cps": Float(0.1, 5.0, paper=1.5), "mean_teacher": Float(0.1, 100.0)}),
    }

A configuration takes one value from every active domain. It is the same map ``{path: value}`` that ``--set`` and rows
of tables write.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.errors import UserError
from assay.identity import canonical
from assay.values import is_number

Raw = float | int | str | bool | None  # a sampler's value: a number, or the label of an option
Point = Mapping[str, Raw]  # a configuration, by the names of its parameters


MAX_ENUMERATED = 2000  # larger sets of values or configurations are not enumerated


class Unstated:
    """The paper's value of a parameter that the paper does not mention."""

    def __repr__(self) -> str:
        return "UNSTATED"


UNSTATED = Unstated()


@dataclasses.dataclass(frozen=True)
class Float:
    """A number from low to high."""

    low: float
    high: float
    _: dataclasses.KW_ONLY
    paper: float | Unstated = UNSTATED
    log: bool = False  # drawn evenly in the logarithm
    step: float | None = None

    def invalid_reason(self) -> str | None:
        """Return the reason why the domain is invalid, or None."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return f"the ends must be finite, got {self.low} and {self.high}"
        if self.low >= self.high:
            return f"the range is empty: low {self.low:g} is not below high {self.high:g}"
        if self.log and self.low <= 0:
            return f"log needs low above 0, got {self.low:g}"
        if self.step is not None and (self.log or self.step <= 0):
            return "step must be above 0, and has no meaning beside log"
        return None

    def contains(self, value: Any) -> bool:
        """Return whether a value lies in the range."""
        return is_number(value) and self.low <= value <= self.high

    def sample_evenly(self, count: int) -> list[Raw]:
        """Return `count` values, evenly spaced from end to end; fewer where the range has fewer steps."""
        if self.step is not None:
            indices = _evenly_spaced(range(self._step_count(self.step) + 1), count)
            return [self._value_at(index, self.step) for index in indices]
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        even = [low + (high - low) * index / (count - 1) for index in range(1, count - 1)]
        # The ends are taken as they were written: through the logarithm and back, 0.1 is 0.10000000000000002.
        inner = (min(max(math.exp(value) if self.log else value, self.low), self.high) for value in even)
        values: list[Raw] = [self.low, *inner, self.high]
        return values[:count]

    def _step_count(self, step: float) -> int:
        return int((self.high - self.low) / step + 1e-9)

    def _value_at(self, index: int, step: float) -> float:
        """Return the value after `index` steps; the high end itself where only rounding separates the two."""
        value = self.low + step * index
        return self.high if abs(value - self.high) <= 1e-9 * step else value

    def enumerate_all(self) -> list[Raw] | None:
        """Return all values; None without steps, or with too many."""
        if self.step is None or self._step_count(self.step) >= MAX_ENUMERATED:
            return None
        return self.sample_evenly(MAX_ENUMERATED)

    def describe(self) -> str:
        """Return the range as text."""
        return f"{self.low:g} to {self.high:g}" + _describe_scale(self.log, self.step)


@dataclasses.dataclass(frozen=True)
class Int:
    """A whole number from low to high, both included."""

    low: int
    high: int
    _: dataclasses.KW_ONLY
    paper: int | Unstated = UNSTATED
    log: bool = False
    step: int = 1

    def invalid_reason(self) -> str | None:
        """Return the reason why the domain is invalid, or None."""
        if self.low >= self.high:
            return f"the range is empty: low {self.low} is not below high {self.high}"
        if self.log and self.low < 1:
            return f"log needs low of 1 or more, got {self.low}"
        if self.step < 1 or (self.log and self.step != 1):
            return f"step must be 1 or more, and 1 beside log, got {self.step}"
        return None

    def contains(self, value: Any) -> bool:
        """Return whether a value lies in the range, on a step."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def sample_evenly(self, count: int) -> list[Raw]:
        """Return at most `count` values, evenly spaced from end to end."""
        if self.log:
            even = Float(self.low, self.high, log=True).sample_evenly(count)
            return list(dict.fromkeys(round(float(value)) for value in even))  # type: ignore[arg-type]
        return list(_evenly_spaced(range(self.low, self.high + 1, self.step), count))

    def enumerate_all(self) -> list[Raw] | None:
        """Return all values; None where they are too many."""
        if self.high - self.low >= MAX_ENUMERATED * self.step:
            return None
        return list(range(self.low, self.high + 1, self.step))

    def describe(self) -> str:
        """Return the range as text."""
        return f"{self.low} to {self.high}" + _describe_scale(self.log, self.step if self.step > 1 else None)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several options: plain values, or labels for values that a sampler cannot hold (teachers, pairs)."""

    options: tuple[Raw, ...] | Mapping[str, Any]
    _: dataclasses.KW_ONLY
    paper: Raw | Unstated = UNSTATED  # a label, where options have labels

    @property
    def labels(self) -> tuple[Raw, ...]:
        """The values that a sampler chooses from."""
        return tuple(self.options)

    def value(self, label: Raw) -> Any:
        """Return the option behind a label."""
        return self.options[label] if isinstance(self.options, Mapping) else label  # type: ignore[index]

    def invalid_reason(self) -> str | None:
        """Return the reason why the domain is invalid, or None."""
        if len(set(self.labels)) < 2:
            return f"a choice needs two different options or more, got {list(self.labels)}"
        if len(set(self.labels)) < len(self.labels):
            return f"the options of a choice must differ, got {list(self.labels)}"
        return None

    def contains(self, value: Any) -> bool:
        """Return whether a label is among the options."""
        return any(value == label and type(value) is type(label) for label in self.labels)

    def sample_evenly(self, count: int) -> list[Raw]:
        """Return all labels: options have no order from which some could be taken evenly."""
        return list(self.labels)

    def enumerate_all(self) -> list[Raw] | None:
        """Return all labels."""
        return list(self.labels)

    def describe(self) -> str:
        """Return the options as text."""
        return ", ".join(map(str, self.labels))


Range = Float | Int | Choice


@dataclasses.dataclass(frozen=True)
class When:
    """A domain that depends on the value at another path; without a matching case, the path keeps its base value."""

    path: str
    cases: Mapping[Raw, Range | When]


Domain = Range | When
Space = Mapping[str, Domain]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One dimension of a space, as a sampler draws it."""

    name: str  # the path, followed by its conditions where the domain depends on another path
    path: str
    domain: Range
    when: tuple[tuple[str, Raw], ...] = ()  # parameters that must have these values

    def is_active(self, point: Point) -> bool:
        """Return whether the parameter is drawn, given the values of the parameters before it."""
        return all(name in point and point[name] == value for name, value in self.when)

    def condition(self) -> str:
        """Return the condition under which the parameter is drawn, as text; empty for always."""
        return " and ".join(f"{name} = {value}" for name, value in self.when)


def parameters_of(space: Space) -> tuple[Parameter, ...]:
    """Return the parameters of a space in the order in which they are drawn."""
    return tuple(parameter for path, domain in space.items() for parameter in _flatten(path, domain, ()))


def _flatten(path: str, domain: Domain, when: tuple[tuple[str, Raw], ...]) -> Iterator[Parameter]:
    if isinstance(domain, When):
        for value, inner in domain.cases.items():
            yield from _flatten(path, inner, (*when, (domain.path, value)))
        return
    suffix = "".join(f" | {value}" for _, value in when)
    yield Parameter(path + suffix, path, domain, when)


def changes(parameters: tuple[Parameter, ...], point: Point) -> dict[str, Any]:
    """Return a configuration as the map ``{path: value}``, labels replaced by their options."""
    result: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name in point:
            raw, domain = point[parameter.name], parameter.domain
            result[parameter.path] = domain.value(raw) if isinstance(domain, Choice) else raw
    return result


def is_complete(parameters: tuple[Parameter, ...], point: Point) -> bool:
    """Return whether every active parameter has a value."""
    return all(parameter.name in point for parameter in parameters if parameter.is_active(point))


def fill_in(parameters: tuple[Parameter, ...], initial: Mapping[str, Raw], fallback: Mapping[str, Raw]) -> Point:
    """Return a configuration; each value comes from the first of these that has one.

    These are `initial`, the paper, `fallback`, and the middle of the domain: of three values, or of all options.
    """
    point: dict[str, Raw] = {}
    for parameter in parameters:
        if not parameter.is_active(point):
            continue
        name, domain = parameter.name, parameter.domain
        if name in initial:
            point[name] = initial[name]
        elif not isinstance(domain.paper, Unstated):
            point[name] = domain.paper
        elif name in fallback:
            point[name] = fallback[name]
        else:
            values = domain.sample_evenly(3)
            point[name] = values[len(values) // 2]
    return point


def grid(parameters: tuple[Parameter, ...], values_per_number: int) -> list[Point]:
    """Return every combination of evenly spaced numbers and all options; conditions are respected."""
    points: list[dict[str, Raw]] = [{}]
    for parameter in parameters:
        points = [
            point | {parameter.name: value} if parameter.is_active(point) else point
            for point in points
            for value in (parameter.domain.sample_evenly(values_per_number) if parameter.is_active(point) else [None])
        ]
    return [dict(point) for point in points]


def all_points(parameters: tuple[Parameter, ...]) -> list[Point] | None:
    """Return every configuration; None where a number has no steps, or where there are too many configurations."""
    points: list[dict[str, Raw]] = [{}]
    for parameter in parameters:
        values = parameter.domain.enumerate_all()
        if values is None:
            return None
        with_activity = [(point, parameter.is_active(point)) for point in points]
        if sum(len(values) if active else 1 for _, active in with_activity) > MAX_ENUMERATED:
            return None
        points = [
            point | {parameter.name: value} if active else point
            for point, active in with_activity
            for value in (values if active else [None])
        ]
    return [dict(point) for point in points]


def point_key(point: Point) -> str:
    """Return a text that is equal for equal configurations: numbers are compared to twelve digits."""
    return canonical({name: float(f"{value:.12g}") if is_number(value) else value for name, value in point.items()})


def check_space(space: Space) -> None:
    """Raise a UserError for an invalid domain, a paper's value outside it, or a condition on an unexplored path."""
    if not space:
        raise UserError("a search needs at least one path to explore; its space is empty.")
    earlier: dict[str, Range] = {}
    for parameter in parameters_of(space):
        where = f"the space at {parameter.name!r}"
        _check_domain(where, parameter.domain)
        for name, value in parameter.when:
            _check_condition(where, name, value, earlier)
        earlier[parameter.name] = parameter.domain


def _check_domain(where: str, domain: Range) -> None:
    reason = domain.invalid_reason()
    if reason:
        raise UserError(f"{where}: {reason}.")
    if not isinstance(domain.paper, Unstated) and not domain.contains(domain.paper):
        raise UserError(
            f"{where}: the paper's value {domain.paper!r} is outside the domain ({domain.describe()}); widen the"
            " domain."
        )


def _check_condition(where: str, name: str, value: Raw, earlier: Mapping[str, Range]) -> None:
    """Raise a UserError where no parameter before this one has this name, or its domain lacks the value."""
    if name not in earlier:
        raise UserError(
            f"{where} depends on {name!r}, and a condition needs the whole name of an earlier parameter:"
            f" {', '.join(map(repr, earlier)) or 'there is none'}."
        )
    if not earlier[name].contains(value):
        raise UserError(f"{where}: {name!r} is never {value!r}; its domain is {earlier[name].describe()}.")


def _evenly_spaced(values: Sequence[Any], count: int) -> Iterator[Any]:
    """Return at most `count` of the values, evenly spaced, with both ends."""
    last, count = len(values) - 1, min(count, len(values))
    indices = dict.fromkeys(round(last * index / max(count - 1, 1)) for index in range(count))
    return (values[index] for index in indices)


def _describe_scale(log: bool, step: float | None) -> str:
    return (", log" if log else "") + (f", in steps of {step:g}" if step else "")
