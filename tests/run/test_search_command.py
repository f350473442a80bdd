"""Searches as users run them, with real trainings of a second."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import tiny_search
from forks import start_fork
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from assay.cluster.connection import connect
from assay.cluster.ray_internals import actor_classes
from assay.errors import UserError
from assay.execution.costs import device_seconds
from assay.run import run_search, run_study
from assay.run.search_options import SearchOptions
from assay.run.search_run import SearchRun
from assay.search import Choice, Float, Int, Pruning, Search, When
from assay.store import records
from assay.store.local import LocalStore
from assay.study import Nested, Row

SCRIPT = Path(tiny_search.__file__)
SAME = ["trial", "seed", "state", "step", "pruned_at", "miou", "key", "objective/miou", "intermediate"]
SAME += ["recipe.optimizer.lr", "method", "method.weight | cps"]


def trials(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "tiny_search" / "quick" / "trials.parquet")


def studies(out: Path) -> list[optuna.Study]:
    backend = JournalFileBackend(str(out / "tiny_search" / "quick" / "optuna.journal"))
    storage = JournalStorage(backend)
    return [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]


def searched(out: Path, *flags: str, search: Search = tiny_search.SEARCH) -> int:
    return run_search(search, ["--out", str(out), "--gangs", "0", *flags])


def runs(*flags: str) -> None:
    sys.exit(run_search(tiny_search.SEARCH, ["--gangs", "0", *flags]))


def attempts(out: Path) -> list[dict[str, Any]]:
    lines = [line for path in out.glob("store/*/attempts.jsonl") for line in path.read_text().splitlines()]
    return [line for line in map(json.loads, lines) if "from_step" in line]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search, from its beginning to its end in one run."""
    out = tmp_path_factory.mktemp("whole")
    assert searched(out) == 0
    return out


def test_the_papers_own_values_come_first_and_every_parameter_is_a_column(whole: Path) -> None:
    first = trials(whole).query("trial == 0").iloc[0]
    assert (first["origin"], first["method"], first["recipe.optimizer.lr"]) == ("paper", "cps", 0.05)
    assert first["method.weight | cps"] == 1.5
    assert set(trials(whole).query("trial > 1")["origin"]) == {"sampler"}


def test_a_configuration_is_pruned_on_the_mean_over_its_seeds_and_optuna_has_it_as_pruned(whole: Path) -> None:
    (study,) = studies(whole)
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert pruned and complete and len(pruned) + len(complete) == 6
    store = LocalStore(whole / "store")
    for trial in pruned:
        at = trial.user_attrs["pruned_at"]
        assert max(trial.intermediate_values) == at < 40
        for step, mean in trial.intermediate_values.items():
            seeds = [records.scores(store, key)[step] for key in trial.user_attrs["keys"]]
            assert mean == sum(seeds) / 2
        for key in trial.user_attrs["keys"]:
            assert records.read_json(store, key, records.RESULT) is None, "it was not trained to its end"
            assert max(records.scores(store, key)) == at, "nor any further than it was decided"
    for trial in complete:
        results = [records.read_json(store, key, records.RESULT) for key in trial.user_attrs["keys"]]
        assert trial.value == sum(result["miou"] for result in results if result) / 2
        assert set(trial.intermediate_values) == {10, 20, 30, 40}


def test_a_second_run_trains_nothing_and_a_larger_budget_adds_to_it(whole: Path, tmp_path: Path) -> None:
    before, made = trials(whole)[SAME], len(attempts(whole))
    assert searched(whole) == 0 and len(attempts(whole)) == made
    pd.testing.assert_frame_equal(trials(whole)[SAME], before, check_exact=True)
    assert searched(whole, "--configurations", "7") == 0
    after = trials(whole)[SAME]
    assert len(after) == len(before) + 2
    pd.testing.assert_frame_equal(after[: len(before)], before, check_exact=True)


def test_what_another_script_trained_is_not_trained_again(whole: Path, tmp_path: Path) -> None:
    """Another search over the same store, in which the same configurations come up."""
    other = dataclasses.replace(tiny_search.SEARCH, name="other_search")
    made = len(attempts(whole))
    assert run_search(other, ["--out", str(whole), "--gangs", "0", "--configurations", "5"]) == 0
    assert len(attempts(whole)) == made


def test_the_printed_command_finds_what_the_search_trained(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert searched(whole, "--report-only") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  python studies/")]
    made = len(attempts(whole))
    assert run_study(tiny_search.STUDY, [*shlex.split(line)[2:], "--gangs", "0"]) == 0
    assert len(attempts(whole)) == made


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(whole: Path, tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(3):
        began = len(attempts(tmp_path))
        process = start_fork(runs, "--out", str(tmp_path))
        deadline = time.monotonic() + 100
        while len(attempts(tmp_path)) <= began and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(draw.uniform(0.0, 1.5))
        process.kill()
        process.join()
    assert searched(tmp_path) == 0
    mine, theirs = trials(tmp_path)[SAME], trials(whole).query("trial < 6")[SAME].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
    (study,) = studies(tmp_path)
    assert len({json.dumps(trial.params, sort_keys=True) for trial in study.trials}) == len(study.trials) == 6
    assert any(attempt["from_step"] > 0 and "run" in attempt for attempt in attempts(tmp_path))


def test_a_search_continued_with_fewer_workers_than_it_began_with_reports_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--out", str(tmp_path), "--seeds", "0", "--configurations", "1", "--set", "recipe.steps=100"]
    process = start_fork(runs, *flags)
    while process.is_alive() and not list(tmp_path.glob("store/*/checkpoint-*.pt")):
        time.sleep(0.02)
    process.kill()
    process.join()
    (file,) = tmp_path.glob("store/*/sessions.json")
    (session,) = json.loads(file.read_text())["sessions"]
    file.write_text(json.dumps({"sessions": [session | {"ranks": 999}]}))
    assert run_search(tiny_search.SEARCH, flags) == 0
    assert "begun with 999 workers, for which there is no room: goes on with 1\n" in capsys.readouterr().out


def test_two_gangs_that_share_a_configurations_seeds_find_what_one_process_finds_and_leave_the_cluster_clean(
    whole: Path, tmp_path: Path
) -> None:
    with connect(None, cpus=2) as connection:
        command = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--gangs", "2"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": connection.address}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        held, started = _held_at_the_end(), set(actor_classes())
    assert f"2 gangs of 1 worker on the Ray cluster at {connection.address}" in done.stdout
    assert held == {"groups": [], "actors": [], "free": 2.0}
    # Nobody cleans up behind a killed controller but where there is a dashboard, as a cluster may have one.
    kinds = {"Dispatcher", "TrainController", "SynchronizationActor", "RayTrainWorker", "PlacementGroupCleaner"}
    assert started - RAYS_OWN == kinds, "no helper that a gang has no use for"
    theirs = trials(whole).query("trial < 6")[SAME].reset_index(drop=True)
    pd.testing.assert_frame_equal(trials(tmp_path)[SAME], theirs, check_exact=True)
    proposed = trials(tmp_path).drop_duplicates("trial")["proposed"]
    assert proposed.is_monotonic_increasing, "every proposal is recorded in its order"


RAYS_OWN = {"_AutoscalingCoordinatorActor"}  # one for the whole cluster, which any Ray Train leaves; it holds no CPU


def _held_at_the_end() -> dict[str, Any]:
    """Return the placement groups, actors and free CPUs of a Ray once all are free, or after a minute.

    Ray needs some seconds to take back what nobody uses any more.
    """
    import ray
    from ray.util.placement_group import placement_group_table

    end = time.monotonic() + 60
    while True:
        groups = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
        actors = [name for name in actor_classes(living=True) if name not in RAYS_OWN]
        free = ray.available_resources().get("CPU")
        if time.monotonic() > end or (not groups and not actors and free == ray.cluster_resources()["CPU"]):
            return {"groups": groups, "actors": actors, "free": free}
        time.sleep(0.2)


def test_two_objectives_have_a_front_and_nothing_is_pruned(tmp_path: Path) -> None:
    search = dataclasses.replace(
        tiny_search.SEARCH, space={"net.encoder.width": Int(4, 12, step=4), "recipe.optimizer.lr": Float(0.01, 0.1)}
    )
    flags = ("--sampler", "nsga2", "--seeds", "0", "--configurations", "4")
    assert searched(tmp_path, "--objectives", "miou", "multiply_adds", *flags, search=search) == 0
    (study,) = studies(tmp_path)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials) and len(study.best_trials) >= 1
    frame = trials(tmp_path)
    by_width = frame.groupby("net.encoder.width")["objective/multiply_adds"].unique()
    assert all(len(each) == 1 for each in by_width) and by_width.explode().is_monotonic_increasing
    assert "Pareto" in (tmp_path / "tiny_search" / "quick" / "report.html").read_text()
    trained = len(attempts(tmp_path))
    assert searched(tmp_path, "--objectives", "miou", "device_seconds", *flags, search=search) == 0
    assert len(attempts(tmp_path)) == trained, "the first generation is the same"
    _, timed = studies(tmp_path)
    spent = frame.set_index("key")["device_seconds"]
    assert [trial.values[1] for trial in timed.trials] == [spent[trial.user_attrs["keys"][0]] for trial in timed.trials]


def test_a_failed_configuration_is_failed_in_optuna_and_can_be_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = dataclasses.replace(
        tiny_search.SEARCH, space={"recipe.optimizer.lr": Choice((1e30, 0.05), paper=1e30)}, row="CPS"
    )
    flags = ("--seeds", "0", "--configurations", "2")
    assert searched(tmp_path, *flags, search=search) == 1
    (study,) = studies(tmp_path)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert "NotFinite" in study.trials[0].user_attrs["error"]
    assert list(trials(tmp_path)["state"]) == ["failed", "complete"]
    assert searched(tmp_path, *flags, search=search) == 1, "it is left alone"
    assert len(studies(tmp_path)[0].trials) == 2
    assert searched(tmp_path, *flags, "--retry-failed", search=search) == 1
    (study,) = studies(tmp_path)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "FAIL"]
    assert study.trials[2].user_attrs["origin"] == "again"


def test_a_space_that_is_used_up_ends_the_search(tmp_path: Path) -> None:
    search = dataclasses.replace(tiny_search.SEARCH, space={"method.weight": Choice((0.5, 1.5), paper=1.5)})
    flags = ("--seeds", "0", "--configurations", "50", "--pruner", "none", "--set", "recipe.steps=10")
    assert searched(tmp_path, *flags, search=search) == 0
    assert sorted(trials(tmp_path)["method.weight"]) == [0.5, 1.5]


def test_a_grid_is_worked_off_in_its_order(tmp_path: Path) -> None:
    search = dataclasses.replace(
        tiny_search.SEARCH,
        space={"method.weight": Float(0.5, 1.5), "method.on_labeled": Choice((True, False))},
        sampler="grid",
        grid_points=2,
    )
    flags = ("--seeds", "0", "--pruner", "none", "--configurations", "20", "--set", "recipe.steps=10")
    assert searched(tmp_path, *flags, search=search) == 0
    frame = trials(tmp_path)
    tried = list(zip(frame["method.weight"], frame["method.on_labeled"], strict=True))
    assert {(0.5, "True"), (0.5, "False"), (1.5, "True"), (1.5, "False")} <= {(a, str(b)) for a, b in tried}
    assert len(tried) == len(set(tried)) == 4 and tried[0] == (1.5, "True"), "the study's own values come first"


def test_a_budget_of_time_begins_no_other_configuration(tmp_path: Path) -> None:
    flags = ("--seeds", "0", "--pruner", "none", "--set", "recipe.steps=10")
    assert searched(tmp_path, *flags, "--hours", "1e-9") == 0
    assert list(trials(tmp_path)["trial"]) == [0], "hours begin with the first training, however late a worker comes"
    assert searched(tmp_path, *flags, "--hours", "1e-9") == 0
    assert list(trials(tmp_path)["trial"]) == [0, 1], "of each run"
    assert searched(tmp_path / "other", *flags, "--device-hours", "1e-9") == 0
    assert list(trials(tmp_path / "other")["trial"]) == [0], "what it had cost was known after the first"


def test_a_value_between_those_that_were_tried_may_be_refused_and_the_search_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"recipe.labeled_batch": Int(2, 100)}  # the fifty even values are tried before the search
    search = dataclasses.replace(tiny_search.SEARCH, space=space, sampler="random")
    flags = ("--seeds", "0", "--configurations", "5", "--set", "recipe.accumulate=2", "--set", "recipe.steps=1")
    assert searched(tmp_path, *flags, search=search) == 1
    assert "failed: " in capsys.readouterr().out
    frame = trials(tmp_path)
    assert {"complete", "failed"} == set(frame["state"]) and len(frame) == 5
    refused = frame[frame["state"] == "failed"]
    assert (refused["recipe.labeled_batch"] % 2 == 1).all() and (refused["key"] == "").all()
    assert refused["error"].str.contains("accumulate").all()
    assert searched(tmp_path, *flags, search=search) == 1, "and it can be started again"
    assert len(trials(tmp_path)) == 5


def test_a_search_without_new_configurations_reports_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = dataclasses.replace(tiny_search.SEARCH, space={"net.encoder.width": Choice((4, 8))})
    flags = ("--seeds", "0", "--configurations", "50", "--set", "recipe.steps=1")
    for _ in range(2):
        assert searched(tmp_path, *flags, search=search) == 0
        assert "finds no new configuration: 2 were proposed, of 2 in all" in capsys.readouterr().out
        (study,) = studies(tmp_path)
        assert len(study.trials) < 20


def test_an_objective_other_than_miou_is_not_pruned_and_reports_no_intermediate_values(tmp_path: Path) -> None:
    search = dataclasses.replace(tiny_search.SEARCH, space={"net.encoder.width": Choice((4, 8))})
    flags = ("--seeds", "0", "--configurations", "2", "--set", "recipe.steps=20", "--objectives", "parameters")
    assert searched(tmp_path, *flags, search=search) == 0
    (study,) = studies(tmp_path)
    assert [trial.intermediate_values for trial in study.get_trials(states=(TrialState.COMPLETE,))] == [{}, {}]
    assert study.best_params == {"net.encoder.width": 4}


def test_what_configurations_stand_on_is_trained_once_and_counts_for_the_budget(tmp_path: Path) -> None:
    (table,) = tiny_search.STUDY.tables
    row = Row("CPS", {"method": "pseudo_label", "method.pseudo": Nested({"method": "supervised"})})
    study = dataclasses.replace(tiny_search.STUDY, tables=(dataclasses.replace(table, rows=(row,)),))
    search = dataclasses.replace(tiny_search.SEARCH, study=study, space={"method.weight": Float(0.1, 1.0)})
    flags = ("--seeds", "0", "--configurations", "2", "--pruner", "none", "--set", "recipe.steps=2")
    assert searched(tmp_path, *flags, search=search) == 0
    (optuna_study,) = studies(tmp_path)
    (below,) = {key for trial in optuna_study.trials for key in trial.user_attrs["stand on"]}
    trained = {path.parent.name for path in tmp_path.glob("store/*/result.json")}
    assert trained == {below, *trials(tmp_path)["key"]} and len(trained) == 3
    store = LocalStore(tmp_path / "store")
    hours = (sum(device_seconds(store, key) for key in trained) - device_seconds(store, below) / 2) / 3600
    more = (*flags, "--configurations", "3", "--device-hours", str(hours))  # what the two took alone is less
    assert searched(tmp_path, *more, search=search) == 0
    assert list(trials(tmp_path)["trial"]) == [0, 1]
    # A later run stands on what an earlier one trained, which is no task of its own.
    assert searched(tmp_path, *flags, "--configurations", "3", search=search) == 0
    assert list(trials(tmp_path)["state"]) == ["complete"] * 3
    assert {path.parent.name for path in tmp_path.glob("store/*/result.json")} == {below, *trials(tmp_path)["key"]}


OWN = dataclasses.replace(
    tiny_search.STUDY, tables=(dataclasses.replace(tiny_search.STUDY.tables[0], name="own.table1"),)
)
BAD: Mapping[str, tuple[dict[str, Any], tuple[str, ...], str]] = {
    "a path that does not exist": ({"space": {"method.wieght": Float(0.1, 1.0)}}, (), "has no field 'wieght'"),
    "an empty range": ({"space": {"method.weight": Float(1.0, 1.0)}}, (), "range is empty"),
    "a value the method refuses": ({"space": {"method.weight": Float(-1.0, 1.0)}}, (), "weight must be in [0, inf)"),
    "a type the method refuses": ({"space": {"method.weight": Choice(("much", "little"))}}, (), "value 'much'"),
    "what nothing reads": (
        {"space": {"method.on_labeled": Choice((True, False))}},
        ("--set", "method=supervised"),
        "has no field 'on_labeled'",
    ),
    "an unknown objective": ({"objectives": ("speed",)}, (), "there is no objective 'speed'"),
    "an unknown objective by flag": ({}, ("--objectives", "muoi"), "there is no objective 'muoi'"),
    "two objectives and a pruner": ({}, ("--objectives", "miou", "parameters", "--pruner", "asha"), "no single order"),
    "a table of no paper": ({"study": OWN, "table": "own.table1"}, (), "no paper has a table 'own.table1'"),
    "an unknown row": ({"row": "CSP"}, (), "no row 'CSP'"),
    "a set path that is explored": (
        {},
        ("--set", "recipe.optimizer.lr=0.1"),
        "the search explores recipe.optimizer.lr",
    ),
    "a number of steps": (
        {"space": {"recipe.steps": Choice((20, 40))}},
        (),
        "trained for 20 steps and the search's base for 40",
    ),
    "evaluations at other steps than the rungs": (
        {"space": {"recipe.evaluation.every": Choice((5, 10))}},
        (),
        "evaluated every 5 steps and the search's base every 10",
    ),
    "a whole number between the ends that the recipe refuses": (
        {"space": {"recipe.labeled_batch": Int(2, 8)}},
        ("--set", "recipe.accumulate=2"),
        "the space at 'recipe.labeled_batch', value 3",
    ),
    "a share of labels that there is not": (
        {"space": {"data.split.labeled": Choice(("1/4", "1/5000th"))}},
        (),
        "the space at 'data.split.labeled', value '1/5000th'",
    ),
    "a seed for all": ({}, ("--set", "seed=7"), "with the same seeds; choose them with --seeds"),
    "one objective that evaluations say nothing of": (
        {"objectives": ("parameters",), "pruning": Pruning()},
        (),
        "measure mIoU and not parameters, so there is nothing to prune by",
    ),
    "two objectives and CMA-ES": (
        {"space": {"recipe.optimizer.lr": Float(0.01, 0.1), "method.weight": Float(0.1, 1.0)}},
        ("--sampler", "cmaes", "--objectives", "miou", "parameters"),
        "sampler cmaes takes one objective",
    ),
    "a condition by its path alone": (
        {
            "space": {
                "method": Choice(("cps", "supervised")),
                "method.cutmix": When("method", {"cps": Choice((None, "boxes"))}),
                "method.cutmix.num_boxes": When("method.cutmix", {"boxes": Int(1, 3)}),
            }
        },
        (),
        "whole name of an earlier parameter: 'method', 'method.cutmix | cps'",
    ),
    "conditions and CMA-ES": ({}, ("--sampler", "cmaes"), "no conditions"),
    "no configurations": ({}, ("--configurations", "-3"), "--configurations must be above 0"),
    "an unknown profile": ({}, ("--profile", "qick"), "no profile 'qick'"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_search_ends_before_anything_is_written(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, flags, message = BAD[what]
    out = tmp_path / "out"
    assert searched(out, *flags, search=dataclasses.replace(tiny_search.SEARCH, **changed)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "Traceback" not in error
    assert not out.exists()


def test_a_parameter_that_nothing_reads_beside_the_rest_is_refused() -> None:
    search = dataclasses.replace(
        tiny_search.SEARCH,
        study=dataclasses.replace(
            tiny_search.STUDY,
            tables=(
                dataclasses.replace(
                    tiny_search.STUDY.tables[0],
                    rows=(
                        dataclasses.replace(
                            tiny_search.STUDY.tables[0].rows[0], changes={"method": "mkd", "method.teaching": "none"}
                        ),
                    ),
                ),
            ),
        ),
        space={"method.momentum": Float(0.1, 0.9)},
    )
    from assay.run.search_flags import parser

    search_run = SearchRun.make(search, SearchOptions.parse(parser(search).parse_args([])))
    with pytest.raises(UserError, match="every value gives the same experiment"):
        search_run.configurations.check()


def test_only_one_process_at_a_time_leads_a_search(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from assay.search.study_selection import CLAIM
    from assay.store.claims import acquire

    with acquire(LocalStore(whole / "tiny_search" / "quick"), CLAIM):
        assert searched(whole) == 2
    assert "another process leads this search" in capsys.readouterr().err


def test_a_journal_that_a_kill_cut_off_is_mended(whole: Path) -> None:
    journal = whole / "tiny_search" / "quick" / "optuna.journal"
    before = trials(whole)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_')
    assert searched(whole, "--report-only") == 0
    pd.testing.assert_frame_equal(trials(whole), before)


def test_a_plan_writes_nothing(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = whole / "tiny_search" / "quick" / "optuna.journal"
    before = journal.read_bytes()
    assert searched(whole, "--plan") == 0 and searched(tmp_path / "new", "--plan") == 0
    assert searched(whole, "--plan", "--objectives", "parameters") == 0, "there is no study of this objective yet"
    assert journal.read_bytes() == before and not (tmp_path / "new").exists()
    assert "proposed so far" in capsys.readouterr().out


def test_conditional_parameters_are_missing_where_they_are_not_drawn(whole: Path) -> None:
    frame = trials(whole)
    assert frame.query("method == 'supervised'")["method.weight | cps"].isna().all()
    assert frame.query("method == 'cps'")["method.weight | cps"].notna().all()
    assert isinstance(tiny_search.SEARCH.space["method.weight"], When)
