"""What every quick profile trains by default."""

from __future__ import annotations

import pytest

from assay.search import Search
from assay.study import Study
from assay.study.cells import Selection, cells_of
from studies import (
    baseline_benchmark,
    baseline_search,
    mgd_ablation,
    mgd_benchmark,
    mgd_search,
    mkd_ablation,
    mkd_benchmark,
    mkd_search,
    structured_consistency_ablation,
    structured_consistency_benchmark,
    structured_consistency_search,
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
SEARCHES = [baseline_search.SEARCH, mgd_search.SEARCH, mkd_search.SEARCH, structured_consistency_search.SEARCH]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_quick_study_trains_at_least_three_seeds(study: Study) -> None:
    quick = [profile for profile in study.profiles if profile.name.startswith("quick")]
    assert study.profiles[0] in quick
    assert all(len(set(profile.seeds)) >= 3 for profile in quick)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_quick_study_has_at_most_27_trainings(study: Study) -> None:
    default = cells_of(study, study.profiles[0], Selection())
    experiments = [cell.experiment for cell in default]
    teachers = (each for of in experiments for each in getattr(of.method, "teachers", ()))
    assert len({*experiments, *teachers}) <= 27


def test_mgds_quick_comparison_has_both_teachers_and_resnet18s_rows() -> None:
    default = cells_of(mgd_benchmark.STUDY, mgd_benchmark.STUDY.profiles[0], Selection())
    rows = [row.label for row in mgd_benchmark.TABLE1.rows]
    assert list(dict.fromkeys(cell.row for cell in default)) == [label for label in rows if "MobileNet" not in label]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
def test_a_quick_search_trains_at_least_twelve_configurations_to_their_end(search: Search) -> None:
    quick = search.settings["quick"]
    assert search.profiles[0].name == "quick"
    assert quick.configurations >= 12
    assert quick.pruning is not None and quick.pruning.rungs(600, 150) == (600,)
