"""Samplers: proposals inside the space, and the same ones after an interruption."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from assay.identity import canonical
from assay.results.search_folder import JOURNAL
from assay.search.optuna_study import OptunaStudy
from assay.search.samplers import SETTINGS, sampler
from assay.search.search import SAMPLERS
from assay.search.space import Choice, Float, Int, Point, Space, When, parameters_of

SPACE: Space = {
    "lr": Float(1e-4, 1.0, log=True, paper=0.1),
    "boxes": Int(1, 6),
    "method": Choice(("one", "other")),
    "weight": When("method", {"one": Float(0.0, 2.0)}),
}
PARAMETERS = parameters_of(SPACE)
NUMBERS = PARAMETERS[:2]  # CMA-ES has no conditions


def value(point: Point) -> float:
    """Return a made-up value: best at lr = 0.01 with three boxes and a weight of 1.5."""
    distance = (math.log10(float(point["lr"])) + 2) ** 2 + (float(point["boxes"]) - 3) ** 2 / 9
    return -distance - abs(float(point.get("weight | one", 0.0)) - 1.5)


def proposals(
    folder: Path, name: str, count: int, *, reopened_every: int = 1000, initial: Point | None = None
) -> list[Point]:
    """Return `count` proposals of a sampler; each one is completed with its value before the next."""
    points: list[Point] = []
    for number in range(count):
        if number % reopened_every == 0:
            optuna_study = OptunaStudy.open(folder / JOURNAL, "study", ["maximize"])
        own_sampler = sampler(name, 0, len(optuna_study.trials()))  # type: ignore[arg-type]
        parameters = NUMBERS if name == "cmaes" else PARAMETERS
        proposed, point = optuna_study.propose(parameters, own_sampler, {}, initial if number == 0 else None)
        assert proposed == number
        optuna_study.complete(number, [value(point)])
        points.append(point)
    return points


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_search_that_is_reopened_after_every_proposal_has_the_same_proposals(name: str, tmp_path: Path) -> None:
    whole = proposals(tmp_path / "whole", name, 14)
    cut = proposals(tmp_path / "cut", name, 14, reopened_every=1)
    assert list(map(canonical, whole)) == list(map(canonical, cut))
    for point in whole:
        for parameter in NUMBERS if name == "cmaes" else PARAMETERS:
            assert (parameter.name in point) == parameter.is_active(point)
            assert parameter.name not in point or parameter.domain.contains(point[parameter.name])
    assert len(set(map(canonical, whole))) > 10, "and few proposals are repeated"


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_model_based_sampler_improves(name: str, tmp_path: Path) -> None:
    values = [value(point) for point in proposals(tmp_path, name, 30)]
    assert sum(values[-10:]) / 10 > sum(values[:10]) / 10 + 0.5


def test_the_initial_configuration_comes_first_and_unchanged(tmp_path: Path) -> None:
    initial = {"lr": 0.1, "boxes": 2, "method": "other"}
    assert proposals(tmp_path, "tpe", 2, initial=initial)[0] == initial


def test_an_initial_configuration_is_drawn_once_although_its_process_ended_before(tmp_path: Path) -> None:
    optuna_study = OptunaStudy.open(tmp_path / JOURNAL, "study", ["maximize"])
    initial = {"lr": 0.1, "boxes": 2, "method": "other"}
    optuna_study.study.enqueue_trial(initial)  # here the process was killed
    reopened = OptunaStudy.open(tmp_path / JOURNAL, "study", ["maximize"])
    number, point = reopened.propose(PARAMETERS, sampler("tpe", 0, 0), {}, initial)
    assert (number, point) == (0, initial) and len(reopened.trials()) == 1


def test_every_sampler_has_explicit_settings() -> None:
    assert set(SETTINGS) == set(SAMPLERS)
