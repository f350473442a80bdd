"""Rungs, and the searches in which pruning is on by default."""

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
    """Return the run of a search with these flags."""
    return SearchRun.make(search, SearchOptions.parse(parser(search).parse_args(list(flags))))


def changed_search(space: Space, *flags: str, pruning: Pruning | None = None) -> Search:
    """Return the search over a space as these flags change it."""
    search = dataclasses.replace(SEARCH, space=space, pruning=pruning)
    return search_run(search, *flags).search


@pytest.mark.parametrize("preset", [quick, camvid, voc])
def test_the_first_rung_is_at_a_quarter_of_a_training_at_any_evaluation_interval(
    preset: Callable[[], Preset],
) -> None:
    (recipe,) = (part for part in preset() if isinstance(part, Recipe))
    first, second, last = Pruning().rungs(recipe.steps, recipe.evaluation.every)
    assert first % recipe.evaluation.every == 0 and last == recipe.steps
    assert recipe.steps / 4 <= first < recipe.steps / 4 + recipe.evaluation.every
    assert second == 3 * first


@pytest.mark.parametrize(
    ("pruning", "rungs"),
    [
        (Pruning(), (200, 600, 800)),
        (Pruning(first=0.3), (400, 800)),  # at the next evaluation
        (Pruning(first=0.01, factor=2), (200, 400, 800)),
        (Pruning(first=0.9), (800,)),
        (Pruning(first=1e-12, factor=5), (200, 800)),
        (Pruning(name="none"), (800,)),
    ],
)
def test_rungs_are_evaluated_steps(pruning: Pruning, rungs: tuple[int, ...]) -> None:
    assert pruning.rungs(800, 200) == rungs


def test_a_share_that_is_a_whole_number_of_evaluations_is_not_rounded_up() -> None:
    assert Pruning(first=0.28).rungs(20_000, 200)[0] == 5600  # 0.28 x 100 is 28.000000000000004


@pytest.mark.parametrize("path", ["recipe.optimizer.lr", "recipe.optimizer.weight_decay", "recipe.schedule.power"])
def test_a_space_that_changes_the_shape_of_the_curve_is_not_pruned_for_this_reason(path: str) -> None:
    search = changed_search({path: RATE})
    assert search.effective_pruning.name == "none"
    assert path in search.why_not_pruned


def test_a_plan_prints_why_no_configuration_is_pruned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = dataclasses.replace(SEARCH, pruning=None)  # over a learning rate
    assert run_search(search, ["--plan", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "of 40 steps each; sampler tpe, pruner none\n" in output
    reason = "early rankings of trainings mislead where recipe.optimizer.lr varies"
    assert f"note: no configuration is pruned: {reason}" in output
    assert run_search(search, ["--plan", "--pruner", "asha", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "of 40 steps each; sampler tpe, pruner asha at steps 10, 30\n" in output and "note:" not in output


def test_a_plan_prints_the_number_of_configurations_of_a_grid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"method": Choice(("cps", "supervised")), "recipe.labeled_batch": Int(2, 5)}
    search = dataclasses.replace(SEARCH, space=space)
    assert run_search(search, ["--plan", "--sampler", "grid", "--grid-points", "3", "--out", str(tmp_path)]) == 0
    base = search_run(search).configurations.base()
    base_values = (base.method.name, base.recipe.labeled_batch)
    grid = {(method, batch) for method in ("cps", "supervised") for batch in Int(2, 5).sample_evenly(3)}
    assert f"the grid has {len(grid | {base_values})} configurations" in capsys.readouterr().out


def test_a_whole_optimizer_is_not_pruned_and_a_name_with_the_same_beginning_is() -> None:
    assert changed_search({"recipe.optimizer": Choice(("sgd", "adam"))}).effective_pruning.name == "none"
    assert changed_search({"recipe.optimizers": RATE}).effective_pruning.name == "asha"


def test_an_explicit_pruner_is_used_whatever_the_space() -> None:
    space = {"recipe.optimizer.lr": RATE}
    for search in (changed_search(space, "--pruner", "asha"), changed_search(space, pruning=Pruning(first=0.5))):
        assert search.effective_pruning.name == "asha"
        assert not search.why_not_pruned
    assert changed_search(space, "--pruner", "asha", pruning=Pruning(first=0.5)).effective_pruning.first == 0.5


def test_several_objectives_are_not_pruned_although_the_script_prunes_one() -> None:
    search = changed_search({"method.weight": RATE}, "--objectives", "miou", "parameters", pruning=Pruning())
    assert search.effective_pruning.name == "none"
    assert "several objectives have no single order" in search.why_not_pruned


@pytest.mark.parametrize("search", [MKD, BASELINES])
def test_weights_thresholds_and_boxes_are_pruned(search: Search) -> None:
    assert search.effective_pruning == Pruning()
    assert not search.why_not_pruned


@pytest.mark.parametrize("search", [MKD, BASELINES])
def test_a_profile_with_few_configurations_trains_all_of_them_to_the_end(search: Search) -> None:
    assert search_run(search).search.effective_pruning.name == "none"
    assert search_run(search, "--pruner", "asha").search.effective_pruning == Pruning()
    assert search_run(search, "--profile", "camvid").search.effective_pruning == Pruning()
    assert "(default: asha, none in quick)" in " ".join(parser(search).format_help().split())


@pytest.mark.parametrize("wrong", [{"first": 0.0}, {"first": 1.0}, {"first": 2}, {"factor": 1}])
def test_a_pruner_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="between 0 and 1 and its factor be 2 or more"):
        changed_search({"method.weight": RATE}, pruning=Pruning(**wrong))  # type: ignore[arg-type]
