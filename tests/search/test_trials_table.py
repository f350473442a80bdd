"""Layouts and trials of searches: their flags give the configuration that was trained."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pandas as pd
import pytest
import tiny_search

import methods  # noqa: F401  # so that methods can be named
from assay.analysis.trials import trials_from
from assay.overrides import Override, parse_text
from assay.report.search.formatting import set_flags, unsettable_note
from assay.results.search_columns import trials_frame
from assay.results.search_layout import SearchLayout
from assay.run.flags import parser as flags_of_study
from assay.run.search_flags import parser
from assay.run.search_options import SearchOptions
from assay.search.configurations import Configurations
from assay.search.objectives import objectives
from assay.search.pruning import Pruning
from assay.search.search import ProfileSettings, Search
from assay.search.space import Choice, Float, Int, Raw, Space, When, grid
from assay.search.trials_table import layout
from assay.study import Row, cells
from studies import baseline_search, mgd_ablation, mgd_search, mkd_search


def configurations(search: Search, *flags: str) -> Configurations:
    profile = search.study.profiles[0]
    selection = cells.Selection(seeds=(0,), overrides=tuple(Override.parse(text) for text in flags))
    settings = search.settings[profile.name]
    return Configurations(search=search, profile=profile, settings=settings, selection=selection)


def layout_of(of: Configurations, *, rungs: tuple[int, ...] = (40,), places: tuple[str, ...] = ()) -> SearchLayout:
    return layout(of, objectives(of.search.objectives), rungs=rungs, places=places)


def printed_changes(of: Configurations, point: dict[str, Raw]) -> list[str]:
    """Return the values of --set that are printed for a configuration, as a shell reads them."""
    search_layout = layout_of(of)
    frame = trials_frame(search_layout, pd.DataFrame([row(point)]))
    return shlex.split(set_flags(search_layout, trials_from(search_layout, frame)[0]))[1::2]


def row(point: dict[str, Raw]) -> dict[str, Any]:
    return {"trial": 0, "seed": 0, "state": "complete", **point}


@pytest.mark.parametrize(
    "search", [mkd_search.SEARCH, mgd_search.SEARCH, baseline_search.SEARCH], ids=lambda search: search.name
)
def test_the_flags_of_every_corner_of_a_space_give_its_experiment(search: Search) -> None:
    searched = configurations(search)
    search_layout = layout_of(searched)
    for point in grid(searched.parameters, 2):
        (trial,) = trials_from(search_layout, pd.DataFrame([row(point)]))
        flags = shlex.split(set_flags(search_layout, trial))[1::2]
        # On top of a row of the same method: changes that another method's row makes to its own parts do not apply.
        row_of_method = {"method": point["method"]} if "method" in point else {}
        from_flags = configurations(search, *flags).cells(row_of_method)
        assert unsettable_note(search_layout, trial) == ""
        assert [cell.experiment for cell in from_flags] == [cell.experiment for cell in searched.cells(point)]


WITH_TEACHERS = Search(
    name="with_teachers",
    title="Around a row with teachers",
    study=mgd_ablation.STUDY,
    table="mgd.table5a",
    row="Sup + P + I(TD) + R(TW)",
    space={},
    settings={name: ProfileSettings(column="VOC", configurations=1) for name in ("quick", "quick-tied")},
)
SHARED_WITH_TEACHERS: Space = {
    "recipe.optimizer.lr": Float(0.001, 0.1, log=True),
    "recipe.labeled_batch": Int(2, 4),
    "recipe.augment.crop": Choice({"small": (32, 32), "wide": (32, 64)}),
    "data.split.labeled": Choice(("1/4", "1/2")),
    "net.encoder.width": Int(4, 12, step=4),
    "net.head": Choice(("pspnet", "deeplabv3plus")),
    "method.weight_image": Float(0.01, 1.0, log=True),
    "method.regions": Choice({"few": (3, 3), "many": (5, 5)}),
}


@pytest.mark.parametrize("name", ["quick", "quick-tied"])
@pytest.mark.parametrize("path", SHARED_WITH_TEACHERS)
def test_a_configuration_of_a_row_with_teachers_is_what_the_study_trains_with_its_flags(path: str, name: str) -> None:
    search = dataclasses.replace(WITH_TEACHERS, space={path: SHARED_WITH_TEACHERS[path]})
    profile = next(profile for profile in search.study.profiles if profile.name == name)
    seeds = cells.Selection(seeds=(0, 1))
    searched = Configurations(search=search, profile=profile, settings=search.settings[name], selection=seeds)
    for point in grid(searched.parameters, 2):
        flags = tuple(Override.parse(text) for text in printed_changes(searched, point))
        where = {"tables": (search.table,), "rows": (search.row,), "columns": ("VOC",)}
        from_flags = cells.cells_of(search.study, profile, dataclasses.replace(seeds, overrides=flags, **where))
        assert [cell.experiment for cell in from_flags] == [cell.experiment for cell in searched.cells(point)]


def teachers(search: Search, point: dict[str, Raw]) -> Any:
    method: Any = configurations(search).cells(point)[0].experiment.method
    return method.teachers


def test_changes_outside_the_method_reach_the_teachers_of_a_row() -> None:
    rate = dataclasses.replace(WITH_TEACHERS, space={"recipe.optimizer.lr": Float(0.001, 0.1)})
    weight = dataclasses.replace(WITH_TEACHERS, space={"method.weight_image": Float(0.01, 1.0)})
    changed = teachers(rate, {"recipe.optimizer.lr": 0.03})
    assert [teacher.recipe.optimizer.lr for teacher in changed] == [0.03, 0.03]
    assert teachers(weight, {"method.weight_image": 0.5}) == teachers(weight, {})


def test_none_may_be_an_option_of_a_conditional_parameter() -> None:
    space: Space = {
        "method": Choice(("cps", "supervised")),
        "method.cutmix": When("method", {"cps": Choice((None, "boxes"))}),
    }
    searched = configurations(dataclasses.replace(tiny_search.SEARCH, space=space))
    assert printed_changes(searched, {"method": "cps", "method.cutmix | cps": None}) == [
        "method=cps",
        "method.cutmix=none",
    ]
    assert printed_changes(searched, {"method": "supervised"}) == ["method=supervised"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((0.5, 1.0), "0.5,1.0"),
        ((5, 5), "5,5"),
        ((1.0,), "[1.0]"),
        ((), ""),
        (("boxes", "lines"), "boxes,lines"),
        (("1", "true"), '["1", "true"]'),
        (("a,b", "c"), '["a,b", "c"]'),
        (((1, 2), (3, 4)), "[[1, 2], [3, 4]]"),
        ((None, True), "[null, true]"),
    ],
)
def test_lists_are_written_short_where_the_short_text_is_read_as_the_same_list(
    value: tuple[Any, ...], text: str
) -> None:
    search = dataclasses.replace(tiny_search.SEARCH, space={"a": Choice({"one": value, "other": 0})})
    (parameter,) = layout_of(configurations(search)).parameters
    assert parameter.texts[0] == text

    def lists(content: Any) -> Any:
        return list(map(lists, content)) if isinstance(content, tuple) else content

    assert parse_text(text, tuple[Any, ...]) == lists(value)


@pytest.mark.parametrize("label", ["one", "two"])
def test_a_list_of_one_value_is_printed_as_a_list(label: str) -> None:
    space: Space = {"recipe.evaluation.scales": Choice({"one": (1.0,), "two": (0.5, 1.0)})}
    searched = configurations(dataclasses.replace(tiny_search.SEARCH, space=space))
    flags = printed_changes(searched, {"recipe.evaluation.scales": label})
    from_flags = configurations(tiny_search.SEARCH, *flags).base()
    assert from_flags == searched.cells({"recipe.evaluation.scales": label})[0].experiment


def test_the_command_names_the_folders_that_the_user_named() -> None:
    searched = configurations(tiny_search.SEARCH)
    given = ["--out", "else where", "--data-root", "/d", "--splits", "s", "--weights", "w", "--cache", "c"]
    launch, default = (
        SearchOptions.parse(parser(tiny_search.SEARCH).parse_args(flags)).launch for flags in (given, [])
    )
    parts = shlex.split(layout_of(searched, places=launch.location_flags).command)
    assert parts[-10:] == given
    options = flags_of_study(tiny_search.STUDY).parse_args(parts[2:])
    folders = (options.out, options.data_root, options.splits, options.weights, options.cache)
    assert folders == ("else where", "/d", "s", "w", "c")
    assert options.seeds == [0]
    assert default.location_flags == ()


@pytest.mark.parametrize(
    ("steps", "every", "text"),
    [
        (800, 100, "asha, factor 3, at steps 200 and 600"),
        (40, 10, "asha, factor 3, at steps 10 and 30"),
        (40, 20, "asha, factor 3, at step 20"),
        (400, 10, "asha, factor 3, at steps 100 and 300"),
        (20, 20, "asha, which has no rung before the end"),
    ],
)
def test_the_pruner_is_described_with_its_steps(steps: int, every: int, text: str) -> None:
    assert layout_of(configurations(tiny_search.SEARCH), rungs=Pruning().rungs(steps, every)).pruner == text


def test_many_steps_of_a_pruner_are_listed() -> None:
    early = Pruning(first=0.1).rungs(1000, 10)
    assert (
        layout_of(configurations(tiny_search.SEARCH), rungs=early).pruner == "asha, factor 3, at steps 100, 300 and 900"
    )


def test_a_space_may_change_a_part_that_only_its_row_has() -> None:
    table = tiny_search.STUDY.tables[0]
    pyramid = Row("Pyramid", {"method": "cps", "net.head": "pspnet"})
    study = dataclasses.replace(tiny_search.STUDY, tables=(dataclasses.replace(table, rows=(pyramid,)),))
    space: Space = {"net.head.bins": Choice({"one": (1,), "two": (1, 2)})}
    searched = configurations(dataclasses.replace(tiny_search.SEARCH, study=study, row="Pyramid", space=space))
    head: Any = searched.cells({"net.head.bins": "one"})[0].experiment.net.head
    assert head.bins == (1,)
    flags = printed_changes(searched, {"net.head.bins": "one"})
    assert configurations(searched.search, *flags).base().net.head == head
