"""The data and networks that columns of PASCAL VOC's tables stand for."""

from __future__ import annotations

import pytest

from assay.experiment import Experiment
from assay.study.cells import Selection, cells_of, profile_of
from assay.study.tables import Study
from studies import baseline_benchmark, mkd_ablation, mkd_benchmark
from studies.recipes.columns import FEW_LABELS, MANY_LABELS, MANY_LABELS_BY_ENCODER, drawn, many_labels, share_of


def test_the_share_of_a_column_is_found_with_and_without_a_network_before_it() -> None:
    assert [share_of(column) for column in FEW_LABELS] == ["1/16", "1/8", "1/4", "1/2", "Full"]
    assert [share_of(column) for column in MANY_LABELS_BY_ENCODER] == ["1/16", "1/8", "1/4", "1/2"] * 2


def test_the_full_share_is_all_labels_on_any_data() -> None:
    assert drawn("Full(1464)") == {"data.split.labeled": "all"}
    assert drawn("R101 1/4(2646)") == drawn(MANY_LABELS[2]) == {"data.split.labeled": "1/4"}


@pytest.mark.parametrize(
    ("column", "network"),
    [
        ("1/8(1323)", {}),
        ("R50 1/8(1323)", {"net.encoder.arch": "resnet50"}),
        ("R101 1/8(1323)", {"net.encoder.arch": "resnet101"}),
    ],
)
def test_the_cps_authors_lists_come_with_the_network_that_a_column_names(
    column: str, network: dict[str, object]
) -> None:
    lists = {"data.split.labeled": "cps/voc/train_aug_labeled_1-8.txt", "data.split.unlabeled": "rest"}
    assert many_labels(column) == lists | network


def by_paper(study: Study, table: str) -> dict[tuple[str, str], Experiment]:
    """Return the paper profile's experiments of a table, by the paper's names of their row and column."""
    printed = {row.label: row.paper for of in study.tables if of.name == table for row in of.rows}
    cells = cells_of(study, profile_of(study, "paper"), Selection(tables=(table,), seeds=(0,)))
    return {(str(printed[cell.row]), cell.column): cell.experiment for cell in cells if printed[cell.row]}


@pytest.mark.parametrize("table", ["mkd.table1", "mkd.table2"])
def test_cells_of_the_baselines_are_the_same_experiments_in_the_comparison(table: str) -> None:
    baselines, compared = by_paper(baseline_benchmark.STUDY, table), by_paper(mkd_benchmark.STUDY, table)
    assert len(baselines) == {"mkd.table1": 4 * 5, "mkd.table2": 5 * 8}[table]
    assert baselines == {place: compared[place] for place in baselines}


@pytest.mark.parametrize("study", [baseline_benchmark.STUDY, mkd_ablation.STUDY, mkd_benchmark.STUDY])
@pytest.mark.parametrize("profile", ["quick", "camvid"])
def test_profiles_whose_unlabelled_images_include_the_labelled_ones_have_a_note(study: Study, profile: str) -> None:
    of = profile_of(study, profile)
    assert {cell.experiment.data.split.unlabeled for cell in cells_of(study, of, Selection())} == {"train"}
    assert "unlabelled images are all of the training set" in of.note


@pytest.mark.parametrize("profile", ["quick", "camvid"])
def test_all_studies_of_mkd_train_the_same_experiment_on_other_data(profile: str) -> None:
    place = {"columns": ("1/16(92)",), "seeds": (0,)}
    ablated, compared = (
        cells_of(study, profile_of(study, profile), Selection(tables=(table,), rows=(row,), **place))[0].experiment
        for study, table, row in (
            (mkd_ablation.STUDY, "mkd.table6", "SN"),
            (mkd_benchmark.STUDY, "mkd.table1.dagger", "Ours-R101 † *"),
        )
    )
    assert ablated == compared
