"""A filled table as text: for the terminal, Markdown and LaTeX (booktabs). CSV has its own module.

Every cell is `paper | ours ± interval | Δ | verdict`; rows and columns have the paper's order.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from assay.analysis.filled_table import FilledCell, FilledTable
from assay.analysis.orderings import ColumnOrderings, orderings_of
from assay.analysis.verdict import VerdictKind
from assay.report.csv_table import csv
from assay.report.formatting import (
    COUNT_PARTS,
    OF_CLASS,
    PARTS,
    CellText,
    cell_text,
    count_heads,
    counts,
    deviation,
    differences,
    differences_in_short,
    in_class_column,
    parts_of,
    smallest_gap,
)
from assay.report.notes import most_important_notes, notes
from assay.report.orderings import column_lines, explanation, headline, left_out
from assay.wording import count

PRINTED_REMARKS = 3  # in the terminal; the other forms have all
_STYLES: dict[VerdictKind, str] = {
    "reproduced": "green",
    "above": "cyan",
    "below": "yellow",
    "not comparable": "magenta",
    "failed": "bold red",
    "blocked": "red",
    "running": "blue",
    "waiting": "dim",
    "quoted": "dim",
}


# --- terminal ------------------------------------------------------------------------------------------------


def terminal(table: FilledTable, *, width: int, color: bool = False, remarks: Path | None = None) -> str:
    """Return the table as printed text, in the wider of two forms that fits into `width` characters.

    Columns that were never planned are only named: the other forms have the paper's numbers.

    remarks: the file with all remarks, where only the most important ones are to be printed
    """
    console = _console(width, color=color)
    console.print(Text(_heading(table), style="bold"))
    for part in _fitting(table.planned_columns(), console):
        console.print(part)
    for line in _remarks(table) if remarks is None else _few_remarks(table, remarks):
        console.print(Text(line, style="dim"))
    return _printed(console)


def terminal_orderings(tables: Sequence[FilledTable], *, width: int, color: bool = False) -> str:
    """Return how many published orderings hold as printed text: all together, then each of several columns.

    Empty where none is published between the trained rows of the tables.
    """
    columns = [column for table in tables for column in orderings_of(table)]
    if not columns:
        return ""
    console = _console(width, color=color)
    console.print(Text(headline(columns), style="bold"))
    for line in column_lines(columns) if len(columns) > 1 else ():
        console.print(Text(f"  {line}"))
    for line in (explanation(columns), *filter(None, map(left_out, tables))):
        console.print(Text(line, style="dim"))
    return _printed(console)


def _console(width: int, *, color: bool) -> Console:
    """Return a console that prints into memory."""
    color_system: Literal["standard"] | None = "standard" if color else None
    return Console(file=io.StringIO(), width=width, force_terminal=color, color_system=color_system, highlight=False)


def _printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def _heading(table: FilledTable) -> str:
    return f"{table.layout.name}  {table.layout.title}"


def _remarks(table: FilledTable) -> list[str]:
    """Return the differences between rows, the smallest detectable gap, and all notes."""
    return [*differences(table), *filter(None, [smallest_gap(table)]), *notes(table)]


def _few_remarks(table: FilledTable, file: Path) -> list[str]:
    """Return the differences in one line, the most important notes, and a line with the file that has all remarks."""
    short = list(filter(None, [differences_in_short(table)]))
    important = most_important_notes(table, PRINTED_REMARKS - len(short))
    hidden = len(_remarks(table)) - len(important)
    return [*short, *important, *([f"{count(hidden, 'more remark')} in {file}"] if hidden else [])]


def _fitting(table: FilledTable, console: Console) -> list[Table]:
    """Return all columns side by side where they fit, otherwise a table for each column and one of all classes.

    Params and FLOPs are beside the columns in the first form, and in a table of their own in the second.
    """
    wide = _wide(table)
    if _natural_width(wide) <= console.width:
        return [wide]
    sizes = [_counts_alone(table)] if count_heads(table) else []
    columns = table.layout.columns
    of_miou = (_one_column(table, index) for index, column in enumerate(columns) if not column.of_class)
    classes = [_classes(table)] if any(column.of_class for column in columns) else []
    return [*sizes, *of_miou, *classes]


def _natural_width(printed: Table) -> int:
    """Return the width of a table that nothing limits."""
    console = Console(width=10_000, file=io.StringIO())
    return Measurement.get(console, console.options, printed).maximum


def _wide(table: FilledTable) -> Table:
    """Return a table with a line for each row and a column for each part of a column."""
    printed = Table(show_edge=False, pad_edge=False)
    printed.add_column("")
    _add_counts(printed, table)
    for column in table.layout.columns:
        parts = parts_of(column)
        for part in parts:
            header = Text(f"{column.label}\n{part}" if part == parts[0] else f"\n{part}")
            printed.add_column(header, justify="left" if part == "verdict" else "right", no_wrap=True)
    for row, cells in table.lines():
        texts = (
            part
            for column, cell in zip(table.layout.columns, cells, strict=True)
            for part in ([Text(in_class_column(cell))] if column.of_class else _parts(cell))
        )
        printed.add_row(Text(row.label), *_count_parts(table, cells), *texts)
    return printed


def _classes(table: FilledTable) -> Table:
    """Return a table with a line for each column of a class, and a column for each row that is trained."""
    printed = Table(show_edge=False, pad_edge=False)
    printed.add_column(Text(OF_CLASS))
    trained = [(row, cells) for row, cells in table.lines() if any(cell.planned for cell in cells)]
    for row, _ in trained:
        printed.add_column(Text(row.label), justify="right")
    for index, column in enumerate(table.layout.columns):
        if column.of_class:
            printed.add_row(Text(column.label), *(Text(in_class_column(cells[index])) for _, cells in trained))
    return printed


def _counts_alone(table: FilledTable) -> Table:
    """Return a table of Params and FLOPs with a line for each row."""
    printed = Table(show_edge=False, pad_edge=False)
    printed.add_column("", overflow="fold")
    _add_counts(printed, table)
    for row, cells in table.lines():
        printed.add_row(Text(row.label), *_count_parts(table, cells))
    return printed


def _add_counts(printed: Table, table: FilledTable) -> None:
    for head in count_heads(table):
        for part in COUNT_PARTS:
            printed.add_column(Text(f"{head if part == COUNT_PARTS[0] else ''}\n{part}"), justify="right", no_wrap=True)


def _count_parts(table: FilledTable, cells: tuple[FilledCell, ...]) -> Iterator[str]:
    return (part for count in counts(table, cells) for part in count.parts())


def _parts(cell: FilledCell) -> list[Text]:
    text = cell_text(cell)
    return [Text(text.paper), Text(text.ours, style="bold"), Text(text.delta), _verdict(text)]


def _verdict(text: CellText) -> Text:
    return Text(text.verdict.text, style=_STYLES.get(text.verdict.kind, ""))


def _one_column(table: FilledTable, index: int) -> Table:
    """Return a table of one column with a line for each row; on a narrow terminal, long parts are folded."""
    printed = Table(
        title=Text(table.layout.columns[index].label), title_justify="left", show_edge=False, pad_edge=False
    )
    printed.add_column("", overflow="fold")
    for part in PARTS:
        justify: Literal["left", "right"] = "left" if part == "verdict" else "right"
        printed.add_column(part, justify=justify, no_wrap=part in ("paper", "Δ"), overflow="fold")
    for row, cells in table.lines():
        printed.add_row(Text(row.label), *_parts(cells[index]))
    return printed


# --- Markdown and LaTeX --------------------------------------------------------------------------------------


def markdown(table: FilledTable) -> str:
    """Return the table as GitHub's Markdown, with its notes and the differences paired by seed.

    The first line says how many published orderings hold.
    """
    orderings = orderings_of(table)
    sizes = [f"{head} {part}" for head in count_heads(table) for part in COUNT_PARTS]
    columns = [(column.label, part) for column in table.layout.columns for part in parts_of(column)]
    heads = ["", *sizes, *(f"{label} {part}" for label, part in columns)]
    lines = [f"**{_markdown(headline(orderings))}**", ""] if orderings else []
    lines += [f"### {_markdown(_heading(table))}", ""]
    lines += [_markdown(table.layout.caption), ""] if table.layout.caption else []
    for paragraph in _about_orderings(table, orderings):
        lines += [_markdown(paragraph), ""]
    rule = ["---", *["---:"] * len(sizes), *("---" if part == "verdict" else "---:" for _, part in columns)]
    lines += [_pipes(heads), _pipes(rule, raw=True)]
    lines += [_pipes([row.label, *_fields(table, cells, spread=True)]) for row, cells in table.lines()]
    lines += ["", *(f"- {_markdown(remark)}" for remark in _remarks(table))]
    return "\n".join(lines) + "\n"


def _about_orderings(table: FilledTable, orderings: Sequence[ColumnOrderings]) -> list[str]:
    """Return a line for each of several columns, and an explanation; nothing where no ordering is published."""
    if not orderings:
        return []
    lines = column_lines(orderings) if len(orderings) > 1 else []
    return [*lines, " ".join(filter(None, (explanation(orderings, with_assumptions=True), left_out(table))))]


def _fields(table: FilledTable, cells: tuple[FilledCell, ...], *, spread: bool = False) -> Iterator[str]:
    """Yield a row's fields, with `spread` also the standard deviation over the seeds."""
    yield from _count_parts(table, cells)
    for column, cell in zip(table.layout.columns, cells, strict=True):
        if column.of_class:
            yield in_class_column(cell)
            continue
        paper, ours, *others = cell_text(cell).parts()
        yield from (paper, ", ".join(filter(None, (ours, deviation(cell) if spread else ""))), *others)


def _pipes(parts: list[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(part if raw else _markdown(part) for part in parts)} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")


def latex(table: FilledTable) -> str:
    """Return the table as LaTeX, which needs the packages booktabs and, for the width of the line, adjustbox."""
    groups: list[tuple[str, tuple[str, ...]]] = [(head, COUNT_PARTS) for head in count_heads(table)]
    groups += [(column.label, parts_of(column)) for column in table.layout.columns]
    heads = " & ".join(rf"\multicolumn{{{len(parts)}}}{{c}}{{{_latex(head)}}}" for head, parts in groups)
    parts_row = [part for _, parts in groups for part in parts]
    ends = list(itertools.accumulate((len(parts) for _, parts in groups), initial=1))
    rules = "".join(rf"\cmidrule(lr){{{first + 1}-{last}}}" for first, last in itertools.pairwise(ends))
    body = [_ampersands([row.label, *_fields(table, cells)]) for row, cells in table.lines()]
    caption = ". ".join(filter(None, (table.layout.title.rstrip("."), table.layout.caption)))
    return "\n".join(
        [
            r"% \usepackage{booktabs,adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(caption)}}}",
            rf"\label{{tab:{re.sub(r'[^A-Za-z0-9.-]', '-', table.layout.name)}}}",
            r"\begin{adjustbox}{max width=\linewidth}",
            rf"\begin{{tabular}}{{l{''.join('l' if part == 'verdict' else 'r' for part in parts_row)}}}",
            r"\toprule",
            rf" & {heads} \\",
            rules,
            _ampersands(["", *parts_row]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            *(rf"\par\smallskip\footnotesize {_latex(remark)}" for remark in _remarks(table)),
            r"\end{table}",
            "",
        ]
    )


def _ampersands(parts: list[str]) -> str:
    return rf"{' & '.join(_latex(part) for part in parts)} \\"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "★": r"$\star$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


WRITERS: dict[str, Callable[[FilledTable], str]] = {"md": markdown, "tex": latex, "csv": csv}
