"""Overrides: path=value."""

from __future__ import annotations

import pytest

from assay.errors import FieldError
from assay.overrides import Override, apply, overrides_of
from assay.presets import starting_point


@pytest.fixture
def experiment():
    return starting_point("cps", "textures")


def changed(experiment, *texts):
    return apply(experiment, [Override.parse(text) for text in texts])


def test_a_change_reaches_its_field_and_no_other(experiment) -> None:
    after = changed(experiment, "method.weight=0.25", "recipe.optimizer.lr=0.1", "seed=3")
    assert (after.method.weight, after.recipe.optimizer.lr, after.seed) == (0.25, 0.1, 3)
    assert after.replace(method=experiment.method, recipe=experiment.recipe, seed=0) == experiment


def test_a_short_name_selects_a_class_and_longer_paths_reach_its_fields(experiment) -> None:
    after = changed(experiment, "net.head.channels=64", "net.head=pspnet")
    assert (after.net.head.name, after.net.head.channels) == ("pspnet", 64)


def test_text_is_read_according_to_the_type_of_the_field(experiment) -> None:
    after = changed(
        experiment,
        "data.split.labeled=60",
        "recipe.augment.crop=16,24",
        "method.on_labeled=False",
        "recipe.ohem=ohem",
        "recipe.augment.fit=none",
    )
    assert after.data.split.labeled == "60"
    assert after.recipe.augment.crop == (16, 24)
    assert after.method.on_labeled is False
    assert after.recipe.ohem is not None and after.recipe.augment.fit is None


@pytest.mark.parametrize("text", ["512,1024", "[512, 1024]", "(512, 1024)"])
def test_a_list_that_may_be_none_is_read_as_other_lists(text) -> None:
    start = starting_point("cps", "cityscapes")
    assert changed(start, f"data.source.resize={text}").data.source.resize == (512, 1024)
    assert changed(start, f"data.source.resize={text}", "data.source.resize=none") == start


def test_rules_apply_to_all_changes_together(experiment) -> None:
    after = changed(experiment, "recipe.accumulate=3", "recipe.labeled_batch=9", "recipe.unlabeled_batch=9")
    assert after.recipe.accumulate == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method.wieght=1", "CPS (at method) has no field 'wieght'; did you mean 'weight'?"),
        ("methd.weight=1", "did you mean 'method'?"),
        ("method.weight=-1", "weight must be in [0, inf), got -1.0 (from --set method.weight=-1)."),
        ("method.weight=much", "weight must be a number, got 'much' (from --set method.weight=much)."),
        ("recipe.steps=1.5", "steps must be a whole number, got 1.5"),
        ("seed.x=1", "seed is 0 and has no fields"),
        ("net.head=unet", "head has no choice 'unet'"),
        ("recipe.precision=float16", "precision must be one of float32, bf16, float64"),
        ("recipe.labeled_batch", "--set takes path=value"),
        ("recipe.accumulate=3", "must divide into accumulate=3 equal parts"),
    ],
)
def test_a_mistake_is_reported_with_rule_value_and_origin(experiment, text: str, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        changed(experiment, text)
    assert message in str(caught.value)
    assert text in str(caught.value)


def test_a_row_of_a_table_makes_the_same_changes_with_python_values(experiment) -> None:
    row = {"method.weight": 2, "recipe.augment.crop": (16, 16)}
    assert apply(experiment, overrides_of(row, "row 3")) == changed(
        experiment, "method.weight=2", "recipe.augment.crop=16,16"
    )
