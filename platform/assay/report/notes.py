"""The notes below a table: everything that a reader of its numbers has to know, in sentences."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable

from assay.analysis.filled_table import EqualRows, FilledCell, FilledTable
from assay.report.formatting import INTERVAL, NONE, distinct
from assay.results.layout import SAME_TRAINING, ColumnLayout

_MARKS = tuple("*†‡★")  # signs in labels of rows; a row's note that explains one begins with it
_PARTS = {"encoder": "the encoder alone", "network": "encoder and head"}


class Rank(enum.IntEnum):
    """The importance of a note, the most important rank first."""

    LIMIT = 1  # numbers that cannot be compared, or are equal for a reason
    MARK = 2  # the meaning of a sign in the table
    ABSENT = 3  # columns without trainings
    REST = 4


@dataclasses.dataclass(frozen=True)
class Note:
    """A sentence or two that a reader of the numbers has to know."""

    rank: Rank
    text: str


def notes(table: FilledTable) -> list[str]:
    """Return the texts of all notes, in the order of a report."""
    return [note.text for note in _notes(table)]


def most_important_notes(table: FilledTable, count: int) -> list[str]:
    """Return the texts of some notes, by rank."""
    return [note.text for note in sorted(_notes(table), key=lambda note: note.rank)[:count]]


def _notes(table: FilledTable) -> list[Note]:
    unit = f"Ours: mIoU in percent of the last checkpoint, mean over the seeds that finished ± half its {INTERVAL}."
    if any(column.of_class for column in table.layout.columns):
        unit += " In columns of classes: the class's IoU, with the paper's number in brackets."
    planned = _planned(table)
    shown = (column for column in table.layout.columns if column.quoted or column.label in planned)
    columns = _shared((column.label, _of_column(column)) for column in shown if column.note)
    rows = _shared((row.label, note) for row in table.layout.rows for note in row.notes)
    return [
        Note(Rank.MARK, unit),
        *_how_counted(table),
        *(Note(Rank.REST, f"{labels}: {note}") for labels, note in columns),
        *(Note(Rank.ABSENT, text) for text in not_trained(table)),
        *(Note(_rank_of_row_note(note), f"{labels}: {note}") for labels, note in rows),
        *(Note(Rank.REST, text) for text in table.layout.notes),
        *(Note(Rank.LIMIT, text) for text in _equal_rows(table)),
        *(Note(Rank.LIMIT, text) for text in _deviations(table)),
    ]


def _of_column(column: ColumnLayout) -> str:
    same = f" ({SAME_TRAINING}{', '.join(column.same_as)})" if column.same_as else ""
    return column.note + same


def _rank_of_row_note(note: str) -> Rank:
    if note.startswith(SAME_TRAINING):
        return Rank.LIMIT
    return Rank.MARK if note.startswith(_MARKS) else Rank.REST


def _planned(table: FilledTable) -> set[str]:
    """Return the columns with any planned training."""
    return {cell.column for cell in table.cells() if cell.planned}


def not_trained(table: FilledTable) -> list[str]:
    """Return a sentence on the columns that could be trained here and never were; empty without any."""
    planned = _planned(table)
    left = [column.label for column in table.layout.columns if not column.quoted and column.label not in planned]
    if left and not planned:
        return [f"Not trained yet; --tables {table.layout.name} runs it."]
    return [f"Not trained yet: {', '.join(left)}; --columns runs them."] if left else []


def _how_counted(table: FilledTable) -> list[Note]:
    """Return the note on the subject of Params and FLOPs and on their images, in a table that has them."""
    part, cells = table.layout.count_flops_of, list(table.cells())
    if part is None:
        return []
    ours = distinct(cell.counted.crop for cell in cells if cell.counted)
    papers = distinct(cell.paper_counted.crop for cell in cells if cell.paper_counted)
    sentences = [
        f"Params and FLOPs are of {_PARTS[part]}. FLOPs are multiply-adds for one image, and two for each value that"
        " batch norm puts out.",
        _for_which_image(ours, papers),
        "Some results are of a version that did not count them."
        if any(cell.done and cell.counted is None for cell in cells)
        else "",
    ]
    is_limit = NONE not in (ours, papers) and ours != papers
    return [Note(Rank.LIMIT if is_limit else Rank.REST, " ".join(filter(None, sentences)))]


def _for_which_image(ours: str, papers: str) -> str:
    """Return a sentence on the images for which both were counted."""
    if ours == NONE:
        return f"The paper’s are for images of {papers}." if papers != NONE else ""
    if papers in (ours, NONE):
        both = "; both are" if papers == ours else ","
        return f"Ours are of the networks that were trained here{both} for images of {ours}."
    return (
        f"Ours are of the networks that were trained here, on {ours}; the paper’s are on {papers}: not to be compared."
    )


def _shared(noted: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each note once, with all its labels before it."""
    labels: dict[str, list[str]] = {}
    for label, note in noted:
        labels.setdefault(note, []).append(label)
    return [(", ".join(group), note) for note, group in labels.items()]


def _equal_rows(table: FilledTable) -> list[str]:
    """Return a sentence for each group of rows that are the same trainings, unless the study itself says so."""
    row_notes = {row.label: row.notes for row in table.layout.rows}
    return [_equality(equal) for equal in table.equal_rows() if not _is_announced(equal, row_notes[equal.rows[0]])]


def _is_announced(equal: EqualRows, row_notes: Iterable[str]) -> bool:
    same = [note for note in row_notes if note.startswith(SAME_TRAINING)]
    return bool(same) and all(label in same[0] for label in equal.rows[1:])


def _equality(equal: EqualRows) -> str:
    names = f"{', '.join(map(repr, equal.rows[:-1]))} and {equal.rows[-1]!r}"
    place = "here" if equal.is_everywhere else f"at {', '.join(equal.columns)}"
    cause = f": --set {equal.changed} made them equal" if equal.changed else ""
    return f"{names} are the same trainings {place}{cause}; they are not compared."


def _deviations(table: FilledTable) -> list[str]:
    """Return the deviations from the paper's protocol, those of the same cells in one sentence with these cells."""
    trained = [cell for cell in table.cells() if cell.planned]
    cells: dict[str, list[FilledCell]] = {}
    for cell in trained:
        if not cell.comparable:
            for deviation in (cell.not_comparable or "the protocol differs").split("; "):
                cells.setdefault(deviation, []).append(cell)
    deviations: dict[str, list[str]] = {}
    for deviation, deviating in cells.items():
        deviations.setdefault(_where(deviating, trained), []).append(deviation)
    return [f"Not comparable with the paper ({where}): {'; '.join(texts)}" for where, texts in deviations.items()]


def _where(cells: list[FilledCell], trained: list[FilledCell]) -> str:
    if len(cells) == len(trained):
        return "all cells"
    columns = {cell.column for cell in cells}
    if all(cell in cells for cell in trained if cell.column in columns):
        return f"all of {', '.join(dict.fromkeys(cell.column for cell in cells))}"
    return ", ".join(f"{cell.row} at {cell.column}" for cell in cells)
