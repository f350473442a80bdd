"""A search's figures: what is drawn, what is left out, and what they say to those who cannot see them."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
from drawn_search import LAYOUT, PAPER, Search, search

from assay.analysis.trials import Trial, front, read
from assay.report.search.contours import LEAST, search_contours
from assay.report.search.figures import search_figures
from assay.report.search.slices import search_slices
from assay.report.svg import Figure
from assay.results.search_layout import ObjectiveLayout
from assay.search.importance import importances

SVG = "{http://www.w3.org/2000/svg}"
NONE = pd.DataFrame({"objective": [], "evaluator": [], "parameter": [], "importance": []})


def draw(search: Search, weights: pd.DataFrame = NONE) -> list[Figure]:
    trials = read(search.layout, search.trials)
    return [
        *search_figures(search.layout, trials, weights),
        *search_contours(search.layout, trials, weights),
        *search_slices(search.layout, trials),
    ]


@pytest.fixture(scope="module")
def drawn(searched: Search, weighed: pd.DataFrame) -> list[Figure]:
    return draw(searched, weighed)


def texts(figure: Figure) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")]


def named(found: list[Figure], name: str) -> Figure:
    return next(figure for figure in found if name in figure.name)


def points(figure: Figure) -> list[int]:
    """How many points each group has, in the order in which they are drawn."""
    axes = ElementTree.fromstring(figure.svg).find(f".//{SVG}g[@id='axes_1']")
    groups = (each for each in axes if each.get("id", "").startswith("PathCollection"))
    # A mark that stands once is drawn in its place; one that stands more often is defined first.
    return [len(list(each.iter(f"{SVG}use"))) or len(each.findall(f"{SVG}path")) for each in groups]


def completed(search: Search, values: list[tuple[float, float]]) -> tuple[Trial, ...]:
    """Completed trials at these thresholds and weights."""
    kept = read(search.layout, search.trials)[0]
    return tuple(
        dataclasses.replace(
            kept, number=at, values=(0.5 + 0.01 * at,), settings={"method.threshold": x, "method.weight": y}
        )
        for at, (x, y) in enumerate(values)
    )


def test_a_search_of_one_objective_has_every_kind_of_figure(drawn: list[Figure]) -> None:
    assert [each.name for each in drawn] == [
        "search.history.1", "search.curves", "search.importances.miou", "search.contour.1",
        *(f"search.slice.1.{each.path}" for each in LAYOUT.parameters),
    ]  # fmt: skip


def test_equal_inputs_give_equal_bytes(searched: Search, weighed: pd.DataFrame, drawn: list[Figure]) -> None:
    assert [figure.svg for figure in draw(searched, weighed)] == [figure.svg for figure in drawn]


def test_figures_say_what_they_show(drawn: list[Figure]) -> None:
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        named_by = [root.find(f".//*[@id='{name}']") for name in root.attrib["aria-labelledby"].split()]
        assert root.attrib["role"] == "img"
        assert [each.text for each in named_by if each is not None] == [figure.title, figure.description]


def test_figures_hold_no_picture_and_nothing_from_elsewhere(drawn: list[Figure]) -> None:
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        links = [value for each in root.iter() for name, value in each.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)


def test_the_history_tells_completed_pruned_and_the_papers_trial_apart(searched: Search, drawn: list[Figure]) -> None:
    states = searched.trials.drop_duplicates("trial")["state"].value_counts()
    history = named(drawn, "history")
    assert points(history) == [states["complete"], states["pruned"], 1]
    assert {"completed", "pruned, where it stopped", "paper’s trial", "best so far"} <= set(texts(history))
    assert "Best so far: 58.77 at trial 0; " in history.description


def test_the_best_so_far_never_falls(searched: Search, traded: Search) -> None:
    up = re.findall(r"([\d.]+) at trial", named(draw(searched), "history.1").description)
    down = re.findall(r"([\d.]+) at trial", named(draw(traded), "history.2").description)
    assert list(map(float, up)) == sorted(map(float, up))
    assert list(map(float, down)) == sorted(map(float, down), reverse=True)


def test_curves_are_drawn_only_where_something_was_evaluated_on_the_way(drawn: list[Figure], traded: Search) -> None:
    assert "mIoU (%)" in texts(named(drawn, "curves"))
    assert not any("curves" in each.name for each in draw(traded))


def test_importances_have_a_bar_per_evaluator(drawn: list[Figure]) -> None:
    figure = named(drawn, "importances")
    assert {"PED-ANOVA", "fANOVA", "method.weight"} <= set(texts(figure))
    assert "PED-ANOVA method.momentum" in figure.description
    assert "fANOVA method.momentum" not in figure.description


def test_a_slice_shows_the_trials_that_had_the_parameter(searched: Search, drawn: list[Figure]) -> None:
    rows = searched.trials.drop_duplicates("trial")
    shown = rows[rows["state"].isin(["complete", "pruned"])]
    assert sum(points(named(drawn, "method.momentum"))) == shown["method.momentum"].notna().sum()
    assert sum(points(named(drawn, "method.boxes"))) == len(shown) + 1  # and the ring of the paper's


def test_a_slice_marks_the_papers_value_where_there_is_one(drawn: list[Figure]) -> None:
    assert "paper’s value" in texts(named(drawn, "slice.1.method.kind"))
    assert "paper’s value" not in texts(named(drawn, "slice.1.method.momentum"))
    assert f"the paper’s {PAPER['method.threshold']}" in named(drawn, "method.threshold").description


def test_an_axis_of_options_has_their_names_and_one_with_log_its_powers(drawn: list[Figure]) -> None:
    assert "mean & teacher" in texts(named(drawn, "slice.1.method.kind"))
    assert {"0.01", "0.1", "1"} <= set(texts(named(drawn, "slice.1.method.weight")))


@pytest.mark.parametrize(("low", "high"), [(1.1, 1.9), (0.3, 0.9), (2.0, 40.0)])
def test_an_axis_with_log_has_several_ticks_however_short_it_is(low: float, high: float, searched: Search) -> None:
    weight = dataclasses.replace(LAYOUT.parameters[1], paper=None)
    trials = completed(searched, [(0.7, low + (high - low) * at / 4) for at in range(5)])
    (figure,) = search_slices(dataclasses.replace(LAYOUT, parameters=(weight,)), trials)
    (across,) = (
        each for each in ElementTree.fromstring(figure.svg).iter(f"{SVG}g") if each.get("id") == "matplotlib.axis_1"
    )
    ticks = [each.text for each in across.iter(f"{SVG}text") if each.text != weight.path]
    assert len(ticks) >= 2 and all(low / 2 < float(each or 0) < 2 * high for each in ticks)


def test_a_figures_file_has_a_plain_name_whatever_its_parameter_is_called(searched: Search) -> None:
    renamed = dataclasses.replace(LAYOUT.parameters[0], path="method.threshold | a/b")
    layout = dataclasses.replace(LAYOUT, parameters=(renamed,))
    trials = searched.trials.rename(columns={"method.threshold": renamed.path})
    (figure,) = search_slices(layout, read(layout, trials))
    assert figure.name == "search.slice.1.method.threshold-a-b"


def test_two_objectives_have_a_front_with_the_numbers_of_its_trials(traded: Search) -> None:
    figure = named(draw(traded), "pareto")
    assert {str(each.number) for each in traded.study.best_trials} <= set(texts(figure))
    assert not any("pareto" in each.name for each in draw(search(3)))


def test_three_objectives_have_a_front_for_every_two_of_them(traded: Search) -> None:
    third = ObjectiveLayout(name="parameters", label="parameters", direction="minimize")
    layout = dataclasses.replace(traded.layout, objectives=(*traded.layout.objectives, third))
    trials = read(layout, traded.trials.assign(**{"objective/parameters": 100.0 - traded.trials["trial"]}))
    found = [each for each in search_figures(layout, trials, NONE) if each.group == "Pareto front"]
    assert [each.title for each in found] == [
        "mIoU against device-seconds", "mIoU against parameters", "device-seconds against parameters",
    ]  # fmt: skip
    assert len({each.name for each in found}) == 3
    for pair, figure in zip(((0, 1), (0, 2), (1, 2)), found, strict=True):
        numbers = [str(each.number) for each in front(layout, trials, pair)]
        assert re.findall(r"trial (\d+):", figure.description) == numbers
        assert set(numbers) <= set(texts(figure))


def test_the_contour_is_over_the_two_most_important_numbers(traded: Search) -> None:
    weights, _ = importances(traded.study, ["miou", "device_seconds"])
    figure = named(draw(traded, weights), "contour.1")
    assert figure.title == "mIoU over method.weight and method.boxes"
    assert figure.description.startswith("30 completed trials; the best, trial ")


def test_a_contour_needs_importances_and_enough_completed_trials(searched: Search, weighed: pd.DataFrame) -> None:
    values = [(0.5 + 0.01 * at, 0.1 + 0.2 * (at % 3)) for at in range(LEAST)]
    trials = completed(searched, values)
    assert len(search_contours(LAYOUT, trials, weighed)) == 1
    assert search_contours(LAYOUT, trials[1:], weighed) == []
    assert search_contours(LAYOUT, trials, NONE) == []


@pytest.mark.parametrize("threshold", [lambda at: 0.7, lambda at: 0.5 + 0.1 * at])
def test_along_a_line_there_are_points_and_no_surface(searched: Search, weighed: pd.DataFrame, threshold) -> None:
    line = completed(searched, [(threshold(at), 10 ** (-0.2 * at)) for at in range(LEAST)])
    plane = completed(searched, [(0.5 + 0.1 * at, 0.1 + 0.2 * (at % 3)) for at in range(LEAST)])
    (flat,), (raised,) = (search_contours(LAYOUT, each, weighed) for each in (line, plane))
    assert ("ContourSet" in flat.svg, "ContourSet" in raised.svg) == (False, True)
    assert points(flat)[0] == LEAST


def test_a_search_without_trials_has_no_figure() -> None:
    assert draw(Search(search(1).study, LAYOUT, pd.DataFrame())) == []
