"""How a study's tables are laid out, as plain values: what a report needs beside the results themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

_RENAMED = {"across": "plot_over_columns", "counts": "count_flops_of"}  # fields of stored layouts of older versions

Part = Literal["encoder", "network"]  # what parameters and multiply-adds are counted of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """How large a network is."""

    params: float
    macs: float  # multiply-adds for one image
    crop: str  # height and width of that image: 512x512


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowLayout:
    """One row of a table."""

    label: str
    notes: tuple[str, ...] = ()
    counted: Counted | None = None  # what the paper prints of its network


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnLayout:
    """One column of a table; `note` says what it was trained on in this profile."""

    label: str
    note: str = ""
    quoted: bool = False  # this profile has no data for it, and only shows the paper's numbers
    same_as: tuple[str, ...] = ()  # other columns that are the same trainings in this profile


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableLayout:
    """One table, in the paper's order of rows and columns."""

    name: str  # begins with the paper's key and the table's: mkd.table1
    title: str
    caption: str = ""
    rows: tuple[RowLayout, ...]
    columns: tuple[ColumnLayout, ...]
    reference: str | None = None  # the row that the others are compared with
    notes: tuple[str, ...] = ()  # what holds for all its cells in this profile
    plot_over_columns: tuple[str, ...] = ()  # rows whose mIoU is drawn over the columns
    count_flops_of: Part | None = None  # what its Params and FLOPs are of; it has none where None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyLayout:
    """All tables of a study in one profile."""

    name: str
    title: str
    profile: str
    profile_note: str = ""  # what this profile trains on, in a sentence
    tables: tuple[TableLayout, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudyLayout:
        """The layout that `to_json` wrote."""
        tables = tuple(
            TableLayout(
                **{
                    **{_RENAMED.get(name, name): value for name, value in table.items()},
                    "rows": tuple(_row(row) for row in table["rows"]),
                    "columns": tuple(
                        ColumnLayout(**{**column, "same_as": tuple(column.get("same_as", ()))})
                        for column in table["columns"]
                    ),
                    "notes": tuple(table.get("notes", ())),  # layouts of older versions have neither
                    "plot_over_columns": tuple(table.get("plot_over_columns", table.get("across", ()))),
                }
            )
            for table in data["tables"]
        )
        return cls(**{**data, "tables": tables})


def _row(data: Mapping[str, Any]) -> RowLayout:
    counted = data.get("counted")  # layouts of older versions have none
    return RowLayout(
        **{**data, "notes": tuple(data["notes"]), "counted": None if counted is None else Counted(**counted)}
    )
