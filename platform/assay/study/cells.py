"""From a study to its cells: one experiment for each table, row, column and seed that was chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assay.errors import UserError
from assay.experiment import Experiment
from assay.overrides import Override, apply, overrides_of
from assay.results.layout import (
    CHANGED_BY_SET,
    SAME_TRAINING,
    ColumnLayout,
    Counted,
    RowLayout,
    StudyLayout,
    TableLayout,
)
from assay.study import paper
from assay.study.override_checks import check_reach
from assay.study.tables import NONE, Changes, Nested, PaperRow, Profile, Row, Study, Table
from assay.values import suggestion, to_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One training's place in a table."""

    table: str
    row: str
    column: str
    seed: int
    changes: Mapping[str, Any]  # against the profile's starting point
    experiment: Experiment
    paper: float | None
    not_comparable: str  # from the paper's protocol; comparable where empty
    blocked_by: str = ""  # what is missing to train it at all; its experiment is then without the data that it needs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Which part of a study is run; empty means what the profile says."""

    tables: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    overrides: tuple[Override, ...] = ()


def profile_of(study: Study, name: str | None) -> Profile:
    """The profile of that name; the first one if none is named."""
    known = {each.name: each for each in study.profiles}
    if name is not None and name not in known:
        raise UserError(f"--profile: {study.name} has no profile {name!r}{suggestion(name, known)}.")
    return study.profiles[0] if name is None else known[name]


def chosen_rows(study: Study, profile: Profile, choice: Selection) -> list[tuple[Table, Row]]:
    """The chosen rows with their tables; names that mean nothing are refused, and no method is imported for it."""
    study.check()
    tables = chosen_tables(study, profile, choice)
    _check_names("--rows", choice.rows, [row.label for table in tables for row in table.rows])
    _check_names("--columns", choice.columns, [column for table in tables for column in table.columns])
    return [(table, row) for table in tables for row in table.rows if not choice.rows or row.label in choice.rows]


def cells_of(study: Study, profile: Profile, choice: Selection) -> list[Cell]:
    """The chosen cells, table by table as the paper lays them out."""
    if any(each.path == "seed" for each in choice.overrides):
        raise UserError("--set seed=…: every cell is trained with several seeds; choose them with --seeds.")
    rows = chosen_rows(study, profile, choice)
    check_reach(choice.overrides, rows)
    start = _start(profile)
    cells = [cell for table, row in rows for cell in _cells_of_row(table, row, profile, choice, start)]
    if not cells:
        names = ", ".join(table.name for table in chosen_tables(study, profile, choice))
        raise UserError(
            f"nothing of {names} is left to train: the profile {profile.name} only quotes these columns, or none of"
            " these tables has both the rows and the columns that were chosen; --help names profiles and tables."
        )
    return cells


def quoted_columns(profile: Profile, tables: Sequence[Table]) -> list[str]:
    """What the profile only quotes: each table with its columns, or alone where it is all of them."""
    found = []
    for table in tables:
        columns = [column for column in table.columns if not _has_cells(table, column, profile)]
        if columns:
            found.append(table.name + ("" if len(columns) == len(table.columns) else f" {', '.join(columns)}"))
    return found


def chosen_tables(study: Study, profile: Profile, choice: Selection) -> list[Table]:
    """The tables that were named, else those that the profile runs."""
    names = [table.name for table in study.tables]
    _check_names("--tables", choice.tables, names)
    wanted = choice.tables or profile.tables or tuple(names)
    return [table for table in study.tables if table.name in wanted]


def _check_names(flag: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise UserError(f"{flag}: there is no {name!r} here{suggestion(name, dict.fromkeys(known))}.")


def _start(profile: Profile) -> Experiment:
    """The profile's data, network and recipe, under a method that every row replaces."""
    from assay.catalogue import method_class

    data, net, recipe = profile.start()
    method: Any = method_class("supervised")()
    start = Experiment(method=method, data=data, net=net, recipe=recipe)
    return apply(start, overrides_of(profile.changes, f"profile {profile.name}"))


def _cells_of_row(table: Table, row: Row, profile: Profile, choice: Selection, start: Experiment) -> Iterator[Cell]:
    for column in _columns_of(table, profile, choice) if not row.quoted else ():
        yield from _seeds(table, row, column, profile, choice, start)


def cells_with(table: Table, row: Row, column: str, profile: Profile, choice: Selection, more: Changes) -> list[Cell]:
    """The cells of a row in one column, one for each seed, with `more` changed as `--set` would change it."""
    return list(_seeds(table, row, column, profile, choice, _start(profile), more))


def _seeds(
    table: Table, row: Row, column: str, profile: Profile, choice: Selection, start: Experiment, more: Changes = NONE
) -> Iterator[Cell]:
    """A cell for each seed; those of a row without other experiments inside differ in nothing else."""
    stays = _what_stays(_changes(table, row, column, profile), {each.path: each.value for each in choice.overrides})
    changes = _on_top(stays, more)
    origin = f"{table.name}, row {row.label!r}"
    printed, lacks = paper_number(table, row, column), profile.missing_data_of(table.name, column)
    differs = _differs(table, row, column, profile, choice)
    made: Experiment | None = None
    has_inside = any(_likes(tuple(changes.values())))
    of_all = _of_all([*overrides_of(more, origin), *choice.overrides])
    for seed in choice.seeds or profile.seeds:
        if made is None or has_inside:
            # Without the row's own parts, of which overrides may speak: made only where something starts from it.
            base = _base(start.replace(seed=seed), table, column, profile, of_all) if has_inside else start
            filled = {path: _filled(value, base, origin) for path, value in changes.items()}
            made = apply(start, [*overrides_of(filled, origin), *choice.overrides])
        yield Cell(
            table=table.name,
            row=row.label,
            column=column,
            seed=seed,
            changes=changes | {each.path: each.value for each in choice.overrides},
            experiment=made.replace(seed=seed),
            paper=printed,
            not_comparable=differs,
            blocked_by=lacks,
        )


def _base(start: Experiment, table: Table, column: str, profile: Profile, overrides: Sequence[Override]) -> Experiment:
    """What the experiments inside a cell's start from: everything of the cell but its row and its method."""
    around = {**table.changes, **(profile.column(table.name, column) or {})}
    return apply(start, [*overrides_of(around, f"{table.name}, column {column!r}"), *overrides])


def _of_all(overrides: Sequence[Override]) -> list[Override]:
    """The overrides that reach the experiments inside a cell's, too."""
    # Their methods are their own, their seeds a row's; and an experiment is never put inside itself.
    own = ("method", "seed")
    return [each for each in overrides if each.path.partition(".")[0] not in own and not any(_likes(each.value))]


def _filled(value: Any, base: Experiment, origin: str) -> Any:
    """A change with the experiments that it describes, nested ones too."""
    if isinstance(value, (tuple, list)):
        return tuple(_filled(each, base, origin) for each in value)
    if not isinstance(value, Nested):
        return value
    seeded = base.replace(seed=(base.seed if value.seed is None else value.seed) + value.offset)
    inner = {path: _filled(each, seeded, origin) for path, each in value.changes.items()}
    return apply(seeded, overrides_of(inner, origin))


def _columns_of(table: Table, profile: Profile, choice: Selection) -> list[str]:
    """The columns that are run: those chosen, else those the profile shows; never one that it only quotes."""
    runnable = [column for column in table.columns if _has_cells(table, column, profile)]
    for column in choice.columns:
        if column in table.columns and column not in runnable:
            raise UserError(f"--columns: the profile {profile.name} has no data for {column!r} of {table.name}.")
    wanted = choice.columns or profile.shown
    found = [column for column in runnable if not wanted or column in wanted]
    # A table that was asked for by name, and has none of the columns that the profile shows, is run as a whole.
    return found or (runnable if choice.tables and not choice.columns else [])


def _has_cells(table: Table, column: str, profile: Profile) -> bool:
    """Whether a column is trained in this profile, or would be if its data were there."""
    return profile.column(table.name, column) is not None or bool(profile.missing_data_of(table.name, column))


def _changes(table: Table, row: Row, column: str, profile: Profile) -> dict[str, Any]:
    """Everything that a cell changes; what stands later wins."""
    return {
        **table.changes,
        **(profile.column(table.name, column) or {}),
        **row.changes,
        **profile.row(table.name, row.label),
        **row.by_column.get(column, {}),
    }


def _on_top(changes: Changes, more: Changes) -> dict[str, Any]:
    """`more` over `changes`, of which those below a part that is replaced by another one mean nothing any more."""
    return _what_stays(changes, more) | dict(more)


def _what_stays(changes: Changes, replaced: Changes) -> dict[str, Any]:
    """Changes but for those below a part in whose place another one comes: a weight of another method."""
    others = tuple(f"{path}." for path, value in replaced.items() if path not in changes or changes[path] != value)
    return {path: value for path, value in changes.items() if not path.startswith(others)}


def paper_number(table: Table, row: Row, column: str) -> float | None:
    """The paper's number for a cell, where it printed one."""
    there = _in_paper(row)
    return None if there is None else paper.number(table.paper, there.label, column, there.factors)


def paper_counted(table: Table, row: Row) -> Counted | None:
    """The size that the paper printed of a row's network, in a table that shows sizes."""
    there = _in_paper(row)
    return (
        None
        if table.count_flops_of is None or there is None
        else paper.counted(table.paper, there.label, there.factors)
    )


def _in_paper(row: Row) -> PaperRow | None:
    return PaperRow(row.paper, NONE) if isinstance(row.paper, str) else row.paper


def _differs(table: Table, row: Row, column: str, profile: Profile, choice: Selection) -> str:
    """Why a cell is not comparable with the paper's, from the widest reason to the narrowest."""
    changed = ", ".join(f"{each.path}={each.value}" for each in choice.overrides)
    reasons = (
        profile.not_comparable,
        table.not_comparable.get(column),
        row.not_comparable,
        f"{CHANGED_BY_SET}{changed}" if changed else "",
    )
    return "; ".join(filter(None, reasons))


def layout_of(study: Study, profile: Profile) -> StudyLayout:
    """How the report lays the study out, whatever part of it was run."""
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
                notes=(*row.notes, *_same_rows(table, row, profile)),
                counted=paper_counted(table, row),
            )
            for row in table.rows
        ),
        columns=tuple(
            ColumnLayout(
                label=column,
                note=_note(table, column, profile),
                quoted=profile.column(table.name, column) is None,
                same_as=_same_columns(table, column, profile),
            )
            for column in table.columns
        ),
        reference=table.reference,
        notes=_inner_seeds(table, profile),
        plot_over_columns=table.plot_over_columns,
        count_flops_of=table.count_flops_of,
    )


def _inner_seeds(table: Table, profile: Profile) -> tuple[str, ...]:
    """Whether experiments inside others, such as teachers, are the same for all seeds: what an interval then holds."""
    changes = (_changes(table, row, column, profile) for row in table.rows for column in table.columns)
    likes = [like for each in changes for like in _likes(tuple(each.values()))]
    if not likes:
        return ()
    fixed = ", ".join(
        str(seed) for seed in sorted({like.seed + like.offset for like in likes if like.seed is not None})
    )
    tied = any(like.seed is None for like in likes)
    said = [f"have seed {fixed} whatever the seed around them; intervals hold nothing of their spread"] if fixed else []
    said += ["have the seed of what they are inside; a twin has another one"] if tied else []
    return (f"Experiments inside others (teachers) {', or '.join(said)}.",)


def _likes(value: Any) -> Iterator[Nested]:
    """The experiments that a change describes; not those inside them."""
    if isinstance(value, Nested):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _likes(each)


def _same_rows(table: Table, row: Row, profile: Profile) -> tuple[str, ...]:
    """Which other rows are the same trainings in this profile."""
    if row.quoted:
        return ()

    def trained(each: Row) -> list[dict[str, Any]]:
        return [_changes(table, each, column, profile) for column in table.columns]

    own = trained(row)
    same = [each.label for each in table.rows if each is not row and not each.quoted and trained(each) == own]
    return (f"{SAME_TRAINING}{', '.join(same)}",) if same else ()


def _note(table: Table, column: str, profile: Profile) -> str:
    """What a column was trained on here."""
    changes = profile.column(table.name, column)
    if changes is None:
        lacking = profile.missing_data_of(table.name, column)
        return f"blocked: {lacking}" if lacking else "quoted: not trained in this profile"
    return ", ".join(f"{path.removeprefix('data.')} = {to_json(value)}" for path, value in changes.items())


def _same_columns(table: Table, column: str, profile: Profile) -> tuple[str, ...]:
    """The other columns that are trained on the same in this profile."""
    changes = profile.column(table.name, column)
    others = (each for each in table.columns if each != column)
    return tuple(each for each in others if changes is not None and profile.column(table.name, each) == changes)
