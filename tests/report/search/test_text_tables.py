"""A search in the terminal."""

from __future__ import annotations

import dataclasses

import pandas as pd
from drawn_search import LAYOUT, Search, best_of, search

from assay.report.search.formatting import set_flags
from assay.report.search.text_tables import summary
from assay.results.search_layout import ParameterLayout


def test_the_space_stands_beside_the_papers_and_the_best_values(searched: Search) -> None:
    best = best_of(searched)[0]
    line = next(text for text in summary(searched.layout, searched.trials).splitlines() if "threshold " in text)
    assert [part.strip() for part in line.split("│")] == [
        "method.threshold", "0.5 to 0.99", "0.95", f"{best.settings['method.threshold']:.4g}",
    ]  # fmt: skip


def test_a_condition_that_ends_a_parameters_name_is_not_repeated() -> None:
    named, other = (
        ParameterLayout(path=path, kind="float", low=0, high=1, when=(("method", "cps"),))
        for path in ("method.weight | cps", "method.scale")
    )
    text = summary(dataclasses.replace(LAYOUT, parameters=(named, other)), pd.DataFrame())
    assert "(if method = cps)" not in next(line for line in text.splitlines() if named.path in line)
    assert "method.scale (if method = cps)" in text


def test_the_best_value_stands_with_its_spread_beside_the_papers(searched: Search) -> None:
    text = summary(searched.layout, searched.trials)
    best = best_of(searched)[0]
    assert f"best: mIoU {100 * (best.values or (0,))[0]:.2f} ± 0.57 % (trial {best.number})" in text
    assert "the paper’s values: mIoU 58.77 ± 0.57 % (trial 0, complete)" in text


def test_several_trials_of_the_papers_values_are_distinguished_by_their_conditions(searched: Search) -> None:
    trials = searched.trials.copy()
    (kind,) = set(trials.query("trial == 0")["method.kind"])
    assert kind == "cps"
    twin = trials.query("trial == 0").assign(trial=trials["trial"].max() + 1, **{"method.kind": "mean & teacher"})
    text = summary(searched.layout, pd.concat([trials, twin]))
    assert "the paper’s values with method.kind = cps: mIoU" in text
    assert "the paper’s values with method.kind = mean & teacher: mIoU" in text


def test_the_flags_are_one_line_however_narrow_the_terminal(searched: Search) -> None:
    text = summary(searched.layout, searched.trials, width=50).splitlines()
    assert f"  {set_flags(searched.layout, best_of(searched)[0])}" in text


def test_a_front_has_a_line_for_each_of_its_trials(traded: Search) -> None:
    text = summary(traded.layout, traded.trials)
    front = best_of(traded)
    assert len(front) > 1
    assert all(set_flags(traded.layout, trial) in text for trial in front)


def test_the_trial_of_the_papers_values_may_be_the_only_one() -> None:
    text = summary(LAYOUT, search(1).trials)
    assert "(trial 0, the paper’s values)" in text
    assert "owes part of its value to chance" not in text


def test_before_the_first_completed_trial_the_summary_reports_that() -> None:
    text = summary(LAYOUT, pd.DataFrame())
    assert "No configuration was completed yet." in text
    assert "0.01 to 10, log" in text
