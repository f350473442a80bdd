"""Columns that show the IoU of one class of a training, beside a column of its mIoU."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from page_parser import Page

from assay.analysis.filled_table import FilledTable, fill
from assay.analysis.orderings import orderings_of
from assay.presets import quick
from assay.report.csv_table import csv
from assay.report.text_tables import latex, markdown, terminal
from assay.report.write import write_report
from assay.results.layout import ColumnLayout, RowLayout, StudyLayout, TableLayout
from assay.study import Profile, Row, Study, Table
from assay.study.cells import Selection, cells_of
from assay.study.layouts import layout_of

from drawn_study import frame_of, line  # isort: skip

CLASSES = ("road", "wall", "train")
IOU = {0: (90.0, 40.0, None), 1: (92.0, 60.0, None)}  # by seed; no image has a train
LAYOUT = TableLayout(
    name="drawn.table1",
    title="Classes",
    rows=(RowLayout(label="PSPNet"), RowLayout(label="Ours"), RowLayout(label="Plain")),
    columns=(
        *(ColumnLayout(label=name, of_class=name) for name in CLASSES),
        ColumnLayout(label="mIoU"),
    ),
    reference="Plain",
)


def results() -> pd.DataFrame:
    """Return two seeds of two trained rows, each a single training in all columns, and a quoted row."""
    lines = []
    for place, column in enumerate((*CLASSES, "mIoU")):
        lines.append(line("drawn.table1", "PSPNet", column, None, paper_miou=70.0 + place))
        for row, less in (("Ours", 0.0), ("Plain", 5.0)):
            for seed, iou in IOU.items():
                shares = [None if share is None else share - less for share in iou]
                known = [share for share in shares if share is not None]
                numbers = {"miou": sum(known) / 2, "miou_best": 99.0, "iou": shares, "classes": list(CLASSES)}
                key, paper = f"{row}-{seed}", 80.0 + place if row == "Ours" else float("nan")
                lines.append(line("drawn.table1", row, column, seed, key=key, paper_miou=paper, **numbers))
    return frame_of(lines)


@pytest.fixture(scope="module")
def filled() -> FilledTable:
    return fill(results(), LAYOUT)


def test_a_column_of_a_class_has_its_iou_and_no_best_checkpoint(filled: FilledTable) -> None:
    _, ours, _ = filled.rows
    road, wall, train, miou = ours
    assert [cell.last.mean for cell in ours] == [91.0, 50.0, None, 70.5]
    assert [cell.best.mean for cell in ours] == [None, None, None, 99.0]
    assert train.done == 2, "a class without pixels is no failure"
    assert (road.paper, road.delta) == (80.0, 11.0)
    assert miou.by_seed() == {0: 65.0, 1: 76.0} and wall.by_seed() == {0: 40.0, 1: 60.0}


def test_classes_are_compared_with_the_reference_row(filled: FilledTable) -> None:
    comparison = filled.rows[1][1].comparison
    assert comparison is not None and comparison.paired.mean == 5.0 and comparison.paired.n == 2


def test_columns_of_classes_are_not_merged_and_have_no_orderings(filled: FilledTable) -> None:
    assert [column.label for column in filled.merged().layout.columns] == [*CLASSES, "mIoU"]
    assert {column.column for column in orderings_of(filled.merged())} <= {"mIoU"}


def test_the_texts_show_one_number_of_a_class_beside_the_quoted_ones(filled: FilledTable) -> None:
    (head,) = (text for text in markdown(filled).splitlines() if text.startswith("|  | road"))
    assert head == "|  | road IoU | wall IoU | train IoU | mIoU paper | mIoU ours | mIoU Δ | mIoU verdict |"
    rows = [text for text in markdown(filled).splitlines() if re.match(r"\| (PSPNet|Ours|Plain) \|", text)]
    assert rows[0].startswith("| PSPNet | 70.00 | 71.00 | 72.00 | 73.00 |")
    assert rows[1].startswith("| Ours | 91.00 (80.00) | 50.00 (81.00) | – (82.00) | 83.00 | 70.50")
    assert rows[2].startswith("| Plain | 86.00 | 45.00 | – | – | 65.50")
    tex = latex(filled)
    assert r"\multicolumn{1}{c}{road}" in tex and r"\begin{tabular}{lrrrrrrl}" in tex
    assert "the class's IoU" in markdown(filled)


@pytest.mark.parametrize("width", [160, 60])
def test_the_terminal_shows_classes_side_by_side_or_one_below_the_other(filled: FilledTable, width: int) -> None:
    text = terminal(filled, width=width)
    assert all(len(printed) <= width for printed in text.splitlines())
    fields = [re.split(r"\s*[│┃]\s*", printed.strip()) for printed in text.splitlines()]
    if width == 160:
        assert ["Ours", "91.00 (80.00)", "50.00 (81.00)", "– (82.00)"] in [row[:4] for row in fields]
    else:
        assert ["road", "91.00 (80.00)", "86.00"] in fields and ["IoU", "Ours", "Plain"] in fields


def test_the_page_shows_all_columns_and_figures_of_miou_alone(tmp_path: Path) -> None:
    layout = StudyLayout(name="drawn", title="Drawn", profile="quick", tables=(LAYOUT,))
    history = pd.DataFrame(columns=["key", "step", "name", "value"])
    paths = write_report(results(), layout, history=lambda keys: history, panel=lambda key: None, folder=tmp_path)
    assert {path.name for path in paths if path.suffix == ".svg"} == {"drawn.table1.paper.4-miou.svg"}
    heads, *rows = Page((tmp_path / "report.html").read_text(encoding="utf-8")).tables["Results: Classes"]
    assert heads == ["", *CLASSES, "mIoU"]
    ours = next(row for row in rows if row[0].startswith("Ours"))
    assert "91.00" in ours[1] and "best" not in ours[1] and "best 99.00" in ours[4]


def test_the_csv_has_the_iou_of_a_class_in_its_line(filled: FilledTable) -> None:
    lines = [text.split(",") for text in csv(filled).splitlines()]
    at = lines[0].index("miou")
    assert {text[2]: text[at] for text in lines if text[1] == "Ours"}["wall"] == "50.0"


def test_a_profile_names_the_class_of_a_column_and_equal_columns_show_the_same_measure() -> None:
    table = Table(name="mkd.table4", columns=("road", "wall", "a", "b"), rows=(Row("x", {"method": "supervised"}),))
    columns: dict[str, dict[str, object]] = {column: {} for column in table.columns}
    profile = Profile(
        name="p", note="", start=quick, columns=columns, classes={"road": "disc", "mkd.table4/wall": "ring"}
    )
    study = Study(name="s", title="S", tables=(table,), profiles=(profile,))
    study.check()
    laid_out = layout_of(study, profile)
    assert [column.of_class for column in laid_out.tables[0].columns] == ["disc", "ring", "", ""]
    assert [column.same_as for column in laid_out.tables[0].columns] == [(), (), ("b",), ("a",)]
    assert StudyLayout.from_json(laid_out.to_json()) == laid_out
    cells = cells_of(study, profile, Selection(seeds=(0,)))
    assert len({cell.experiment for cell in cells}) == 1, "columns of classes cost no training"
