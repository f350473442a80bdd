"""When configurations are given up, and where nothing is unless somebody asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_search import SEARCH

from assay.errors import UserError
from assay.presets import Preset, camvid, quick, voc
from assay.recipe import Recipe
from assay.run import run_search
from assay.run.search_flags import parser
from assay.run.search_options import SearchOptions
from assay.run.search_run import SearchRun
from assay.search import Choice, Float, Int, Pruning, Search
from assay.search.space import Space
from studies.baseline_search import SEARCH as BASELINES
from studies.mkd_search import SEARCH as MKD

RATE = Float(0.001, 0.1, log=True)


def search_run(search: Search, *flags: str) -> SearchRun:
    """A run of a search with these flags."""
    return SearchRun.make(search, SearchOptions.parse(parser(search).parse_args(list(flags))))


def searching(space: Space, *flags: str, pruning: Pruning | None = None) -> Search:
    """The search that these flags make of one over a space."""
    search = dataclasses.replace(SEARCH, space=space, pruning=pruning)
    return search_run(search, *flags).search


@pytest.mark.parametrize("preset", [quick, camvid, voc])
def test_the_first_rung_is_at_a_quarter_of_a_training_however_often_it_is_evaluated(
    preset: Callable[[], Preset],
) -> None:
    (recipe,) = (each for each in preset() if isinstance(each, Recipe))
    first, second, last = Pruning().rungs(recipe.steps, recipe.evaluation.every)
    assert first % recipe.evaluation.every == 0 and last == recipe.steps
    assert recipe.steps / 4 <= first < recipe.steps / 4 + recipe.evaluation.every
    assert second == 3 * first


@pytest.mark.parametrize(
    ("pruning", "rungs"),
    [
        (Pruning(), (200, 600, 800)),
        (Pruning(first=0.3), (400, 800)),  # the next evaluation
        (Pruning(first=0.01, factor=2), (200, 400, 800)),
        (Pruning(first=0.9), (800,)),
        (Pruning(first=1e-12, factor=5), (200, 800)),
        (Pruning(name="none"), (800,)),
    ],
)
def test_rungs_are_evaluations(pruning: Pruning, rungs: tuple[int, ...]) -> None:
    assert pruning.rungs(800, 200) == rungs


def test_a_share_that_is_a_whole_number_of_evaluations_is_not_rounded_up() -> None:
    assert Pruning(first=0.28).rungs(20_000, 200)[0] == 5600  # 0.28 x 100 is 28.000000000000004


@pytest.mark.parametrize("path", ["recipe.optimizer.lr", "recipe.optimizer.weight_decay", "recipe.schedule.power"])
def test_a_space_that_shapes_the_curve_is_not_pruned_and_says_why(path: str) -> None:
    search = searching({path: RATE})
    assert search.pruned_by.name == "none"
    assert path in search.why_not_pruned


def test_a_plan_says_that_nothing_is_given_up_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = dataclasses.replace(SEARCH, pruning=None)  # over a learning rate
    assert run_search(search, ["--plan", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "decided at 40; sampler tpe, pruner none" in said
    assert "note: nothing is given up on the way: with other values of recipe.optimizer.lr" in said
    assert run_search(search, ["--plan", "--pruner", "asha", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "decided at 10, 30, 40; sampler tpe, pruner asha" in said and "note:" not in said


def test_a_plan_says_how_many_points_a_grid_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = {"method": Choice(("cps", "supervised")), "recipe.labeled_batch": Int(2, 5)}
    search = dataclasses.replace(SEARCH, space=space)
    assert run_search(search, ["--plan", "--sampler", "grid", "--grid-points", "3", "--out", str(tmp_path)]) == 0
    base = search_run(search).configurations.base()
    own = (base.method.name, base.recipe.labeled_batch)
    grid = {(method, batch) for method in ("cps", "supervised") for batch in Int(2, 5).some(3)}
    assert f"the grid has {len(grid | {own})} configurations" in capsys.readouterr().out


def test_a_whole_optimizer_shapes_the_curve_and_a_name_that_only_begins_alike_does_not() -> None:
    assert searching({"recipe.optimizer": Choice(("sgd", "adam"))}).pruned_by.name == "none"
    assert searching({"recipe.optimizers": RATE}).pruned_by.name == "asha"


def test_whoever_asks_for_a_pruner_has_it() -> None:
    space = {"recipe.optimizer.lr": RATE}
    for search in (searching(space, "--pruner", "asha"), searching(space, pruning=Pruning(first=0.5))):
        assert search.pruned_by.name == "asha"
        assert not search.why_not_pruned
    assert searching(space, "--pruner", "asha", pruning=Pruning(first=0.5)).pruned_by.first == 0.5


def test_several_objectives_are_not_pruned_whatever_the_script_says_of_one() -> None:
    search = searching({"method.weight": RATE}, "--objectives", "miou", "parameters", pruning=Pruning())
    assert search.pruned_by.name == "none"
    assert "several objectives" in search.why_not_pruned


@pytest.mark.parametrize("search", [MKD, BASELINES])
def test_weights_thresholds_and_boxes_are_pruned(search: Search) -> None:
    assert search.pruned_by == Pruning()
    assert not search.why_not_pruned


@pytest.mark.parametrize("wrong", [{"first": 0.0}, {"first": 1.0}, {"first": 2}, {"factor": 1}])
def test_a_pruner_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="between 0 and 1 and its factor be 2 or more"):
        searching({"method.weight": RATE}, pruning=Pruning(**wrong))  # type: ignore[arg-type]
