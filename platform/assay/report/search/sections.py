"""The later sections of a search's page: importances, all trials, what has no result, how to look further."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from assay.analysis.run_summary import duration
from assay.analysis.trials import Trial
from assay.report.formatting import NONE
from assay.report.markup import Markup, element, join, scrolling
from assay.report.search.figures import ranked
from assay.report.search.formatting import axis_label, setting_text, space_text, trial_value_text
from assay.results.search_layout import SearchLayout

JOURNAL = "optuna.journal"


# --- importances ---------------------------------------------------------------------------------------------


def weighing(layout: SearchLayout, importances: pd.DataFrame, reason: str) -> Markup | None:
    """The importances as numbers, and what they do not say; or why there are none."""
    limits = element("p", reason, class_="note") if reason else None
    tables = [_weights(layout, index, importances) for index in range(len(layout.objectives))]
    shown = [each for each in tables if each is not None]
    if not shown:
        return limits
    return join(element("p", _caveat(importances), class_="caption"), limits, *shown)


def _caveat(importances: pd.DataFrame) -> str:
    counted = max(importances["trials"])
    share = importances["quantile"].max()
    best = "" if pd.isna(share) else f" ({100 * share:.0f} % here)"
    return (
        f"Shares of what the parameters explain together, over {counted} completed trials. They hold for the ranges"
        " below and for no wider ones: a range that is narrow around its best looks unimportant. Pruned and failed"
        f" trials are left out, so what was given up early is hardly seen. PED-ANOVA asks what tells the best"
        f" trials{best} from all of them; fANOVA what moves the value anywhere in the ranges."
    )


def _weights(layout: SearchLayout, index: int, importances: pd.DataFrame) -> Markup | None:
    objective = layout.objectives[index]
    shown = ranked(objective, importances)
    if shown.empty:
        return None
    own = importances[importances["objective"] == objective.name].drop_duplicates("parameter")
    ends = own.set_index("parameter")[["low", "high"]].astype(float).to_dict("index")
    options = {each.path: space_text(each) for each in layout.parameters if each.kind == "choice"}
    lines = []
    for name, *weights in shown.itertuples(name=None):
        low, high = ends[name].values()
        within = options.get(name, NONE) if math.isnan(low) else f"{setting_text(low)} to {setting_text(high)}"
        numbers = (NONE if pd.isna(each) else f"{each:.2f}" for each in weights)
        cells = (element("td", each) for each in (*numbers, within))
        lines.append(element("tr", element("th", name, scope="row"), *cells))
    heads = (objective.label, *map(str, shown.columns), "within")
    return scrolling(_table(heads, lines, class_="costs"), f"Importances for {objective.label}")


def _table(heads: Iterable[str], lines: Iterable[Markup], *, class_: str) -> Markup:
    head = element("thead", element("tr", *(element("th", each, scope="col") for each in heads)))
    return element("table", head, element("tbody", *lines), class_=class_)


# --- trials --------------------------------------------------------------------------------------------------


def trials_table(layout: SearchLayout, trials: Sequence[Trial], best: Sequence[Trial]) -> Markup | None:
    """Every trial in the order of proposal: state, values, where it was pruned, parameters, cost."""
    if not trials:
        return None
    paths = [each.path for each in layout.parameters]
    heads = ("trial", "state", *map(axis_label, layout.objectives), "pruned at", *paths, "devices’ time")
    lines = (element("tr", *_line(layout, trial, best, paths)) for trial in trials)
    explained = "A value of a trial that was not completed is the last one that was measured, and is not its result."
    return join(
        element("p", explained, class_="caption"),
        scrolling(_table(heads, lines, class_="costs trials"), "All trials"),
    )


def _line(layout: SearchLayout, trial: Trial, best: Sequence[Trial], paths: Sequence[str]) -> Iterable[Markup]:
    marks = [trial.origin] if trial.origin != "sampler" else []
    marks += ["best" if len(best) == 1 else "front"] if trial in best else []
    yield element("th", str(trial.number), element("small", ", ".join(marks)) if marks else None, scope="row")
    yield element("td", element("span", trial.state, class_=f"chip {trial.state}"))
    quiet = None if trial.state == "complete" else "quiet"
    for index in range(len(layout.objectives)):
        yield element("td", trial_value_text(layout, trial, index), class_=quiet)
    pruned = NONE if trial.pruned_at is None else f"{trial.pruned_at} of {trial.steps}"
    yield from (element("td", each) for each in (pruned, *(setting_text(trial.settings.get(path)) for path in paths)))
    yield element("td", duration(trial.device_seconds))


def losses(trials: Sequence[Trial]) -> Markup | None:
    """The trials that failed, and why."""
    failed = [trial for trial in trials if trial.state == "failed"]
    if not failed:
        return None
    said = (
        element(
            "li",
            element("span", "failed", class_="chip failed"),
            element("span", f" trial {trial.number}"),
            element("pre", trial.error or "No reason was recorded."),
        )
        for trial in failed
    )
    return element("ul", *said, class_="failures")


# --- appendix ------------------------------------------------------------------------------------------------


def appendix(layout: SearchLayout, trials: Sequence[Trial]) -> Markup:
    """How the search is opened elsewhere, and under which keys its trainings lie."""
    command = f"optuna-dashboard OUT/{layout.name}/{layout.profile}/{JOURNAL}"
    opened = (
        f"Everything that was proposed and told stands in {JOURNAL}; OUT is the folder of all results."
        " Optuna’s dashboard shows it, while the search runs, too:"
    )
    keys = (
        join(
            element("dt", f"trial {trial.number}"),
            *(element("dd", f"seed {seed}: {key or NONE}") for seed, key in trial.keys),
        )
        for trial in trials
    )
    listed = element("details", element("summary", "Keys of all trainings"), element("dl", *keys), class_="keys")
    return join(element("p", opened), element("pre", command), listed if trials else None)
