"""The layout of a study's tables, as plain values: everything that a report needs beside the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

Part = Literal["encoder", "network"]  # the part whose parameters and multiply-adds are counted

# How texts begin that a study writes and the report reads.
CHANGED_BY_SET = "changed by --set: "  # a cell's deviation from the paper's protocol
SAME_TRAINING = "the same training as "  # a note of a row that the study itself makes equal to others

_STORED_NAMES = {"plot_over_columns": "across", "count_flops_of": "counts"}  # the names of these fields in study.json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """The size of a network."""

    params: float
    macs: float  # multiply-adds for one image
    crop: str  # height and width of that image: 512x512


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowLayout:
    """One row of a table."""

    label: str
    notes: tuple[str, ...] = ()
    counted: Counted | None = None  # the size of its network as the paper prints it
    not_the_papers: str = ""  # the reason why it is another thing than the paper's row


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnLayout:
    """One column of a table."""

    label: str
    note: str = ""  # its data in this profile
    quoted: bool = False  # this profile has no data for it and shows the paper's numbers only
    same_as: tuple[str, ...] = ()  # other columns with the same trainings in this profile
    of_class: str = ""  # the class whose IoU it shows; empty where it shows mIoU


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableLayout:
    """One table, in the paper's order of rows and columns."""

    name: str  # the paper's key and the table's: mkd.table1
    title: str
    caption: str = ""
    rows: tuple[RowLayout, ...]
    columns: tuple[ColumnLayout, ...]
    reference: str | None = None  # the row that the others are compared with
    notes: tuple[str, ...] = ()  # they hold for all its cells in this profile
    plot_over_columns: tuple[str, ...] = ()  # rows that a figure draws over the columns
    count_flops_of: Part | None = None  # the subject of its Params and FLOPs; None: it has neither


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyLayout:
    """All tables of a study in one profile."""

    name: str
    title: str
    profile: str
    profile_note: str = ""  # its data, in a sentence
    tables: tuple[TableLayout, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the layout as plain JSON data."""
        data = dataclasses.asdict(self)
        tables = [{_STORED_NAMES.get(name, name): value for name, value in table.items()} for table in data["tables"]]
        return {**data, "tables": tables}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudyLayout:
        """Return the layout that `to_json` wrote, in this version or an older one."""
        return cls(**{**data, "tables": tuple(_table(table) for table in data["tables"])})


def _table(data: Mapping[str, Any]) -> TableLayout:
    fields = {name: data[stored] for name, stored in _STORED_NAMES.items() if stored in data}
    fields |= {name: value for name, value in data.items() if name not in _STORED_NAMES.values()}
    return TableLayout(
        **{
            **fields,
            "rows": tuple(_row(row) for row in data["rows"]),
            "columns": tuple(_column(column) for column in data["columns"]),
            # Layouts of older versions have neither.
            "notes": tuple(data.get("notes", ())),
            "plot_over_columns": tuple(fields.get("plot_over_columns", ())),
        }
    )


def _row(data: Mapping[str, Any]) -> RowLayout:
    counted = data.get("counted")  # layouts of older versions have none
    return RowLayout(
        **{**data, "notes": tuple(data["notes"]), "counted": None if counted is None else Counted(**counted)}
    )


def _column(data: Mapping[str, Any]) -> ColumnLayout:
    return ColumnLayout(**{**data, "same_as": tuple(data.get("same_as", ()))})
