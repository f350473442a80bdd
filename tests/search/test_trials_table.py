"""What a search hands to its report: flags that mean the configuration that was trained."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import pandas as pd
import pytest
import tiny_search

import methods  # noqa: F401  # so that methods can be named
from assay.analysis.trials import read
from assay.overrides import Override, parse_text
from assay.report.search.formatting import set_flags, unsettable_note
from assay.results.search_columns import trials_frame
from assay.results.search_layout import SearchLayout
from assay.run.flags import parser as flags_of_study
from assay.run.flags import said_places
from assay.run.search_flags import parser
from assay.search.configurations import Configurations
from assay.search.objectives import objectives
from assay.search.pruning import Pruning
from assay.search.search import ProfileSettings, Search
from assay.search.space import Choice, Float, Int, Raw, Space, When, grid
from assay.search.trials_table import layout
from assay.study import Row, cells
from studies import baseline_search, mgd_ablation, mkd_search


def configurations(search: Search, *flags: str) -> Configurations:
    profile = search.study.profiles[0]
    choice = cells.Selection(seeds=(0,), overrides=tuple(Override.parse(text) for text in flags))
    return Configurations(search=search, profile=profile, setting=search.settings[profile.name], choice=choice)


def laid_out(of: Configurations, *, rungs: tuple[int, ...] = (40,), places: tuple[str, ...] = ()) -> SearchLayout:
    return layout(of, objectives(of.search.objectives), rungs=rungs, places=places)


def told_in_flags(of: Configurations, point: dict[str, Raw]) -> list[str]:
    """The flags that are printed for a configuration, as a shell hands them on."""
    shape = laid_out(of)
    frame = trials_frame(shape, pd.DataFrame([row(point)]))
    return shlex.split(set_flags(shape, read(shape, frame)[0]))[1::2]


def row(point: dict[str, Raw]) -> dict[str, Any]:
    return {"trial": 0, "seed": 0, "state": "complete", **point}


@pytest.mark.parametrize("search", [mkd_search.SEARCH, baseline_search.SEARCH], ids=lambda search: search.name)
def test_the_flags_of_every_corner_of_a_space_give_its_experiment_again(search: Search) -> None:
    made = configurations(search)
    shape = laid_out(made)
    for point in grid(made.parameters, 2):
        (trial,) = read(shape, pd.DataFrame([row(point)]))
        flags = shlex.split(set_flags(shape, trial))[1::2]
        # Upon a row of the same method: what another method's row says of its own parts has no place.
        row_of_method = {"method": point["method"]} if "method" in point else {}
        again = configurations(search, *flags).cells(row_of_method)
        assert unsettable_note(shape, trial) == ""
        assert [each.experiment for each in again] == [each.experiment for each in made.cells(point)]


TAUGHT = Search(
    name="taught",
    title="Around a row with teachers",
    study=mgd_ablation.STUDY,
    table="mgd.table5a",
    row="Sup + P + I(TD) + R(TW)",
    space={},
    settings={name: ProfileSettings(column="VOC", configurations=1) for name in ("quick", "quick-tied")},
)
INSIDE_TOO: Space = {
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
@pytest.mark.parametrize("path", INSIDE_TOO)
def test_a_configuration_of_a_row_with_teachers_is_what_the_study_trains_with_its_flags(path: str, name: str) -> None:
    search = dataclasses.replace(TAUGHT, space={path: INSIDE_TOO[path]})
    profile = next(each for each in search.study.profiles if each.name == name)
    whole = cells.Selection(seeds=(0, 1))
    made = Configurations(search=search, profile=profile, setting=search.settings[name], choice=whole)
    for point in grid(made.parameters, 2):
        flags = tuple(Override.parse(text) for text in told_in_flags(made, point))
        where = {"tables": (search.table,), "rows": (search.row,), "columns": ("VOC",)}
        again = cells.cells_of(search.study, profile, dataclasses.replace(whole, overrides=flags, **where))
        assert [each.experiment for each in again] == [each.experiment for each in made.cells(point)]


def teachers(search: Search, point: dict[str, Raw]) -> Any:
    method: Any = configurations(search).cells(point)[0].experiment.method
    return method.teachers


def test_what_is_no_methods_own_reaches_the_teachers_of_a_row() -> None:
    rate = dataclasses.replace(TAUGHT, space={"recipe.optimizer.lr": Float(0.001, 0.1)})
    weight = dataclasses.replace(TAUGHT, space={"method.weight_image": Float(0.01, 1.0)})
    found = teachers(rate, {"recipe.optimizer.lr": 0.03})
    assert [each.recipe.optimizer.lr for each in found] == [0.03, 0.03]
    assert teachers(weight, {"method.weight_image": 0.5}) == teachers(weight, {})


def test_no_part_at_all_may_be_what_a_condition_gives() -> None:
    space: Space = {
        "method": Choice(("cps", "supervised")),
        "method.cutmix": When("method", {"cps": Choice((None, "boxes"))}),
    }
    made = configurations(dataclasses.replace(tiny_search.SEARCH, space=space))
    assert told_in_flags(made, {"method": "cps", "method.cutmix | cps": None}) == ["method=cps", "method.cutmix=none"]
    assert told_in_flags(made, {"method": "supervised"}) == ["method=supervised"]


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
def test_lists_are_written_short_where_that_is_read_as_the_same_list(value: tuple[Any, ...], text: str) -> None:
    search = dataclasses.replace(tiny_search.SEARCH, space={"a": Choice({"one": value, "other": 0})})
    (parameter,) = laid_out(configurations(search)).parameters
    assert parameter.texts[0] == text

    def lists(each: Any) -> Any:
        return list(map(lists, each)) if isinstance(each, tuple) else each

    assert parse_text(text, tuple[Any, ...]) == lists(value)


@pytest.mark.parametrize("label", ["one", "two"])
def test_a_list_of_one_is_printed_as_a_list(label: str) -> None:
    space: Space = {"recipe.evaluation.scales": Choice({"one": (1.0,), "two": (0.5, 1.0)})}
    made = configurations(dataclasses.replace(tiny_search.SEARCH, space=space))
    flags = told_in_flags(made, {"recipe.evaluation.scales": label})
    again = configurations(tiny_search.SEARCH, *flags).base()
    assert again == made.cells({"recipe.evaluation.scales": label})[0].experiment


def test_the_command_says_where_results_data_and_lists_lie_if_the_search_did() -> None:
    made = configurations(tiny_search.SEARCH)
    given = ["--out", "else where", "--data-root", "/d", "--splits", "s"]
    asked, unasked = (parser(tiny_search.SEARCH).parse_args(flags) for flags in (given, []))
    words = shlex.split(laid_out(made, places=said_places(asked)).command)
    assert words[-6:] == given
    study = flags_of_study(tiny_search.STUDY).parse_args(words[2:])
    assert (study.out, study.data_root, study.splits, study.seeds) == ("else where", "/d", "s", [0])
    assert said_places(unasked) == ()


@pytest.mark.parametrize(
    ("steps", "every", "said"),
    [
        (800, 100, "asha, factor 3, at steps 200 and 600"),
        (40, 10, "asha, factor 3, at steps 10 and 30"),
        (40, 20, "asha, factor 3, at step 20"),
        (400, 10, "asha, factor 3, at steps 100 and 300"),
        (20, 20, "asha, which has no rung before the end"),
    ],
)
def test_the_pruner_is_said_with_the_steps_at_which_it_decides(steps: int, every: int, said: str) -> None:
    assert laid_out(configurations(tiny_search.SEARCH), rungs=Pruning().rungs(steps, every)).pruner == said


def test_many_steps_of_a_pruner_are_a_list() -> None:
    early = Pruning(first=0.1).rungs(1000, 10)
    shape = laid_out(configurations(tiny_search.SEARCH), rungs=early)
    assert shape.pruner == "asha, factor 3, at steps 100, 300 and 900"


def test_a_space_may_speak_of_a_part_that_only_its_row_has() -> None:
    table = tiny_search.STUDY.tables[0]
    pyramid = Row("Pyramid", {"method": "cps", "net.head": "pspnet"})
    study = dataclasses.replace(tiny_search.STUDY, tables=(dataclasses.replace(table, rows=(pyramid,)),))
    space: Space = {"net.head.bins": Choice({"one": (1,), "two": (1, 2)})}
    made = configurations(dataclasses.replace(tiny_search.SEARCH, study=study, row="Pyramid", space=space))
    head: Any = made.cells({"net.head.bins": "one"})[0].experiment.net.head
    assert head.bins == (1,)
    flags = told_in_flags(made, {"net.head.bins": "one"})
    assert configurations(made.search, *flags).base().net.head == head
