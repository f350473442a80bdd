"""What is explored: a domain for each path, with the paper's value beside it.

    SPACE = {
        "method.threshold_teachers": Float(0.5, 0.99, paper=0.95),
        "method.weight_teachers": Float(0.1, 3.0, log=True),
        "method.sda": Choice({"none": None, "sda": "sda"}, paper="sda"),
        "method.weight": By("method", {"cps": Float(0.1, 5.0, paper=1.5), "mean_teacher": Float(0.1, 100.0)}),
    }

A configuration is a choice from every domain that is active: the same map ``{path: value}`` that ``--set`` and rows
of tables write.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.errors import UserError
from assay.identity import canonical

Raw = float | int | str | bool | None  # what a sampler draws: a number, or an option's label
Point = Mapping[str, Raw]  # a configuration, by the names of its parameters


_MANY = 2000  # configurations that are not gone through one by one


class Unstated:
    """The paper says nothing of this parameter."""

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
        """What is wrong with it, in words."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return f"its ends must be finite, got {self.low} and {self.high}"
        if self.low >= self.high:
            return f"its range is empty: low {self.low:g} is not below high {self.high:g}"
        if self.log and self.low <= 0:
            return f"log asks for low above 0, got {self.low:g}"
        if self.step is not None and (self.log or self.step <= 0):
            return "step must be above 0, and has no meaning beside log"
        return None

    def contains(self, value: Any) -> bool:
        """Whether a value lies in it."""
        return _is_number(value) and self.low <= value <= self.high

    def sample_evenly(self, count: int) -> list[Raw]:
        """So many values, evenly from end to end."""
        if self.step is not None:
            return [self._at(index, self.step) for index in _spread(range(self._last(self.step) + 1), count)]
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        even = [low + (high - low) * index / (count - 1) for index in range(1, count - 1)]
        # The ends are those that were written: through the logarithm and back, 0.1 is 0.10000000000000002.
        inner = (min(max(math.exp(each) if self.log else each, self.low), self.high) for each in even)
        values: list[Raw] = [self.low, *inner, self.high]
        return values[:count]

    def _last(self, step: float) -> int:
        """How many steps there are from the low end on."""
        return int((self.high - self.low) / step + 1e-9)

    def _at(self, index: int, step: float) -> float:
        """The value after so many steps; the high end itself, where only rounding keeps it from that."""
        value = self.low + step * index
        return self.high if abs(value - self.high) <= 1e-9 * step else value

    def enumerate_all(self) -> list[Raw] | None:
        """All its values; None where it has no steps, or too many."""
        if self.step is None or self._last(self.step) >= _MANY:
            return None
        return self.sample_evenly(_MANY)

    def describe(self) -> str:
        """The range for people."""
        return f"{self.low:g} to {self.high:g}" + _extra(self.log, self.step)


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
        """What is wrong with it, in words."""
        if self.low >= self.high:
            return f"its range is empty: low {self.low} is not below high {self.high}"
        if self.log and self.low < 1:
            return f"log asks for low of 1 or more, got {self.low}"
        if self.step < 1 or (self.log and self.step != 1):
            return f"step must be 1 or more, and 1 beside log, got {self.step}"
        return None

    def contains(self, value: Any) -> bool:
        """Whether a value lies in it."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def sample_evenly(self, count: int) -> list[Raw]:
        """So many values, evenly from end to end."""
        if self.log:
            even = Float(self.low, self.high, log=True).sample_evenly(count)
            return list(dict.fromkeys(round(float(each)) for each in even))  # type: ignore[arg-type]
        return list(_spread(range(self.low, self.high + 1, self.step), count))

    def enumerate_all(self) -> list[Raw] | None:
        """All its values; None where they are too many."""
        return None if self.high - self.low >= _MANY * self.step else list(range(self.low, self.high + 1, self.step))

    def describe(self) -> str:
        """The range for people."""
        return f"{self.low} to {self.high}" + _extra(self.log, self.step if self.step > 1 else None)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some options: plain values, or labels for values that a sampler cannot hold (teachers, pairs)."""

    options: tuple[Raw, ...] | Mapping[str, Any]
    _: dataclasses.KW_ONLY
    paper: Raw | Unstated = UNSTATED  # by its label, where options have labels

    @property
    def labels(self) -> tuple[Raw, ...]:
        """What a sampler chooses from."""
        return tuple(self.options)

    def value(self, label: Raw) -> Any:
        """What a label stands for."""
        return self.options[label] if isinstance(self.options, Mapping) else label  # type: ignore[index]

    def invalid_reason(self) -> str | None:
        """What is wrong with it, in words."""
        if len(set(self.labels)) < 2:
            return f"it needs two different options or more, got {list(self.labels)}"
        if len(set(self.labels)) < len(self.labels):
            return f"an option stands there twice: {list(self.labels)}"
        return None

    def contains(self, value: Any) -> bool:
        """Whether a label is among the options."""
        return any(value == each and type(value) is type(each) for each in self.labels)

    def sample_evenly(self, count: int) -> list[Raw]:
        """All of them: options have no order from which some could be taken evenly."""
        return list(self.labels)

    def enumerate_all(self) -> list[Raw] | None:
        """All options."""
        return list(self.labels)

    def describe(self) -> str:
        """The options for people."""
        return ", ".join(str(each) for each in self.labels)


Range = Float | Int | Choice


@dataclasses.dataclass(frozen=True)
class When:
    """A domain that depends on what was chosen at another path; where no case fits, the path is left alone."""

    path: str
    cases: Mapping[Raw, Range | When]


Domain = Range | When
Space = Mapping[str, Domain]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One thing that a sampler draws."""

    name: str  # the path, and what it depends on where one path has several domains
    path: str
    domain: Range
    when: tuple[tuple[str, Raw], ...] = ()  # parameters that must have these values

    def is_active(self, point: Point) -> bool:
        """Whether it is drawn, beside what was drawn before."""
        return all(name in point and point[name] == value for name, value in self.when)

    def condition(self) -> str:
        """When it is drawn, for people; empty for always."""
        return " and ".join(f"{name} = {value}" for name, value in self.when)


def parameters(space: Space) -> tuple[Parameter, ...]:
    """What a sampler draws, in the order in which it is drawn."""
    return tuple(each for path, domain in space.items() for each in _flat(path, domain, ()))


def _flat(path: str, domain: Domain, when: tuple[tuple[str, Raw], ...]) -> Iterator[Parameter]:
    if isinstance(domain, When):
        for value, inner in domain.cases.items():
            yield from _flat(path, inner, (*when, (domain.path, value)))
        return
    suffix = "".join(f" | {value}" for _, value in when)
    yield Parameter(path + suffix, path, domain, when)


def changes(of: tuple[Parameter, ...], point: Point) -> dict[str, Any]:
    """The map ``{path: value}`` that a configuration is."""
    found: dict[str, Any] = {}
    for each in of:
        if each.name in point:
            raw = point[each.name]
            found[each.path] = each.domain.value(raw) if isinstance(each.domain, Choice) else raw
    return found


def is_whole(of: tuple[Parameter, ...], point: Point) -> bool:
    """Whether every parameter that is drawn beside the rest has a value."""
    return all(each.name in point for each in of if each.is_active(point))


def fill_in(of: tuple[Parameter, ...], wish: Mapping[str, Raw], fill: Mapping[str, Raw]) -> Point:
    """The configuration with the wished values, then the paper's, then `fill`, then the first of the domain."""
    point: dict[str, Raw] = {}
    for each in of:
        if not each.is_active(point):
            continue
        paper = each.domain.paper
        if each.name in wish:
            point[each.name] = wish[each.name]
        elif not isinstance(paper, Unstated):
            point[each.name] = paper
        elif each.name in fill:
            point[each.name] = fill[each.name]
        else:
            point[each.name] = each.domain.sample_evenly(3)[len(each.domain.sample_evenly(3)) // 2]
    return point


def grid(of: tuple[Parameter, ...], points: int) -> list[Point]:
    """Every combination of so many values of each number and all options, also where some depend on others."""
    found: list[dict[str, Raw]] = [{}]
    for each in of:
        found = [
            point | {each.name: value} if each.is_active(point) else point
            for point in found
            for value in (each.domain.sample_evenly(points) if each.is_active(point) else [None])
        ]
    return [dict(each) for each in found]


def all_points(of: tuple[Parameter, ...]) -> list[Point] | None:
    """Every configuration that there is; None where a number has no steps, or they are too many to go through."""
    found: list[dict[str, Raw]] = [{}]
    for each in of:
        values = each.domain.enumerate_all()
        if values is None:
            return None
        active = [(point, each.is_active(point)) for point in found]
        if sum(len(values) if yes else 1 for _, yes in active) > _MANY:
            return None
        found = [
            point | {each.name: value} if yes else point
            for point, yes in active
            for value in (values if yes else [None])
        ]
    return [dict(each) for each in found]


def point_key(point: Point) -> str:
    """Equal for configurations that are the same, however their numbers were rounded on the way."""
    return canonical({name: float(f"{each:.12g}") if _is_number(each) else each for name, each in point.items()})


def check_names(space: Space) -> None:
    """Refuse domains that hold nothing, papers' values outside them, and conditions on what is not explored."""
    if not space:
        raise UserError("a search needs at least one path to explore; its space is empty.")
    known: dict[str, Range] = {}
    for each in parameters(space):
        where = f"the space at {each.name!r}"
        problem = each.domain.invalid_reason()
        if problem:
            raise UserError(f"{where}: {problem}.")
        paper = each.domain.paper
        if not isinstance(paper, Unstated) and not each.domain.contains(paper):
            raise UserError(f"{where}: the paper's value {paper!r} is not in it ({each.domain.describe()}); widen it.")
        for name, value in each.when:
            if name not in known:
                raise UserError(
                    f"{where} depends on {name!r}, which must stand before it in the space, by its whole name:"
                    f" {', '.join(map(repr, known)) or 'nothing'} {'do' if len(known) > 1 else 'does'}."
                )
            if not known[name].contains(value):
                raise UserError(f"{where}: {name!r} never is {value!r}; it is {known[name].describe()}.")
        known[each.name] = each.domain


def _spread(values: Sequence[Any], count: int) -> Iterator[Any]:
    """At most `count` of the values, evenly, with both ends."""
    last, count = len(values) - 1, min(count, len(values))
    picked = dict.fromkeys(round(last * index / max(count - 1, 1)) for index in range(count))
    return (values[index] for index in picked)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _extra(log: bool, step: float | None) -> str:
    return (", log" if log else "") + (f", in steps of {step:g}" if step else "")
