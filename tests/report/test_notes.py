"""The notes below a table."""

from __future__ import annotations

import dataclasses

import pytest
from drawn_study import Study, frame_of, line

from assay.analysis.filled_table import FilledTable, fill
from assay.report.notes import most_important_notes, notes
from assay.results.layout import ColumnLayout, RowLayout, TableLayout


def equal_rows(row_notes: tuple[str, ...] = (), *, differs: str, keys: tuple[str, ...] = ("k", "k")) -> FilledTable:
    """Return a table of the rows "all" and "+ FDA" with these keys in the columns "a" and "b"."""
    rows = (RowLayout(label="all", notes=row_notes), RowLayout(label="+ FDA"))
    columns = (ColumnLayout(label="a"), ColumnLayout(label="b"))
    lines = [
        line("t", row.label, column, 0, miou=50.0, comparable=not differs, differs=differs, key=key)
        for column, first in zip("ab", ("k", keys[1]), strict=True)
        for row, key in zip(rows, (first, "k"), strict=True)
    ]
    return fill(frame_of(lines), TableLayout(name="t", title="T", rows=rows, columns=columns, reference="all"))


def test_a_note_names_the_subject_of_the_sizes_and_their_images(study: Study) -> None:
    methods, networks = (notes(fill(study.frame, layout)) for layout in study.layout.tables)
    (note,) = (text for text in networks if "Params" in text)
    assert "of the encoder alone" in note
    assert "trained here, on 32x32; the paper’s are on 512x512: not to be compared." in note
    assert not any("Params" in text for text in methods)


def test_sizes_for_equal_images_are_comparable(study: Study) -> None:
    frame = study.frame.assign(crop="512x512")
    (note,) = (text for text in notes(fill(frame, study.layout.tables[1])) if "Params" in text)
    assert note.endswith("trained here; both are for images of 512x512.")


def test_a_note_names_results_that_are_older_than_the_counting(study: Study) -> None:
    frame = study.frame.assign(encoder_macs=float("nan"))
    (note,) = (text for text in notes(fill(frame, study.layout.tables[1])) if "Params" in text)
    assert "did not count them" in note and "trained here" not in note


def test_a_reason_that_holds_for_all_cells_stands_once(study: Study) -> None:
    texts = notes(fill(study.frame, study.layout.tables[0]))
    assert [text for text in texts if "Not comparable" in text] == [
        "Not comparable with the paper (all cells): trained on drawn textures, not on PASCAL VOC 2012"
    ]


def test_a_reason_that_holds_for_some_cells_names_them() -> None:
    layout = TableLayout(
        name="t",
        title="T",
        rows=(RowLayout(label="r"), RowLayout(label="x")),
        columns=(ColumnLayout(label="a"), ColumnLayout(label="b")),
    )
    lines = [
        line("t", row, column, 0, miou=50.0, comparable=column == "b", differs="" if column == "b" else "crop")
        for row in ("r", "x")
        for column in ("a", "b")
    ]
    assert "Not comparable with the paper (all of a): crop" in notes(fill(frame_of(lines), layout))


def test_notes_that_several_columns_share_stand_once(table: FilledTable) -> None:
    assert "1/16 (92), 1/8 (183): 62 of 992 drawn images labelled" in notes(table)


def test_each_of_several_reasons_stands_once_with_its_own_cells() -> None:
    rows, columns = (RowLayout(label="r"), RowLayout(label="x")), (ColumnLayout(label="a"),)
    lines = [
        line("t", row, "a", 0, miou=50.0, comparable=False, differs=differs)
        for row, differs in (("r", "drawn; base not stated"), ("x", "drawn"))
    ]
    texts = notes(fill(frame_of(lines), TableLayout(name="t", title="T", rows=rows, columns=columns)))
    assert [text for text in texts if "Not comparable" in text] == [
        "Not comparable with the paper (all cells): drawn",
        "Not comparable with the paper (r at a): base not stated",
    ]


def test_reasons_of_the_same_cells_stand_in_one_note() -> None:
    texts = notes(equal_rows(differs="drawn; no list"))
    assert "Not comparable with the paper (all cells): drawn; no list" in texts


CHANGED = "changed by --set: method.fda=none"


def test_a_note_names_the_rows_that_a_flag_made_equal() -> None:
    assert (
        "'all' and '+ FDA' are the same trainings here: --set method.fda=none made them equal; they are not compared."
        in notes(equal_rows(differs=CHANGED))
    )


def test_rows_that_are_equal_in_some_columns_or_without_a_flag_have_a_note() -> None:
    assert "'all' and '+ FDA' are the same trainings at a; they are not compared." in notes(
        equal_rows(differs="", keys=("k", "other"))
    )


def test_rows_that_the_study_itself_makes_equal_have_the_note_of_the_study_alone() -> None:
    texts = notes(equal_rows(("the same training as + FDA",), differs=CHANGED))
    assert [text for text in texts if "same training" in text] == ["all: the same training as + FDA"]


def test_what_limits_a_comparison_comes_before_the_meaning_of_signs_and_before_the_rest(study: Study) -> None:
    layout = study.layout.tables[0]
    rows = (dataclasses.replace(layout.rows[0], notes=("a remark", "† marks a method")), *layout.rows[1:])
    table = fill(study.frame, dataclasses.replace(layout, rows=rows))
    ranked = most_important_notes(table, 99)
    assert sorted(ranked) == sorted(notes(table))
    assert [text[:22] for text in ranked[:4]] == [
        "Not comparable with th", "Ours: mIoU in percent ", "Supervised: † marks a ", "1/16 (92), 1/8 (183): ",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_most_important_notes_are_the_first_of_all_by_rank(study: Study, count: int) -> None:
    table = fill(study.frame, study.layout.tables[0])
    assert most_important_notes(table, count) == most_important_notes(table, 99)[:count]


def test_equal_rows_are_among_the_most_important_notes() -> None:
    table = equal_rows(differs=f"drawn; no list; {CHANGED}")
    assert "same trainings" in most_important_notes(table, 1)[0]


def test_columns_that_only_the_terminal_leaves_out_come_before_the_rest(study: Study) -> None:
    first, second = (column.label for column in study.layout.tables[0].columns)
    frame = study.frame.assign(status=study.frame["status"].where(study.frame["column"] != second, "quoted"))
    few = most_important_notes(fill(frame, study.layout.tables[0]), 3)
    assert f"Not trained yet: {second}; --columns runs them." in few and first not in " ".join(few)
