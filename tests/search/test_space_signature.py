"""Signatures of spaces: differences between studies, and changes within one study."""

from __future__ import annotations

import pytest

from assay.search.space import Choice, Float, Int, Space, When, parameters_of
from assay.search.space_signature import space_signature
from assay.study.tables import Nested
from methods.fda import FDA


def signature(space: Space) -> dict[str, str]:
    return space_signature(parameters_of(space))


def test_every_kind_of_parameter_has_a_text() -> None:
    space: Space = {
        "a": Float(0.1, 1.0, log=True, paper=0.5),
        "b": Float(0.0, 1.0, step=0.25),
        "c": Int(1, 9, step=2),
        "d": Choice(("x", 1, True, None)),
        "e": Choice({"narrow": (0.1, 0.25), "wide": None}),
        "f": When("d", {"x": Int(1, 8, log=True), 1: Float(0.0, 1.0)}),
    }
    assert signature(space) == {
        "a": "float, log",
        "b": "float, in steps of 0.25",
        "c": "int, in steps of 2",
        "d": 'choice of "x", 1, true, null',
        "e": 'choice of "narrow" = [0.1,0.25], "wide" = null',
        "f | x": "int, log, if d = x",
        "f | 1": "float, if d = 1",
    }


def test_ends_of_ranges_and_published_values_may_change() -> None:
    assert signature({"a": Float(0.1, 1.0, paper=0.5), "b": Int(1, 3)}) == signature(
        {"a": Float(0.0, 9.0), "b": Int(0, 7, paper=5)}
    )
    assert signature({"a": Choice(("x", "y"), paper="x")}) == signature({"a": Choice(("x", "y"))})


TEACHER = Nested({"method": "cps", "method.weight": 1.5, "net.encoder.width": 16})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEACHER, Nested({**TEACHER.changes, "net.encoder.width": 24})),
        (TEACHER, Nested(TEACHER.changes, seed=0)),
        ((TEACHER,), (TEACHER, Nested(TEACHER.changes, offset=1))),
        (Nested({"method.teachers": (TEACHER,)}), Nested({"method.teachers": (Nested(TEACHER.changes, seed=0),)})),
        (FDA(strength=1.5), FDA(strength=2.5)),
    ],
)
def test_an_option_that_is_no_plain_value_is_in_the_signature_with_its_whole_content(
    one: object, other: object
) -> None:
    assert signature({"a": Choice({"x": one, "y": None})}) != signature({"a": Choice({"x": other, "y": None})})
    assert signature({"a": Choice({"x": one, "y": None})}) == signature({"a": Choice({"x": one, "y": None})})
    assert len(signature({"a": Choice({"x": one, "y": None})})["a"]) < 100
