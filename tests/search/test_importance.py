"""Importances: of known functions, over what every trial has, and not at all where nothing can be said."""

from __future__ import annotations

import math

import optuna
import pandas as pd
import pytest
from drawn_search import search
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from assay.search import importance
from assay.search.importance import FANOVA, LEAST, PED_ANOVA, SEED, importances

UNIT = FloatDistribution(0.0, 1.0)


def study_of(
    rows: list[tuple[dict[str, float], dict[str, BaseDistribution], list[float]]], directions: tuple[str, ...]
) -> optuna.Study:
    made = optuna.create_study(directions=list(directions))
    for params, distributions, values in rows:
        made.add_trial(create_trial(params=params, distributions=distributions, values=values))
    return made


def drawn(count: int, *values, distribution: BaseDistribution = UNIT) -> optuna.Study:
    """Points a and b that fill a square, with functions of them as the objectives."""
    low, high = math.log(distribution.low or 1), math.log(distribution.high)
    rows = []
    for at in range(count):
        a, b = (at * 0.7548776662) % 1, (at * 0.5698402910) % 1
        point = {"a": math.exp(low + a * (high - low)) if distribution.log else a, "b": b}
        rows.append((point, {"a": distribution, "b": UNIT}, [value(a, b) for value in values]))
    return study_of(rows, ("maximize",) * len(values))


def shares(frame: pd.DataFrame, evaluator: str, objective: str = "miou") -> dict[str, float]:
    own = frame[(frame["evaluator"] == evaluator) & (frame["objective"] == objective)]
    return dict(zip(own["parameter"], own["importance"], strict=True))


@pytest.mark.parametrize("evaluator", [PED_ANOVA, FANOVA])
def test_what_moves_the_value_is_important_and_the_shares_are_of_one_whole(evaluator: str) -> None:
    found = shares(importances(drawn(60, lambda a, b: a + 0.05 * b), ["miou"])[0], evaluator)
    assert list(found) == ["a", "b"]
    assert found["a"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("evaluator", [PED_ANOVA, FANOVA])
def test_each_objective_has_its_own_importances(evaluator: str) -> None:
    frame, _ = importances(drawn(60, lambda a, b: a, lambda a, b: b), ["miou", "cost"])
    assert next(iter(shares(frame, evaluator, "miou"))) == "a"
    assert next(iter(shares(frame, evaluator, "cost"))) == "b"


def test_equal_trials_have_equal_importances() -> None:
    study = drawn(30, lambda a, b: a * b)
    pd.testing.assert_frame_equal(importances(study, ["miou"])[0], importances(study, ["miou"])[0])


def test_numbers_are_optunas_own_where_nothing_has_a_logarithm() -> None:
    study = drawn(30, lambda a, b: a * a + 0.3 * b)
    frame, _ = importances(study, ["miou"])
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
    assert shares(frame, FANOVA) == pytest.approx(optuna.importance.get_param_importances(study, evaluator=evaluator))


def test_a_range_with_log_counts_by_its_decades() -> None:
    value = lambda a, b: (a < 0.5) + 0.2 * b  # noqa: E731  # half of the decades are the lowest hundredth of the range
    straight = shares(importances(drawn(60, value), ["miou"])[0], FANOVA)
    logged = shares(
        importances(drawn(60, value, distribution=FloatDistribution(1e-4, 1.0, log=True)), ["miou"])[0], FANOVA
    )
    assert logged == pytest.approx(straight, abs=0.03)


def test_ranges_numbers_and_the_best_share_stand_beside_the_importances() -> None:
    frame, said = importances(drawn(20, lambda a, b: a, distribution=FloatDistribution(1.0, 8.0, log=True)), ["miou"])
    line = frame[(frame["parameter"] == "a") & (frame["evaluator"] == PED_ANOVA)].iloc[0]
    assert (line["low"], line["high"], line["trials"], line["quantile"]) == (1.0, 8.0, 20, 0.25)
    assert frame[frame["evaluator"] == FANOVA]["quantile"].isna().all()
    assert said == ""


def test_only_completed_trials_count() -> None:
    study = drawn(12, lambda a, b: a)
    before = importances(study, ["miou"])[0]
    for state in (TrialState.PRUNED, TrialState.FAIL):
        study.add_trial(
            create_trial(
                state=state, params={"a": 0.5, "b": 0.5}, distributions={"a": UNIT, "b": UNIT},
                intermediate_values={1: 99.0},
            )
        )  # fmt: skip
    pd.testing.assert_frame_equal(importances(study, ["miou"])[0], before)


def test_a_configuration_that_was_proposed_again_counts_once() -> None:
    study = drawn(12, lambda a, b: a)
    before = importances(study, ["miou"])[0]
    first = study.trials[0]
    study.add_trial(
        create_trial(
            params=first.params, distributions=first.distributions, values=first.values, user_attrs={"repeats": 0}
        )
    )
    pd.testing.assert_frame_equal(importances(study, ["miou"])[0], before)


def test_few_completed_trials_say_nothing_and_why() -> None:
    frame, said = importances(drawn(LEAST - 1, lambda a, b: a), ["miou"])
    assert frame.empty
    assert f"{LEAST} completed trials" in said
    assert said.endswith("there are 9.")


def test_equal_values_say_nothing_and_why() -> None:
    frame, said = importances(drawn(12, lambda a, b: 0.5, lambda a, b: a), ["miou", "cost"])
    assert set(frame["objective"]) == {"cost"}
    assert said == "miou hardly differs between the trials: there is nothing to explain."


def test_a_conditional_parameter_is_ranked_by_who_can() -> None:
    frame, said = importances(search().study, ["miou"])
    assert "method.momentum" not in shares(frame, FANOVA)
    assert "method.momentum" in shares(frame, PED_ANOVA)
    assert said == "Not every trial has method.momentum: fANOVA does not rank such a parameter."


def test_before_optuna_5_nobody_ranks_a_conditional_parameter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optuna, "__version__", "4.9.0")
    frame, said = importances(search().study, ["miou"])
    assert "method.momentum" not in set(frame["parameter"])
    assert "PED-ANOVA and fANOVA do not rank" in said


def test_a_search_that_went_on_in_another_range_is_ranked_over_both() -> None:
    kinds = (CategoricalDistribution(("x", "y")), CategoricalDistribution(("y", "z")))
    counts = (IntDistribution(1, 4), IntDistribution(2, 9))
    rows = [
        (
            {"a": at / 20, "n": 2 + at % 2, "k": "y"},
            {"a": FloatDistribution(0.0, 1.0 + at % 2), "n": counts[at % 2], "k": kinds[at % 2]},
            [float(at)],
        )
        for at in range(14)
    ]
    frame, _ = importances(study_of(rows, ("maximize",)), ["miou"])
    ends = frame[frame["evaluator"] == FANOVA].set_index("parameter")[["low", "high"]]
    assert ends.loc["a"].tolist() == [0.0, 2.0]
    assert ends.loc["n"].tolist() == [1.0, 9.0]
    assert ends.loc["k"].isna().all()


def test_nothing_is_said_on_the_way(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    study = drawn(12, lambda a, b: a)
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        importance.importances(study, ["miou"])
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert capfd.readouterr().err == ""
    assert list(recwarn) == []
