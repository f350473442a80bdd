"""Keys: they change with every number, and with nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from assay import identity
from assay.experiment import Experiment
from assay.identity import canonical, differences, key_of, keys_by_seed
from assay.overrides import apply, overrides_of
from assay.places import Places
from assay.presets import starting_point
from assay.resolve import resolve
from assay.values import Value, param
from methods.cps import CPS

NOWHERE = Places()


def key(experiment: Experiment) -> str:
    return resolve(experiment, NOWHERE).key


def changed(**changes: object) -> Experiment:
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return apply(starting_point("cps", "textures"), overrides_of(paths, "test"))


def test_equal_experiments_have_equal_keys_even_after_a_round_trip() -> None:
    experiment = changed()
    assert key(experiment) == key(changed()) == key(Experiment.from_json(experiment.to_json()))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"method.weight": 2},
        {"recipe.precision": "bf16"},
        {"recipe.optimizer.lr": 0.051},
        {"net.head": "pspnet"},
        {"data.source.world": 1},
        {"data.split.labeled": "1/8"},
        {"data.split.seed": 1},
    ],
)
def test_a_change_that_changes_numbers_changes_the_key(change: dict[str, object]) -> None:
    assert key(apply(changed(), overrides_of(change, "test"))) != key(changed())


def test_two_ways_to_name_the_same_images_are_one_experiment() -> None:
    assert key(changed(data__split__labeled="40")) == key(changed(data__split__labeled="1/16"))


def test_equal_numbers_of_different_types_are_one_experiment() -> None:
    keys = {key(changed(method__weight=number)) for number in (1, 1.0, np.float32(1), np.int64(1))}
    assert len(keys) == 1


def test_a_methods_version_and_the_packages_numerics_are_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = key(changed())
    monkeypatch.setattr(CPS, "version", CPS.version + 1)
    after_method = key(changed())
    monkeypatch.setattr(identity, "NUMERICS", identity.NUMERICS + 1)
    assert len({before, after_method, key(changed())}) == 3


class Grown(Value):
    """A value with a field that was added after results existed."""

    name = "grown"
    old: float = param(default=1.0)
    new: float = param(default=0.5, neutral=0.0)


def test_a_field_at_its_neutral_value_takes_no_part_in_the_key() -> None:
    def content(value: Value) -> str:
        return canonical(identity._content(value, "", {}, lambda path: ""))

    assert content(Grown(new=0)) == '{"name":"grown","old":1}'
    assert content(Grown()) != content(Grown(new=0))


def test_a_key_is_the_same_on_every_machine() -> None:
    """A change of this constant would make every stored result unreachable."""
    assert key_of({"a": [1, 2.5, None], "b": {"c": "π"}}) == "4652c20de933ee2d"


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("supervised", {}, "9a9bccfc58dc1354"),
        ("mkd", {}, "6269053bed028432"),
        ("mkd", {"recipe.augment.strong.jitter": 0.4, "recipe.augment.distort": "distort"}, "9eaadad2fde00307"),
        ("pseudo_label", {"method.strong": True}, "ca8ebca079908fac"),
    ],
)
def test_keys_are_those_from_before_strong_views_had_a_choice_and_data_a_sampling(
    method: str, changes: dict[str, object], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys were computed by the version whose only strong views were `Strong`."""
    monkeypatch.setattr(identity, "NUMERICS", 2)
    experiment = apply(starting_point(method, "textures"), overrides_of(changes, "test"))
    monkeypatch.setattr(type(experiment.method), "version", {"mkd": 2}.get(method, 1))
    assert key(experiment) == expected
    strong = {"recipe.augment.strong": experiment.recipe.augment.strong, "data.sampling": None}
    assert key(apply(experiment, overrides_of(strong, "test"))) == expected


def test_strong_views_of_another_kind_are_another_experiment() -> None:
    pixels_stay = {
        "recipe.augment.strong": "randaugment",
        "recipe.augment.strong.operators": ("color", "sharpness"),
    }
    experiment = apply(starting_point("mkd", "textures"), overrides_of(pixels_stay, "test"))
    assert Experiment.from_json(experiment.to_json()) == experiment
    assert key(experiment) != key(starting_point("mkd", "textures"))
    turned = apply(experiment, overrides_of({"recipe.augment.strong.rotate": 10.0}, "test"))
    assert key(turned) == key(experiment)  # rotations are not among the operators


@pytest.mark.parametrize("others", [{}, {"name": "cps"}, {"zeta": [1.0]}, {"name": "cps", "zeta": {"b": 1, "a": 2}}])
def test_the_fast_key_of_a_seed_equals_the_key_of_the_whole_identity(others: dict[str, object]) -> None:
    for seed in (0, 7, 2**40):
        assert keys_by_seed({**others, "seed": 3})(seed) == key_of({**others, "seed": seed})


def test_differences_hold_the_path_and_both_sides() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1.0, "d": 3}}) == [
        ("a.c", 2, None),
        ("a.d", None, 3),
    ]
