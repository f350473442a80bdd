"""Plans of every study and profile on the official archives' names with the published lists: every cell resolves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import full_trees
import pytest

from assay.execution.plan import Plan, make_plan
from assay.places import Places
from assay.run import run_study
from assay.store.local import LocalStore
from assay.study import Profile, Study
from assay.study.cells import Selection, cells_of
from studies import (
    baseline_benchmark,
    mgd_ablation,
    mgd_benchmark,
    mkd_ablation,
    mkd_benchmark,
    structured_consistency_ablation,
    structured_consistency_benchmark,
)

STUDIES = [
    baseline_benchmark.STUDY,
    mgd_ablation.STUDY,
    mgd_benchmark.STUDY,
    mkd_ablation.STUDY,
    mkd_benchmark.STUDY,
    structured_consistency_ablation.STUDY,
    structured_consistency_benchmark.STUDY,
]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return full_trees.write(tmp_path_factory.mktemp("trees"))


def plan(study: Study, profile: Profile, places: Places) -> Plan:
    """Return the plan of all cells of one seed; the other seeds have the same lists and files."""
    whole = dataclasses.replace(profile, tables=(), shown=(), shown_rows=())
    return make_plan(cells_of(study, whole, Selection(seeds=(0,))), LocalStore(places.data / "no results"), places)


@pytest.mark.parametrize(
    ("study", "profile"),
    [(study, profile) for study in STUDIES for profile in study.profiles],
    ids=lambda value: value.name,
)
def test_every_cell_that_is_not_only_quoted_can_be_trained(study: Study, profile: Profile, trees: Places) -> None:
    assert plan(study, profile, trees).unresolved == {}


def test_the_command_of_a_plan_on_full_trees_names_no_cell_that_waits(
    trees: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"--data-root": trees.data, "--splits": trees.splits, "--weights": trees.weights}
    flags = [text for flag, folder in folders.items() for text in (flag, str(folder))]
    command = ["--profile", "paper", "--plan", "--seeds", "0", "--gangs", "0", "--out", str(tmp_path), *flags]
    assert run_study(mgd_ablation.STUDY, command) == 0
    output = capsys.readouterr().out
    assert "31 cells are" in output
    assert not any(word in output for word in ("unresolved", "blocked", "only quoted"))
