"""What a search hands to its report: flags that mean the configuration that was trained."""

from __future__ import annotations

import shlex
from typing import Any

import pandas as pd
import pytest

import methods  # noqa: F401  # so that methods can be named
from assay.overrides import Override
from assay.report.search_trials import read
from assay.report.search_words import set_line, untyped
from assay.search.configurations import Configurations
from assay.search.objectives import objectives
from assay.search.results import layout
from assay.search.search import Search
from assay.search.space import Raw, grid
from assay.study import cells
from studies import baseline_search, mkd_search


def configurations(search: Search, *flags: str) -> Configurations:
    profile = search.study.profiles[0]
    choice = cells.Choice(seeds=(0,), overrides=tuple(Override.parse(text) for text in flags))
    return Configurations(search=search, profile=profile, setting=search.settings[profile.name], choice=choice)


def row(point: dict[str, Raw]) -> dict[str, Any]:
    return {"trial": 0, "seed": 0, "state": "complete", **point}


@pytest.mark.parametrize("search", [mkd_search.SEARCH, baseline_search.SEARCH], ids=lambda search: search.name)
def test_the_flags_of_every_corner_of_a_space_give_its_experiment_again(search: Search) -> None:
    made = configurations(search)
    shape = layout(made, objectives(search.objectives))
    for point in grid(made.parameters, 2):
        (trial,) = read(shape, pd.DataFrame([row(point)]))
        flags = shlex.split(set_line(shape, trial))[1::2]
        # Upon a row of the same method: what another method's row says of its own parts has no place.
        row_of_method = {"method": point["method"]} if "method" in point else {}
        again = configurations(search, *flags).cells(row_of_method)
        assert untyped(shape, trial) == ""
        assert [each.experiment for each in again] == [each.experiment for each in made.cells(point)]
