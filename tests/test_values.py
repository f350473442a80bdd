"""Values: types, rules, JSON."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from assay.errors import FieldError
from assay.values import Value, from_json, param, to_json, walk


class Round(Value):
    name = "round"
    radius: float = param(default=1.0, above=0, high=10)


class Square(Value):
    name = "square"
    side: int = param(default=2, low=1)


class Older(Value):
    name = "older"
    is_unnamed_in_data = True
    size: int = param(default=1)


class Holder(Value):
    content: Older | Square = param(factory=Older)


class Drawing(Value):
    shape: Round | Square = param(factory=Round)
    limit: float | None = param(default=None)
    sizes: tuple[int, ...] = param(default=(1, 2))
    added_later: float = param(default=0.5, neutral=0.0)


def test_equal_numbers_of_different_types_make_equal_values() -> None:
    assert Round(radius=1) == Round(radius=1.0) == Round(radius=np.float64(1)) == Round(radius=np.int32(1))
    assert type(Round(radius=np.float32(1)).radius) is float
    assert type(Square(side=3.0).side) is int


@pytest.mark.parametrize("bad", [0, -1, 11, "wide", None, True, math.nan, math.inf, [1]])
def test_a_value_that_breaks_a_rule_is_refused_with_the_name_of_its_field(bad: object) -> None:
    with pytest.raises(FieldError, match="radius"):
        Round(radius=bad)


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Round().radius = 2.0  # type: ignore[misc]


def test_a_short_name_selects_a_class() -> None:
    assert Drawing(shape="square") == Drawing(shape=Square())


def test_a_misspelt_short_name_is_answered_with_the_most_similar_name() -> None:
    with pytest.raises(FieldError, match="did you mean 'square'"):
        Drawing(shape="sqare")


def test_json_round_trip() -> None:
    drawing = Drawing(shape=Square(side=7), limit=0.1, sizes=(3,), added_later=1.5)
    assert from_json(Drawing, to_json(drawing)) == drawing


def test_a_class_that_was_its_fields_only_one_is_written_without_its_name() -> None:
    assert to_json(Holder()) == {"content": {"size": 1}}
    assert from_json(Holder, {"content": {"size": 3}}) == Holder(content=Older(size=3))
    other = Holder(content="square")
    assert to_json(other)["content"]["name"] == "square" and from_json(Holder, to_json(other)) == other
    assert Holder(content="older") == Holder()
    with pytest.raises(FieldError, match="content has no choice 'sqare'; did you mean 'square'"):
        from_json(Holder, {"content": {"name": "sqare"}})


def test_a_field_that_was_added_later_gets_its_neutral_value_and_not_its_default() -> None:
    old = to_json(Drawing())
    del old["added_later"]
    assert from_json(Drawing, old).added_later == 0.0


def test_json_without_an_original_field_is_refused() -> None:
    old = to_json(Drawing())
    del old["sizes"]
    with pytest.raises(FieldError, match="sizes is missing"):
        from_json(Drawing, old)


def test_json_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(FieldError, match="no field 'sises'; did you mean 'sizes'"):
        from_json(Drawing, to_json(Drawing()) | {"sises": 1})


def test_walk_finds_every_value_with_its_path() -> None:
    assert [path for path, _ in walk(Drawing())] == ["", "shape"]
