"""Every sampler proposes inside the space, and the same again whether or not the search was cut off between."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from assay.identity import canonical
from assay.search.optuna_study import JOURNAL, OptunaStudy
from assay.search.samplers import SETTINGS, sampler
from assay.search.search import SAMPLERS
from assay.search.space import Choice, Float, Int, Point, Space, When, parameters

SPACE: Space = {
    "lr": Float(1e-4, 1.0, log=True, paper=0.1),
    "boxes": Int(1, 6),
    "method": Choice(("one", "other")),
    "weight": When("method", {"one": Float(0.0, 2.0)}),
}
OF = parameters(SPACE)
NUMBERS = OF[:2]  # CMA-ES knows no conditions


def value(point: Point) -> float:
    """Best at lr = 0.01 with three boxes and a weight of 1.5."""
    far = (math.log10(float(point["lr"])) + 2) ** 2 + (float(point["boxes"]) - 3) ** 2 / 9
    return -far - abs(float(point.get("weight | one", 0.0)) - 1.5)


def proposals(
    folder: Path, name: str, count: int, *, reopened_every: int = 1000, wish: Point | None = None
) -> list[Point]:
    """So many proposals of one sampler, each told its value."""
    found: list[Point] = []
    for number in range(count):
        if number % reopened_every == 0:
            ledger = OptunaStudy.open(folder / JOURNAL, "study", ["maximize"])
        drawer = sampler(name, 0, len(ledger.trials()))  # type: ignore[arg-type]
        told, point = ledger.propose(NUMBERS if name == "cmaes" else OF, drawer, {}, wish if number == 0 else None)
        assert told == number
        ledger.complete(told, [value(point)])
        found.append(point)
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_search_that_is_begun_anew_after_every_proposal_goes_on_as_if_it_were_not(name: str, tmp_path: Path) -> None:
    whole = proposals(tmp_path / "whole", name, 14)
    cut = proposals(tmp_path / "cut", name, 14, reopened_every=1)
    assert list(map(canonical, whole)) == list(map(canonical, cut))
    for point in whole:
        for each in NUMBERS if name == "cmaes" else OF:
            assert (each.name in point) == each.is_active(point)
            assert each.name not in point or each.domain.holds(point[each.name])
    assert len(set(map(canonical, whole))) > 10, "and does not repeat itself"


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_sampler_that_learns_ends_closer_than_it_began(name: str, tmp_path: Path) -> None:
    values = [value(point) for point in proposals(tmp_path, name, 30)]
    assert sum(values[-10:]) / 10 > sum(values[:10]) / 10 + 0.5


def test_a_wish_comes_first_and_is_taken_as_it_is(tmp_path: Path) -> None:
    wish = {"lr": 0.1, "boxes": 2, "method": "other"}
    assert proposals(tmp_path, "tpe", 2, wish=wish)[0] == wish


def test_a_wish_that_was_cut_off_before_it_was_drawn_is_drawn_once(tmp_path: Path) -> None:
    ledger = OptunaStudy.open(tmp_path / JOURNAL, "study", ["maximize"])
    wish = {"lr": 0.1, "boxes": 2, "method": "other"}
    ledger.study.enqueue_trial(wish)  # and here the process was killed
    again = OptunaStudy.open(tmp_path / JOURNAL, "study", ["maximize"])
    number, point = again.propose(OF, sampler("tpe", 0, 0), {}, wish)
    assert (number, point) == (0, wish) and len(again.trials()) == 1


def test_every_sampler_has_its_settings_written_down() -> None:
    assert set(SETTINGS) == set(SAMPLERS)
