"""The report of a search: what was explored, what was found, every trial, and how to look further."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from assay.analysis.run_summary import duration
from assay.analysis.trials import STATES, Trial, front
from assay.report.markup import Markup, element, join, scrolling
from assay.report.search.formatting import (
    SELECTION_NOTE,
    axis_label,
    command_line,
    paper_variant,
    search_setup,
    setting_text,
    settings_text,
    space_text,
    trial_name,
    trial_value_text,
    unsettable_note,
)
from assay.report.search.sections import appendix, losses, trials_table, weighing
from assay.report.shell import document, figure_groups
from assay.report.svg import Figure
from assay.results.search_layout import ParameterLayout, SearchLayout


def search_page(
    layout: SearchLayout,
    trials: Sequence[Trial],
    importances: pd.DataFrame,
    reason: str,
    figures: Sequence[Figure],
) -> str:
    """The whole page."""
    best = front(layout, trials)
    parts = {
        "Found": _found(layout, trials, best),
        "Space": _space(layout, best),
        "Figures": figure_groups(figures) if figures else None,
        "Importances": weighing(layout, importances, reason),
        "Trials": trials_table(layout, trials, best),
        "Without a result": losses(trials),
        "Looking further": appendix(layout, trials),
    }
    sections = {name: content for name, content in parts.items() if content is not None}
    return document(
        f"{layout.title} ({layout.profile})",
        element("header", *_opening(layout, trials, tuple(sections))),
        element("main", *(_section(name, content) for name, content in sections.items())),
    )


def _section(name: str, content: Markup) -> Markup:
    return element("section", element("h2", name), content, id=_anchor(name))


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


# --- opening -------------------------------------------------------------------------------------------------


def _opening(layout: SearchLayout, trials: Sequence[Trial], sections: Sequence[str]) -> Iterable[Markup]:
    yield element("p", f"{layout.name} · search · profile {layout.profile}", class_="eyebrow")
    yield element("h1", layout.title)
    warning = f"Not the paper’s setting: {layout.not_comparable.rstrip('.')}. " if layout.not_comparable else ""
    if warning or layout.profile_note:
        yield element(
            "p", element("strong", warning), layout.profile_note, class_="note warning" if warning else "note"
        )
    aims = (f"{each.label}, {'larger' if each.sign > 0 else 'smaller'} is better" for each in layout.objectives)
    yield element("p", f"{'; '.join(aims)} · {search_setup(layout)}", class_="caption")
    yield _states(trials)
    links = (element("li", element("a", name, href=f"#{_anchor(name)}")) for name in sections)
    yield element("nav", element("ul", *links), aria_label="Sections")


def _states(trials: Sequence[Trial]) -> Markup:
    """How many trials are in which state, as a bar and in numbers; and what they took."""
    found = {state: sum(trial.state == state for trial in trials) for state in STATES}
    found = {state: count for state, count in found.items() if count}
    bar = (element("span", class_=f"state {state}", style=f"flex-grow:{count}") for state, count in found.items())
    said = (
        element("li", element("span", class_=f"dot state {state}"), element("b", str(count)), f" {state}")
        for state, count in found.items()
    )
    total = element("li", element("b", str(len(trials))), " trials")
    spent = [trial.device_seconds for trial in trials if trial.device_seconds is not None]
    took = element("li", element("b", duration(sum(spent))), " of devices’ time") if spent else None
    return element(
        "div",
        element("div", *bar, class_="bar", aria_hidden="true"),
        element("ul", total, *said, took),
        class_="states",
    )


# --- what was found ------------------------------------------------------------------------------------------


def _found(layout: SearchLayout, trials: Sequence[Trial], best: Sequence[Trial]) -> Markup:
    """The best configuration or the front, beside the paper's, and the flags that give each again."""
    if not best:
        return element("p", "No configuration was completed yet.", class_="caption")
    papers = [each for each in trials if each.origin == "paper" and each not in best]
    heads = ("", *map(axis_label, layout.objectives), "state")
    lines = (
        element("tr", element("th", _standing(layout, each, trials, best), scope="row"), *_values(layout, each))
        for each in (*best, *papers)
    )
    head = element("thead", element("tr", *(element("th", each, scope="col") for each in heads)))
    table = element("table", head, element("tbody", *lines), class_="costs")
    spread = "Mean over the seeds ± their standard deviation." if len(layout.seeds) > 1 else "One seed: no spread."
    return join(
        scrolling(table, "The best configurations"),
        element("p", spread, class_="caption under"),
        element("p", SELECTION_NOTE, class_="note") if len(trials) > 1 else None,
        element("h3", "To run it again" if len(best) == 1 else "To run them again"),
        *(_flags(layout, each, trials) for each in best),
    )


def _flags(layout: SearchLayout, trial: Trial, trials: Sequence[Trial]) -> Markup:
    missing = unsettable_note(layout, trial)
    return join(
        element("p", f"{trial_name(trial)}{paper_variant(layout, trial, trials)}:", class_="caption"),
        element("pre", command_line(layout, trial)),
        element("p", missing, class_="caption under") if missing else None,
    )


def _standing(layout: SearchLayout, trial: Trial, trials: Sequence[Trial], best: Sequence[Trial]) -> Markup:
    place = element("small", "best" if len(best) == 1 else "on the front") if trial in best else None
    return join(element("span", trial_name(trial) + paper_variant(layout, trial, trials)), place)


def _values(layout: SearchLayout, trial: Trial) -> Iterable[Markup]:
    for index in range(len(layout.objectives)):
        yield element("td", element("b", trial_value_text(layout, trial, index)))
    yield element("td", element("span", trial.state, class_=f"chip {trial.state}"))


# --- the space -----------------------------------------------------------------------------------------------


def _space(layout: SearchLayout, best: Sequence[Trial]) -> Markup:
    """Each range with the paper's value beside it."""
    heads = ("parameter", "searched", "the paper’s", "best" if len(best) < 2 else "on the front")
    lines = (
        element("tr", _parameter(each), *(element("td", text) for text in _beside(each, best)))
        for each in layout.parameters
    )
    head = element("thead", element("tr", *(element("th", each, scope="col") for each in heads)))
    return scrolling(element("table", head, element("tbody", *lines), class_="space"), "The space")


def _parameter(parameter: ParameterLayout) -> Markup:
    where = element("small", parameter.where) if parameter.where else None
    return element("th", element("span", parameter.path), where, scope="row")


def _beside(parameter: ParameterLayout, best: Sequence[Trial]) -> tuple[str, str, str]:
    return space_text(parameter), setting_text(parameter.paper), settings_text(parameter, best)
