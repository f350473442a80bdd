"""What a column of PASCAL VOC's tables means."""

from __future__ import annotations

import pytest

from studies.shared import FEW_LABELS, MANY_LABELS, MANY_LABELS_BY_ENCODER, drawn, many_labels, share_of


def test_a_column_names_a_share_with_or_without_a_network_before_it() -> None:
    assert [share_of(column) for column in FEW_LABELS] == ["1/16", "1/8", "1/4", "1/2", "Full"]
    assert [share_of(column) for column in MANY_LABELS_BY_ENCODER] == ["1/16", "1/8", "1/4", "1/2"] * 2


def test_full_is_all_labels_on_any_data() -> None:
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
