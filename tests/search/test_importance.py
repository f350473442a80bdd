"""Importances of made-up functions, with conditional parameters, and of too few trials."""

from __future__ import annotations

import math

import optuna
import pandas as pd
import pytest
from drawn_search import search
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from assay.search import importance
from assay.search.importance import FANOVA, MIN_TRIALS, PED_ANOVA, SEED, importances

UNIT = FloatDistribution(0.0, 1.0)


def study_of(
    rows: list[tuple[dict[str, float], dict[str, BaseDistribution], list[float]]], directions: tuple[str, ...]
) -> optuna.Study:
    study = optuna.create_study(directions=list(directions))
    for params, distributions, values in rows:
        study.add_trial(create_trial(params=params, distributions=distributions, values=values))
    return study


def drawn(count: int, *values, distribution: BaseDistribution = UNIT) -> optuna.Study:
    """Return a study with points (a, b) that fill a square, and functions of them as objectives."""
    low, high = math.log(distribution.low or 1), math.log(distribution.high)
    rows = []
    for index in range(count):
        a, b = (index * 0.7548776662) % 1, (index * 0.5698402910) % 1
        point = {"a": math.exp(low + a * (high - low)) if distribution.log else a, "b": b}
        rows.append((point, {"a": distribution, "b": UNIT}, [value(a, b) for value in values]))
    return study_of(rows, ("maximize",) * len(values))


def shares(frame: pd.DataFrame, evaluator: str, objective: str = "miou") -> dict[str, float]:
    rows = frame[(frame["evaluator"] == evaluator) & (frame["objective"] == objective)]
    return dict(zip(rows["parameter"], rows["importance"], strict=True))


@pytest.mark.parametrize("evaluator", [PED_ANOVA, FANOVA])
def test_the_parameter_that_changes_the_value_is_important_and_shares_sum_to_one(evaluator: str) -> None:
    by_parameter = shares(importances(drawn(60, lambda a, b: a + 0.05 * b), ["miou"])[0], evaluator)
    assert list(by_parameter) == ["a", "b"]
    assert by_parameter["a"] > 0.8
    assert sum(by_parameter.values()) == pytest.approx(1)


@pytest.mark.parametrize("evaluator", [PED_ANOVA, FANOVA])
def test_each_objective_has_its_own_importances(evaluator: str) -> None:
    frame, _ = importances(drawn(60, lambda a, b: a, lambda a, b: b), ["miou", "cost"])
    assert next(iter(shares(frame, evaluator, "miou"))) == "a"
    assert next(iter(shares(frame, evaluator, "cost"))) == "b"


def test_equal_trials_have_equal_importances() -> None:
    study = drawn(30, lambda a, b: a * b)
    pd.testing.assert_frame_equal(importances(study, ["miou"])[0], importances(study, ["miou"])[0])


def test_numbers_are_those_of_optuna_without_logarithms() -> None:
    study = drawn(30, lambda a, b: a * a + 0.3 * b)
    frame, _ = importances(study, ["miou"])
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
    assert shares(frame, FANOVA) == pytest.approx(optuna.importance.get_param_importances(study, evaluator=evaluator))


def test_a_logarithmic_range_counts_by_its_decades() -> None:
    value = lambda a, b: (a < 0.5) + 0.2 * b  # noqa: E731  # half of the decades are the lowest hundredth of the range
    straight = shares(importances(drawn(60, value), ["miou"])[0], FANOVA)
    logged = shares(
        importances(drawn(60, value, distribution=FloatDistribution(1e-4, 1.0, log=True)), ["miou"])[0], FANOVA
    )
    assert logged == pytest.approx(straight, abs=0.03)


def test_rows_contain_the_range_the_number_of_trials_and_the_best_share() -> None:
    frame, note = importances(drawn(20, lambda a, b: a, distribution=FloatDistribution(1.0, 8.0, log=True)), ["miou"])
    row = frame[(frame["parameter"] == "a") & (frame["evaluator"] == PED_ANOVA)].iloc[0]
    assert (row["low"], row["high"], row["trials"], row["quantile"]) == (1.0, 8.0, 20, 0.25)
    assert frame[frame["evaluator"] == FANOVA]["quantile"].isna().all()
    assert note == ""


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


def test_a_repeated_configuration_counts_once() -> None:
    study = drawn(12, lambda a, b: a)
    before = importances(study, ["miou"])[0]
    first = study.trials[0]
    study.add_trial(
        create_trial(
            params=first.params, distributions=first.distributions, values=first.values, user_attrs={"repeats": 0}
        )
    )
    pd.testing.assert_frame_equal(importances(study, ["miou"])[0], before)


def test_too_few_completed_trials_give_no_rows_and_a_note() -> None:
    frame, note = importances(drawn(MIN_TRIALS - 1, lambda a, b: a), ["miou"])
    assert frame.empty
    assert f"{MIN_TRIALS} completed trials" in note
    assert note.endswith("there are 9.")


def test_equal_values_give_no_rows_and_a_note() -> None:
    frame, note = importances(drawn(12, lambda a, b: 0.5, lambda a, b: a), ["miou", "cost"])
    assert set(frame["objective"]) == {"cost"}
    assert note == "miou hardly differs between the trials: there is nothing to explain."


def test_a_conditional_parameter_is_ranked_by_ped_anova_only() -> None:
    frame, note = importances(search().study, ["miou"])
    assert "method.momentum" not in shares(frame, FANOVA)
    assert "method.momentum" in shares(frame, PED_ANOVA)
    assert note == "Not every trial has method.momentum: fANOVA does not rank such a parameter."


def test_before_optuna_5_no_evaluator_ranks_a_conditional_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna, "__version__", "4.9.0")
    frame, note = importances(search().study, ["miou"])
    assert "method.momentum" not in set(frame["parameter"])
    assert "PED-ANOVA and fANOVA do not rank" in note


def test_a_search_that_continued_in_another_range_is_ranked_over_both() -> None:
    kinds = (CategoricalDistribution(("x", "y")), CategoricalDistribution(("y", "z")))
    counts = (IntDistribution(1, 4), IntDistribution(2, 9))
    rows = [
        (
            {"a": index / 20, "n": 2 + index % 2, "k": "y"},
            {"a": FloatDistribution(0.0, 1.0 + index % 2), "n": counts[index % 2], "k": kinds[index % 2]},
            [float(index)],
        )
        for index in range(14)
    ]
    frame, _ = importances(study_of(rows, ("maximize",)), ["miou"])
    ends = frame[frame["evaluator"] == FANOVA].set_index("parameter")[["low", "high"]]
    assert ends.loc["a"].tolist() == [0.0, 2.0]
    assert ends.loc["n"].tolist() == [1.0, 9.0]
    assert ends.loc["k"].isna().all()


def test_nothing_is_printed_and_optunas_verbosity_is_restored(
    capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    study = drawn(12, lambda a, b: a)
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        importance.importances(study, ["miou"])
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert capfd.readouterr().err == ""
    assert list(recwarn) == []
