"""The layout of a study in one profile: what a report needs beside the results."""

from __future__ import annotations

from assay.results.layout import SAME_TRAINING, ColumnLayout, RowLayout, StudyLayout, TableLayout
from assay.study import paper
from assay.study.cells import changes_of, nested_in
from assay.study.tables import Profile, Row, Study, Table
from assay.values import to_json


def layout_of(study: Study, profile: Profile) -> StudyLayout:
    """Return the layout of the whole study, whatever part of it was run."""
    return StudyLayout(
        name=study.name,
        title=study.title,
        profile=profile.name,
        profile_note=profile.note,
        tables=tuple(_table_layout(table, profile) for table in study.tables),
    )


def _table_layout(table: Table, profile: Profile) -> TableLayout:
    content = paper.table(table.paper)
    return TableLayout(
        name=table.name,
        title=table.title or table.name,
        caption=table.caption or str(content.get("caption", "")),
        rows=tuple(
            RowLayout(
                label=row.label,
                notes=(*row.notes, *_equal_rows_note(table, row, profile)),
                counted=paper.paper_size(table, row),
                not_the_papers=row.not_the_papers,
            )
            for row in table.rows
        ),
        columns=tuple(
            ColumnLayout(
                label=column,
                note=_column_note(table, column, profile),
                quoted=profile.column(table.name, column) is None,
                same_as=_equal_columns(table, column, profile),
                of_class=profile.class_of(table.name, column),
            )
            for column in table.columns
        ),
        reference=table.reference,
        notes=_nested_seeds_note(table, profile),
        plot_over_columns=table.plot_over_columns,
        count_flops_of=table.count_flops_of,
    )


def _nested_seeds_note(table: Table, profile: Profile) -> tuple[str, ...]:
    """Return a note on the seeds of nested experiments, which decide what an interval covers."""
    changes = (changes_of(table, row, column, profile) for row in table.rows for column in table.columns)
    nested = [experiment for each in changes for experiment in nested_in(tuple(each.values()))]
    if not nested:
        return ()
    seeds = sorted({each.seed + each.offset for each in nested if each.seed is not None})
    parts = []
    if seeds:
        numbers = ", ".join(map(str, seeds))
        parts.append(f"have seed {numbers} in all cells, so intervals do not cover their spread")
    if any(each.seed is None for each in nested):
        parts.append("have the seed of their cell; a twin has another one")
    return (f"Nested experiments (teachers) {', or '.join(parts)}.",)


def _equal_rows_note(table: Table, row: Row, profile: Profile) -> tuple[str, ...]:
    """Return a note that names the other rows of the same trainings in this profile."""
    if row.quoted:
        return ()

    def trainings(of: Row) -> list[dict[str, object]]:
        return [changes_of(table, of, column, profile) for column in table.columns]

    row_trainings = trainings(row)
    others = (other for other in table.rows if other is not row and not other.quoted)
    equal = [other.label for other in others if trainings(other) == row_trainings]
    return (f"{SAME_TRAINING}{', '.join(equal)}",) if equal else ()


def _column_note(table: Table, column: str, profile: Profile) -> str:
    """Return the data of a column in this profile, in words."""
    changes = profile.column(table.name, column)
    if changes is None:
        missing = profile.missing_data_of(table.name, column)
        return f"blocked: {missing}" if missing else "quoted: not trained in this profile"
    return ", ".join(f"{path.removeprefix('data.')} = {to_json(value)}" for path, value in changes.items())


def _equal_columns(table: Table, column: str, profile: Profile) -> tuple[str, ...]:
    """Return the other columns that are trained on the same data in this profile and show the same measure."""
    changes, of_class = profile.column(table.name, column), profile.class_of(table.name, column)
    others = (other for other in table.columns if other != column and profile.class_of(table.name, other) == of_class)
    return tuple(other for other in others if changes is not None and profile.column(table.name, other) == changes)
