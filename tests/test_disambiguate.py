"""What tells equally named things apart, against every set of paths that could."""

from __future__ import annotations

import itertools
import random

import pytest

from assay.disambiguate import apart, flat


def told(*data: dict) -> list[str]:
    return apart([flat(each) for each in data])


def test_only_the_paths_that_differ_are_named_by_their_last_two_names() -> None:
    one, other = ({"net": {"encoder": {"arch": "tiny", "width": width}}, "seed": 0} for width in (16, 20))
    assert told(one, other) == ["encoder.width 16", "encoder.width 20"]


def test_one_path_that_tells_all_apart_is_enough() -> None:
    assert told({"lr": 1, "width": 8}, {"lr": 1, "width": 16}, {"lr": 2, "width": 20}) == [
        "width 8",
        "width 16",
        "width 20",
    ]


def test_several_paths_are_named_where_one_is_not_enough() -> None:
    data = [{"world": world, "width": width} for world, width in itertools.product((0, 1), (8, 16))]
    assert told(*data) == [f"world {each['world']}, width {each['width']}" for each in data]


def test_what_does_not_differ_has_nothing_to_tell() -> None:
    assert told({"width": 8}, {"width": 8}) == ["", ""]
    assert told({"width": 8}) == [""]
    assert told() == []


def test_what_one_of_them_lacks_is_none_and_lists_of_values_are_walked() -> None:
    boxes = {"method": {"cutmix": {"name": "boxes"}}}
    assert told({"method": {"cutmix": None}}, boxes) == ["cutmix.name none", "cutmix.name boxes"]
    assert told(*({"teachers": [{"seed": 0}, {"seed": seed}]} for seed in (1, 2))) == ["1.seed 1", "1.seed 2"]
    assert told({"crop": [8, 8]}, {"crop": [8, 16]}) == ["crop [8, 8]", "crop [8, 16]"]


@pytest.mark.parametrize("seed", range(20))
def test_different_data_are_always_told_apart_and_equal_ones_never(seed: int) -> None:
    draw = random.Random(seed)
    data = [{name: draw.randrange(2) for name in "abcde"} for _ in range(8)]
    said = told(*data)
    for first, second in itertools.combinations(range(8), 2):
        assert (said[first] == said[second]) == (data[first] == data[second])
