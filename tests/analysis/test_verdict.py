"""Verdicts: only a finished, comparable cell with a spread is judged."""

from __future__ import annotations

import pytest
from drawn_study import frame_of, line

from assay.analysis.filled_table import FilledCell, fill
from assay.analysis.verdict import verdict
from assay.results.layout import ColumnLayout, RowLayout, TableLayout

LAYOUT = TableLayout(name="t", title="T", rows=(RowLayout(label="r"),), columns=(ColumnLayout(label="a"),))


def cell(*seeds: dict, paper: float = 62.0, **common: object) -> FilledCell:
    lines = [
        line("t", "r", "a", number, **{"paper_miou": paper, **common, **seed}) for number, seed in enumerate(seeds)
    ]
    return next(fill(frame_of(lines), LAYOUT).cells())


DONE = ({"miou": 60.0}, {"miou": 62.0}, {"miou": 64.0})  # the interval of their mean is 57.03 to 66.97


@pytest.mark.parametrize(
    ("paper", "kind"),
    [(57.02, "above"), (57.04, "reproduced"), (62.0, "reproduced"), (66.96, "reproduced"), (66.98, "below")],
)
def test_reproduced_is_a_paper_value_inside_the_interval_of_our_mean(paper: float, kind: str) -> None:
    assert verdict(cell(*DONE, paper=paper)).kind == kind


def test_one_seed_has_no_verdict() -> None:
    assert str(verdict(cell(DONE[0]))) == "one seed: no verdict"


def test_a_cell_that_is_not_comparable_is_never_reproduced_and_names_its_deviation() -> None:
    result = verdict(cell(*DONE, comparable=False, differs="drawn textures"))
    assert str(result) == "not comparable: drawn textures"


def test_one_seed_that_is_not_comparable_makes_its_cell_not_comparable() -> None:
    assert verdict(cell(*DONE[:2], {"miou": 64.0, "comparable": False})).kind == "not comparable"


def test_a_cell_without_a_published_number_reports_that() -> None:
    assert verdict(cell(*DONE, paper=float("nan"))).text == "no published number"


@pytest.mark.parametrize("state", ["failed", "blocked", "running", "waiting"])
def test_a_cell_is_judged_only_when_all_its_seeds_are_done(state: str) -> None:
    assert verdict(cell(*DONE, {"status": state})).kind == state


def test_of_several_unfinished_states_the_worst_is_named() -> None:
    assert verdict(cell({"status": "waiting"}, {"status": "running"}, {"status": "failed"})).kind == "failed"


def test_a_cell_that_is_never_trained_is_quoted() -> None:
    lines = [line("t", "r", "a", None, paper_miou=57.6)]
    assert verdict(next(fill(frame_of(lines), LAYOUT).cells())).kind == "quoted"


def test_a_cell_with_neither_a_training_nor_a_number_is_empty() -> None:
    nothing = next(fill(frame_of([line("t", "other", "a", None, paper_miou=57.6)]), LAYOUT).cells())
    assert (verdict(nothing).kind, str(verdict(nothing))) == ("empty", "")
