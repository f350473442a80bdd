"""Texts that distinguish things of one name."""

from __future__ import annotations

import itertools
import random

import pytest

from assay.disambiguate import distinguishing_texts, flatten


def texts(*data: dict) -> list[str]:
    return distinguishing_texts([flatten(item) for item in data])


def test_only_the_paths_that_differ_are_named_by_their_last_two_names() -> None:
    one, other = ({"net": {"encoder": {"arch": "tiny", "width": width}}, "seed": 0} for width in (16, 20))
    assert texts(one, other) == ["encoder.width 16", "encoder.width 20"]


def test_one_path_is_enough_if_it_distinguishes_all() -> None:
    assert texts({"lr": 1, "width": 8}, {"lr": 1, "width": 16}, {"lr": 2, "width": 20}) == [
        "width 8",
        "width 16",
        "width 20",
    ]


def test_several_paths_are_named_if_one_is_not_enough() -> None:
    data = [{"world": world, "width": width} for world, width in itertools.product((0, 1), (8, 16))]
    assert texts(*data) == [f"world {item['world']}, width {item['width']}" for item in data]


def test_equal_data_have_empty_texts() -> None:
    assert texts({"width": 8}, {"width": 8}) == ["", ""]
    assert texts({"width": 8}) == [""]
    assert texts() == []


def test_a_missing_path_is_none_and_lists_of_mappings_are_walked() -> None:
    boxes = {"method": {"cutmix": {"name": "boxes"}}}
    assert texts({"method": {"cutmix": None}}, boxes) == ["cutmix.name none", "cutmix.name boxes"]
    assert texts(*({"teachers": [{"seed": 0}, {"seed": seed}]} for seed in (1, 2))) == ["1.seed 1", "1.seed 2"]
    assert texts({"crop": [8, 8]}, {"crop": [8, 16]}) == ["crop [8, 8]", "crop [8, 16]"]


@pytest.mark.parametrize("seed", range(20))
def test_texts_differ_exactly_where_data_differ(seed: int) -> None:
    draw = random.Random(seed)
    data = [{name: draw.randrange(2) for name in "abcde"} for _ in range(8)]
    results = texts(*data)
    for first, second in itertools.combinations(range(8), 2):
        assert (results[first] == results[second]) == (data[first] == data[second])
