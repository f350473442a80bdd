"""The flags that set a configuration again, and the texts of numbers."""

from __future__ import annotations

import dataclasses
import shlex

import pandas as pd
import pytest
from drawn_search import COST, LAYOUT, MIOU, Search, best_of
from hypothesis import given
from hypothesis import strategies as st

from assay.analysis.trials import trials_from
from assay.overrides import Override, apply
from assay.report.search.formatting import (
    set_flags,
    settings_text,
    space_text,
    state_counts,
    unsettable_note,
    value_text,
)
from assay.results.search_layout import ParameterLayout
from assay.values import Value, param


class Inner(Value):
    """A value inside another value."""

    name = "inner"

    share: float = param(default=0.5)


class Described(Value):
    """A value with a field of every kind in a space."""

    name = "described"

    weight: float = param(default=1.0)
    boxes: int = param(default=1)
    kind: str = param(default="cps")
    on_labeled: bool = param(default=True)
    inner: Inner | None = param(default=None)
    crop: tuple[int, int] = param(default=(1, 1))


PARAMETERS = (
    ParameterLayout(path="weight", kind="float"),
    ParameterLayout(path="boxes", kind="int"),
    ParameterLayout(path="kind", kind="choice", options=("cps", "mean & 'teacher'", "a=b $HOME")),
    ParameterLayout(path="on_labeled", kind="choice", options=("True", "False")),
    ParameterLayout(path="inner", kind="choice", options=("off", "on"), texts=("none", "inner")),
    ParameterLayout(path="inner.share | on", target="inner.share", kind="float", when=(("inner", "on"),)),
    ParameterLayout(path="crop", kind="choice", options=("small", "wide"), texts=("32,32", "(64, 48)")),
)


def round_trip(settings: dict[str, object]) -> Described:
    """Return the configuration after its way through a column, the flags and a shell."""
    layout = dataclasses.replace(LAYOUT, parameters=PARAMETERS)
    frame = pd.DataFrame([{"trial": 0, "seed": 0, "state": "complete", "objective/miou": 0.5, **settings}])
    arguments = shlex.split(set_flags(layout, trials_from(layout, frame)[0]))
    assert arguments[::2] == ["--set"] * (len(arguments) // 2)
    return apply(Described(), [Override.parse(argument) for argument in arguments[1::2]])


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**50), 2**50))
def test_flags_repeat_numbers_to_the_last_digit(weight: float, boxes: int) -> None:
    value = round_trip({"weight": weight, "boxes": boxes})
    assert (value.weight, value.boxes) == (weight, boxes)


@pytest.mark.parametrize("kind", PARAMETERS[2].options)
def test_flags_repeat_options_through_a_shell(kind: str) -> None:
    assert round_trip({"kind": kind}).kind == kind


def test_flags_repeat_values_inside_values_booleans_and_pairs() -> None:
    value = round_trip({"inner": "on", "inner.share | on": 0.1, "on_labeled": False, "crop": "wide"})
    assert value == Described(inner=Inner(share=0.1), on_labeled=False, crop=(64, 48))
    assert round_trip({"inner": "off", "on_labeled": True, "crop": "small"}) == Described(crop=(32, 32))


def test_parameters_that_no_flag_can_set_are_named() -> None:
    teacher = ParameterLayout(path="teacher", kind="choice", options=("deep", "none"), texts=(None, "none"))
    layout = dataclasses.replace(LAYOUT, parameters=(teacher, PARAMETERS[0]))
    lines = [
        {"trial": at, "seed": 0, "state": "complete", "teacher": option, "weight": 0.5}
        for at, option in enumerate(teacher.options)
    ]
    deep, none = trials_from(layout, pd.DataFrame(lines))
    assert set_flags(layout, deep) == "--set weight=0.5"
    assert unsettable_note(layout, deep) == "No flag can set teacher; set it in a script."
    assert set_flags(layout, none) == "--set teacher=none --set weight=0.5"
    assert unsettable_note(layout, none) == ""


def test_an_inactive_parameter_has_no_flag(searched: Search) -> None:
    lines = {
        trial.settings["method.kind"]: set_flags(searched.layout, trial)
        for trial in trials_from(searched.layout, searched.trials)
    }
    assert "momentum" not in lines["cps"]
    assert "momentum" in lines["mean & teacher"]


def test_fractions_are_shown_in_percent_and_costs_unchanged() -> None:
    assert value_text(MIOU, 0.61234) == "61.23"
    assert value_text(COST, 1234.5) == "1234"
    assert value_text(MIOU, None) == "–"


def test_a_parameters_space_is_its_range_or_its_options() -> None:
    assert [space_text(parameter) for parameter in LAYOUT.parameters] == [
        "0.5 to 0.99", "0.01 to 10, log", "1 to 6", "cps, mean & teacher", "0.9 to 0.999",
    ]  # fmt: skip


def test_the_values_on_a_front_are_a_range(traded: Search) -> None:
    front = best_of(traded)
    low, high = (end([trial.settings["method.boxes"] for trial in front]) for end in (min, max))
    assert settings_text(traded.layout.parameters[2], front) == f"{low} to {high}"
    assert settings_text(traded.layout.parameters[2], front[:1]) == str(front[0].settings["method.boxes"])


def test_states_are_counted(searched: Search) -> None:
    text = state_counts(trials_from(searched.layout, searched.trials))
    assert text.startswith("40 trials: ")
    assert text.endswith("1 failed, 2 running")
    assert state_counts(()) == "0 trials"
