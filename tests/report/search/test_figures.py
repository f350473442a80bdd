"""The figures of a search: their points, their conditions, and their descriptions for screen readers."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
from drawn_search import LAYOUT, PAPER, Search, search

from assay.analysis.trials import Trial, front, trials_from
from assay.report.search.contours import MIN_TRIALS, search_contours
from assay.report.search.figures import search_figures
from assay.report.search.slices import search_slices
from assay.report.svg import Figure
from assay.results.search_layout import ObjectiveLayout
from assay.search.importance import importances

SVG = "{http://www.w3.org/2000/svg}"
NONE = pd.DataFrame({"objective": [], "evaluator": [], "parameter": [], "importance": []})


def draw(search: Search, weights: pd.DataFrame = NONE) -> list[Figure]:
    trials = trials_from(search.layout, search.trials)
    return [
        *search_figures(search.layout, trials, weights),
        *search_contours(search.layout, trials, weights),
        *search_slices(search.layout, trials),
    ]


@pytest.fixture(scope="module")
def drawn(searched: Search, weighed: pd.DataFrame) -> list[Figure]:
    return draw(searched, weighed)


def texts(figure: Figure) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")]


def named(figures: list[Figure], name: str) -> Figure:
    return next(figure for figure in figures if name in figure.name)


def points(figure: Figure) -> list[int]:
    """Return the number of points of each group, in the order of drawing."""
    axes = ElementTree.fromstring(figure.svg).find(f".//{SVG}g[@id='axes_1']")
    groups = (element for element in axes if element.get("id", "").startswith("PathCollection"))
    # A single mark is drawn in its place; a repeated mark is defined first and then used.
    return [len(list(group.iter(f"{SVG}use"))) or len(group.findall(f"{SVG}path")) for group in groups]


def completed(search: Search, values: list[tuple[float, float]]) -> tuple[Trial, ...]:
    """Return completed trials at these thresholds and weights."""
    trial = trials_from(search.layout, search.trials)[0]
    return tuple(
        dataclasses.replace(
            trial,
            number=number,
            values=(0.5 + 0.01 * number,),
            settings={"method.threshold": threshold, "method.weight": weight},
        )
        for number, (threshold, weight) in enumerate(values)
    )


def test_a_search_of_one_objective_has_every_kind_of_figure(drawn: list[Figure]) -> None:
    assert [figure.name for figure in drawn] == [
        "search.history.1", "search.curves", "search.importances.miou", "search.contour.1",
        *(f"search.slice.1.{parameter.path}" for parameter in LAYOUT.parameters),
    ]  # fmt: skip


def test_equal_inputs_give_equal_bytes(searched: Search, weighed: pd.DataFrame, drawn: list[Figure]) -> None:
    assert [figure.svg for figure in draw(searched, weighed)] == [figure.svg for figure in drawn]


def test_figures_have_a_title_and_a_description(drawn: list[Figure]) -> None:
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        labels = [root.find(f".//*[@id='{name}']") for name in root.attrib["aria-labelledby"].split()]
        assert root.attrib["role"] == "img"
        assert [label.text for label in labels if label is not None] == [figure.title, figure.description]


def test_figures_hold_no_picture_and_nothing_from_elsewhere(drawn: list[Figure]) -> None:
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        links = [value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)


def test_the_history_marks_completed_and_pruned_trials_and_the_papers(searched: Search, drawn: list[Figure]) -> None:
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


def test_curves_need_evaluations_before_the_end(drawn: list[Figure], traded: Search) -> None:
    assert "mIoU (%)" in texts(named(drawn, "curves"))
    assert not any("curves" in figure.name for figure in draw(traded))


def test_importances_have_a_bar_per_evaluator(drawn: list[Figure]) -> None:
    figure = named(drawn, "importances")
    assert {"PED-ANOVA", "fANOVA", "method.weight"} <= set(texts(figure))
    assert "PED-ANOVA method.momentum" in figure.description
    assert "fANOVA method.momentum" not in figure.description


def test_a_slice_shows_the_trials_with_the_parameter(searched: Search, drawn: list[Figure]) -> None:
    rows = searched.trials.drop_duplicates("trial")
    shown = rows[rows["state"].isin(["complete", "pruned"])]
    assert sum(points(named(drawn, "method.momentum"))) == shown["method.momentum"].notna().sum()
    assert sum(points(named(drawn, "method.boxes"))) == len(shown) + 1  # with the ring around the paper's


def test_a_slice_marks_the_papers_value(drawn: list[Figure]) -> None:
    assert "paper’s value" in texts(named(drawn, "slice.1.method.kind"))
    assert "paper’s value" not in texts(named(drawn, "slice.1.method.momentum"))
    assert f"the paper’s {PAPER['method.threshold']}" in named(drawn, "method.threshold").description


def test_an_axis_of_options_has_names_and_a_logarithmic_axis_powers_of_ten(drawn: list[Figure]) -> None:
    assert "mean & teacher" in texts(named(drawn, "slice.1.method.kind"))
    assert {"0.01", "0.1", "1"} <= set(texts(named(drawn, "slice.1.method.weight")))


@pytest.mark.parametrize(("low", "high"), [(1.1, 1.9), (0.3, 0.9), (2.0, 40.0)])
def test_a_short_logarithmic_axis_has_several_ticks(low: float, high: float, searched: Search) -> None:
    weight = dataclasses.replace(LAYOUT.parameters[1], paper=None)
    trials = completed(searched, [(0.7, low + (high - low) * number / 4) for number in range(5)])
    (figure,) = search_slices(dataclasses.replace(LAYOUT, parameters=(weight,)), trials)
    groups = ElementTree.fromstring(figure.svg).iter(f"{SVG}g")
    (axis,) = (group for group in groups if group.get("id") == "matplotlib.axis_1")
    ticks = [element.text for element in axis.iter(f"{SVG}text") if element.text != weight.path]
    assert len(ticks) >= 2 and all(low / 2 < float(tick or 0) < 2 * high for tick in ticks)


def test_a_figures_file_name_has_plain_characters_only(searched: Search) -> None:
    renamed = dataclasses.replace(LAYOUT.parameters[0], path="method.threshold | a/b")
    layout = dataclasses.replace(LAYOUT, parameters=(renamed,))
    trials = searched.trials.rename(columns={"method.threshold": renamed.path})
    (figure,) = search_slices(layout, trials_from(layout, trials))
    assert figure.name == "search.slice.1.method.threshold-a-b"


def test_two_objectives_have_a_front_with_the_numbers_of_its_trials(traded: Search) -> None:
    figure = named(draw(traded), "pareto")
    assert {str(trial.number) for trial in traded.study.best_trials} <= set(texts(figure))
    assert not any("pareto" in figure.name for figure in draw(search(3)))


def test_three_objectives_have_a_front_for_each_pair(traded: Search) -> None:
    third = ObjectiveLayout(name="parameters", label="parameters", direction="minimize")
    layout = dataclasses.replace(traded.layout, objectives=(*traded.layout.objectives, third))
    trials = trials_from(layout, traded.trials.assign(**{"objective/parameters": 100.0 - traded.trials["trial"]}))
    fronts = [figure for figure in search_figures(layout, trials, NONE) if figure.group == "Pareto front"]
    assert [figure.title for figure in fronts] == [
        "mIoU against device-seconds", "mIoU against parameters", "device-seconds against parameters",
    ]  # fmt: skip
    assert len({figure.name for figure in fronts}) == 3
    for pair, figure in zip(((0, 1), (0, 2), (1, 2)), fronts, strict=True):
        numbers = [str(trial.number) for trial in front(layout, trials, pair)]
        assert re.findall(r"trial (\d+):", figure.description) == numbers
        assert set(numbers) <= set(texts(figure))


def test_the_contour_is_over_the_two_most_important_numbers(traded: Search) -> None:
    weights, _ = importances(traded.study, ["miou", "device_seconds"])
    figure = named(draw(traded, weights), "contour.1")
    assert figure.title == "mIoU over method.weight and method.boxes"
    assert figure.description.startswith("30 completed trials; the best, trial ")


def test_a_contour_needs_importances_and_enough_completed_trials(searched: Search, weighed: pd.DataFrame) -> None:
    values = [(0.5 + 0.01 * number, 0.1 + 0.2 * (number % 3)) for number in range(MIN_TRIALS)]
    trials = completed(searched, values)
    assert len(search_contours(LAYOUT, trials, weighed)) == 1
    assert search_contours(LAYOUT, trials[1:], weighed) == []
    assert search_contours(LAYOUT, trials, NONE) == []


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_trials_along_a_line_have_points_and_no_surface(searched: Search, weighed: pd.DataFrame, slope: float) -> None:
    line = completed(searched, [(0.5 + slope * number, 10 ** (-0.2 * number)) for number in range(MIN_TRIALS)])
    plane = completed(searched, [(0.5 + 0.1 * number, 0.1 + 0.2 * (number % 3)) for number in range(MIN_TRIALS)])
    (without_surface,), (with_surface,) = (search_contours(LAYOUT, trials, weighed) for trials in (line, plane))
    assert "ContourSet" not in without_surface.svg and "ContourSet" in with_surface.svg
    assert points(without_surface)[0] == MIN_TRIALS


def test_a_search_without_trials_has_no_figure() -> None:
    assert draw(Search(search(1).study, LAYOUT, pd.DataFrame())) == []
