"""The cells of a study: one experiment for each chosen table, row, column and seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from assay.errors import UserError
from assay.experiment import Experiment
from assay.overrides import Override, apply, overrides_of
from assay.results.layout import CHANGED_BY_SET
from assay.study.override_checks import check_reach
from assay.study.paper import paper_number
from assay.study.tables import NONE, Changes, Nested, Profile, Row, Study, Table
from assay.values import suggestion


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One training with its place in a table."""

    table: str
    row: str
    column: str
    seed: int
    changes: Mapping[str, Any]  # against the profile's starting point
    experiment: Experiment
    paper: float | None  # the number that the paper prints
    not_comparable: str  # the reason why the number must not be compared with the paper's; empty if it may
    blocked_by: str = ""  # what its training waits for; then the experiment lacks the data that it needs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """A part of a study; empty means what the profile chooses."""

    tables: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    overrides: tuple[Override, ...] = ()


# --- choosing ------------------------------------------------------------------------------------------------


class HasProfiles(Protocol):
    """A study, or a search in a study."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Its profiles; the first is the default."""


def profile_of(owner: HasProfiles, name: str | None) -> Profile:
    """Return the profile of that name; without a name, the first."""
    profiles = {profile.name: profile for profile in owner.profiles}
    if name is not None and name not in profiles:
        raise UserError(f"--profile: {owner.name} has no profile {name!r}{suggestion(name, profiles)}.")
    return owner.profiles[0] if name is None else profiles[name]


def chosen_tables(study: Study, profile: Profile, selection: Selection) -> list[Table]:
    """Return the selected tables, or else those that the profile runs."""
    names = [table.name for table in study.tables]
    _check_names("--tables", selection.tables, names)
    chosen = selection.tables or profile.tables or tuple(names)
    return [table for table in study.tables if table.name in chosen]


def chosen_rows(study: Study, profile: Profile, selection: Selection) -> list[tuple[Table, Row]]:
    """Return the chosen rows with their tables; raise a UserError for unknown names. No method is imported."""
    study.check()
    tables = chosen_tables(study, profile, selection)
    _check_names("--rows", selection.rows, [row.label for table in tables for row in table.rows])
    _check_names("--columns", selection.columns, [column for table in tables for column in table.columns])
    return [(table, row) for table in tables for row in _rows_of(table, profile, selection)]


def _rows_of(table: Table, profile: Profile, selection: Selection) -> list[Row]:
    """Return the selected rows, or else those that the profile runs."""
    chosen = selection.rows or profile.shown_rows
    rows = [row for row in table.rows if not chosen or row.label in chosen]
    # A table that the user names, and that has none of the profile's own rows, runs with all its rows.
    return rows or (list(table.rows) if selection.tables and not selection.rows else [])


def quoted_columns(profile: Profile, tables: Sequence[Table]) -> list[str]:
    """Return the tables that the profile only quotes, each with its columns where only some are quoted."""
    quoted = []
    for table in tables:
        columns = [column for column in table.columns if not _has_cells(table, column, profile)]
        if columns:
            quoted.append(table.name + ("" if len(columns) == len(table.columns) else f" {', '.join(columns)}"))
    return quoted


def _columns_of(table: Table, profile: Profile, selection: Selection) -> list[str]:
    """Return the selected columns, or else those that the profile runs; never a column that it only quotes."""
    runnable = [column for column in table.columns if _has_cells(table, column, profile)]
    for column in selection.columns:
        if column in table.columns and column not in runnable:
            raise UserError(f"--columns: the profile {profile.name} has no data for {column!r} of {table.name}.")
    chosen = selection.columns or profile.shown
    columns = [column for column in runnable if not chosen or column in chosen]
    # A table that the user names, and that has none of the profile's own columns, runs with all its columns.
    return columns or (runnable if selection.tables and not selection.columns else [])


def _has_cells(table: Table, column: str, profile: Profile) -> bool:
    """Return True where the profile trains a column, or would train it if its data were there."""
    return profile.column(table.name, column) is not None or bool(profile.missing_data_of(table.name, column))


def _check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{flag}: there is no {name!r} here{suggestion(name, dict.fromkeys(known))}.")


# --- making --------------------------------------------------------------------------------------------------


def cells_of(study: Study, profile: Profile, selection: Selection) -> list[Cell]:
    """Return the chosen cells, table by table in the paper's order."""
    if any(override.path == "seed" for override in selection.overrides):
        raise UserError("--set seed=…: every cell is trained with several seeds; choose them with --seeds.")
    rows = chosen_rows(study, profile, selection)
    check_reach(selection.overrides, rows)
    start = _start(profile)
    cells = [cell for table, row in rows for cell in _cells_of_row(table, row, profile, selection, start)]
    if not cells:
        names = ", ".join(table.name for table in chosen_tables(study, profile, selection))
        raise UserError(
            f"nothing of {names} is left to train: the profile {profile.name} only quotes these columns, or none of"
            " these tables has both the rows and the columns that were chosen; --help names profiles and tables."
        )
    return cells


def cells_with(
    table: Table, row: Row, column: str, profile: Profile, selection: Selection, more: Changes
) -> list[Cell]:
    """Return a row's cells in one column, one for each seed, with `more` changed as `--set` would change it."""
    return list(_cells_of_seeds(table, row, column, profile, selection, _start(profile), more))


def _start(profile: Profile) -> Experiment:
    """Return the profile's data, network and recipe, with a method that every row replaces."""
    from assay.catalogue import method_class

    data, net, recipe = profile.start()
    method: Any = method_class("supervised")()
    start = Experiment(method=method, data=data, net=net, recipe=recipe)
    return apply(start, overrides_of(profile.changes, f"profile {profile.name}"))


def _cells_of_row(table: Table, row: Row, profile: Profile, selection: Selection, start: Experiment) -> Iterator[Cell]:
    for column in _columns_of(table, profile, selection) if not row.quoted else ():
        yield from _cells_of_seeds(table, row, column, profile, selection, start)


def _cells_of_seeds(
    table: Table,
    row: Row,
    column: str,
    profile: Profile,
    selection: Selection,
    start: Experiment,
    more: Changes = NONE,
) -> Iterator[Cell]:
    """Yield a cell for each seed. Without nested experiments the cells of a row differ in nothing but the seed."""
    overrides = {override.path: override.value for override in selection.overrides}
    remaining = _without_replaced(changes_of(table, row, column, profile), overrides)
    changes = _without_replaced(remaining, more) | dict(more)
    origin = f"{table.name}, row {row.label!r}"
    has_nested = any(nested_in(tuple(changes.values())))
    for_nested = _overrides_for_nested([*overrides_of(more, origin), *selection.overrides])
    paper = paper_number(table, row, column)
    not_comparable = _not_comparable(table, row, column, profile, selection)
    blocked_by = profile.missing_data_of(table.name, column)
    experiment: Experiment | None = None
    for seed in selection.seeds or profile.seeds:
        if experiment is None or has_nested:
            base = _nested_base(start.replace(seed=seed), table, column, profile, for_nested) if has_nested else start
            complete = {path: _with_experiments(value, base, origin) for path, value in changes.items()}
            experiment = apply(start, [*overrides_of(complete, origin), *selection.overrides])
        yield Cell(
            table=table.name,
            row=row.label,
            column=column,
            seed=seed,
            changes=changes | overrides,
            experiment=experiment.replace(seed=seed),
            paper=paper,
            not_comparable=not_comparable,
            blocked_by=blocked_by,
        )


def changes_of(table: Table, row: Row, column: str, profile: Profile) -> dict[str, Any]:
    """Return everything that a cell changes; the later source wins."""
    return {
        **table.changes,
        **(profile.column(table.name, column) or {}),
        **row.changes,
        **profile.row(table.name, row.label),
        **row.by_column.get(column, {}),
        **profile.cell(table.name, row.label, column),
    }


def _without_replaced(changes: Changes, replacing: Changes) -> dict[str, Any]:
    """Return the changes but for those below a part that is replaced, such as a weight of another method."""
    replaced = tuple(f"{path}." for path, value in replacing.items() if path not in changes or changes[path] != value)
    return {path: value for path, value in changes.items() if not path.startswith(replaced)}


def _not_comparable(table: Table, row: Row, column: str, profile: Profile, selection: Selection) -> str:
    """Return the reasons against a comparison with the paper, from the widest to the narrowest."""
    changed = ", ".join(f"{override.path}={override.value}" for override in selection.overrides)
    reasons = (
        profile.not_comparable,
        table.not_comparable.get(column),
        row.not_comparable,
        row.not_the_papers,
        f"{CHANGED_BY_SET}{changed}" if changed else "",
    )
    return "; ".join(filter(None, reasons))


# --- nested experiments --------------------------------------------------------------------------------------


def nested_in(value: Any) -> Iterator[Nested]:
    """Yield the nested experiments of a change; not those inside them."""
    if isinstance(value, Nested):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from nested_in(each)


def _nested_base(
    start: Experiment, table: Table, column: str, profile: Profile, overrides: Sequence[Override]
) -> Experiment:
    """Return the starting point of nested experiments: the cell without its row and its method."""
    around = {**table.changes, **(profile.column(table.name, column) or {})}
    return apply(start, [*overrides_of(around, f"{table.name}, column {column!r}"), *overrides])


def _overrides_for_nested(overrides: Sequence[Override]) -> list[Override]:
    """Return the overrides that reach nested experiments as well."""
    # Method and seed are a nested experiment's own, and an experiment is never nested in itself.
    not_inherited = ("method", "seed")
    return [
        override
        for override in overrides
        if override.path.partition(".")[0] not in not_inherited and not any(nested_in(override.value))
    ]


def _with_experiments(value: Any, base: Experiment, origin: str) -> Any:
    """Return a change with experiments in the place of their descriptions, at any depth."""
    if isinstance(value, (tuple, list)):
        return tuple(_with_experiments(each, base, origin) for each in value)
    if not isinstance(value, Nested):
        return value
    seeded = base.replace(seed=(base.seed if value.seed is None else value.seed) + value.offset)
    inner = {path: _with_experiments(each, seeded, origin) for path, each in value.changes.items()}
    return apply(seeded, overrides_of(inner, origin))
