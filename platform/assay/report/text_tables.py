"""A filled table as text: for the terminal, Markdown and LaTeX (booktabs); CSV is in a file of its own.

Every cell is `paper | ours ± interval | Δ | verdict`, and rows and columns stand as in the paper.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from assay.analysis.filled_table import FilledCell, FilledTable
from assay.analysis.verdict import Kind
from assay.report.csv_table import csv
from assay.report.formatting import (
    COUNT_PARTS,
    NONE,
    PARTS,
    CellText,
    count_heads,
    counts,
    deviation,
    differences,
    notes,
    smallest_gap,
    words,
)

_STYLES: dict[Kind, str] = {
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


def terminal(table: FilledTable, *, width: int, color: bool = False) -> str:
    """The table as printed text, in the widest of four forms that `width` signs can hold.

    Columns of which nothing was ever to be trained are only named: the other forms have the paper's numbers.
    """
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=color, color_system="standard" if color else None, highlight=False
    )
    console.print(Text(_heading(table), style="bold"))
    for each in _fitting(table.planned_columns(), console):
        console.print(each)
    for line in _compared(table):
        console.print(Text(line))
    for line in notes(table):
        console.print(Text(line, style="dim"))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _heading(table: FilledTable) -> str:
    return f"{table.layout.name}  {table.layout.title}"


def _remarks(table: FilledTable) -> list[str]:
    return [*_compared(table), *notes(table)]


def _compared(table: FilledTable) -> list[str]:
    """The differences between rows, and how small a gap can be seen."""
    return [*differences(table), *filter(None, [smallest_gap(table)])]


def _fitting(table: FilledTable, console: Console) -> list[Table]:
    """The widest form that fits: all columns side by side, or one below the other, a cell in one line or in three.

    Params and FLOPs stand beside the columns in the first form, and in a table of their own in the others.
    """
    every = range(len(table.layout.columns))
    sizes = [_counts_alone(table)] if count_heads(table) else []
    forms = (
        lambda: [_wide(table)],
        lambda: [*sizes, _stacked(table, every)],
        lambda: [*sizes, *(_one_column(table, index) for index in every)],
        lambda: [*sizes, *(_stacked(table, [index]) for index in every)],
    )
    return next((made for form in forms if max(map(_natural, made := form())) <= console.width), forms[-1]())


def _natural(made: Table) -> int:
    """How wide a table is where nothing holds it in."""
    console = Console(width=10_000, file=io.StringIO())
    return Measurement.get(console, console.options, made).maximum


def _wide(table: FilledTable) -> Table:
    """A line per row, four columns per column."""
    made = Table(show_edge=False, pad_edge=False)
    made.add_column("")
    _add_counts(made, table)
    for column in table.layout.columns:
        for part in PARTS:
            header = Text(f"{column.label}\n{part}" if part == PARTS[0] else f"\n{part}")
            made.add_column(header, justify="left" if part == "verdict" else "right", no_wrap=True)
    for row, cells in table.lines():
        made.add_row(Text(row.label), *_count_parts(table, cells), *(part for cell in cells for part in _parts(cell)))
    return made


def _counts_alone(table: FilledTable) -> Table:
    """Params and FLOPs, a line per row."""
    made = Table(show_edge=False, pad_edge=False)
    made.add_column("")
    _add_counts(made, table)
    for row, cells in table.lines():
        made.add_row(Text(row.label), *_count_parts(table, cells))
    return made


def _add_counts(made: Table, table: FilledTable) -> None:
    for head in count_heads(table):
        for part in COUNT_PARTS:
            made.add_column(Text(f"{head if part == COUNT_PARTS[0] else ''}\n{part}"), justify="right", no_wrap=True)


def _count_parts(table: FilledTable, cells: tuple[FilledCell, ...]) -> Iterator[str]:
    return (part for each in counts(table, cells) for part in each.parts())


def _parts(cell: FilledCell) -> list[Text]:
    said = words(cell)
    return [Text(said.paper), Text(said.ours, style="bold"), Text(said.delta), _verdict(said)]


def _verdict(said: CellText) -> Text:
    return Text(said.verdict.text, style=_STYLES.get(said.verdict.kind, ""))


def _stacked(table: FilledTable, columns: Sequence[int]) -> Table:
    """Three lines per row: ours, the paper's with the difference, the verdict."""
    made = Table(show_edge=False, pad_edge=False, show_lines=True)
    made.add_column("", overflow="fold")
    for index in columns:
        made.add_column(Text(table.layout.columns[index].label), no_wrap=True)
    for row, cells in table.lines():
        made.add_row(Text(row.label), *(_stack(words(cells[index])) for index in columns))
    return made


def _stack(said: CellText) -> Text:
    delta = "" if said.delta == NONE else f"  Δ {said.delta}"
    return Text("\n").join([Text(said.ours, style="bold"), Text(f"paper {said.paper}{delta}"), _verdict(said)])


def _one_column(table: FilledTable, index: int) -> Table:
    """One column of the table, a line per row."""
    made = Table(title=Text(table.layout.columns[index].label), title_justify="left", show_edge=False, pad_edge=False)
    made.add_column("")
    for part in PARTS:
        made.add_column(part, justify="left" if part == "verdict" else "right", no_wrap=True)
    for row, cells in table.lines():
        made.add_row(Text(row.label), *_parts(cells[index]))
    return made


# --- Markdown and LaTeX --------------------------------------------------------------------------------------


def markdown(table: FilledTable) -> str:
    """The table as GitHub's Markdown, with its notes and the differences paired by seed."""
    sizes = [f"{head} {part}" for head in count_heads(table) for part in COUNT_PARTS]
    heads = ["", *sizes, *(f"{column.label} {part}" for column in table.layout.columns for part in PARTS)]
    lines = [f"### {_markdown(_heading(table))}", ""]
    lines += [_markdown(table.layout.caption), ""] if table.layout.caption else []
    rule = ["---", *["---:"] * len(sizes), *("---:", "---:", "---:", "---") * len(table.layout.columns)]
    lines += [_pipes(heads), _pipes(rule, raw=True)]
    lines += [_pipes([row.label, *_flat(table, cells, spread=True)]) for row, cells in table.lines()]
    lines += ["", *(f"- {_markdown(each)}" for each in _remarks(table))]
    return "\n".join(lines) + "\n"


def _flat(table: FilledTable, cells: tuple[FilledCell, ...], *, spread: bool = False) -> Iterator[str]:
    """A row's fields; with the standard deviation over the seeds where `spread` is asked for."""
    yield from _count_parts(table, cells)
    for cell in cells:
        paper, own, *others = words(cell).parts()
        yield from (paper, ", ".join(filter(None, (own, deviation(cell) if spread else ""))), *others)


def _pipes(parts: list[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(part if raw else _markdown(part) for part in parts)} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")


def latex(table: FilledTable) -> str:
    """The table as LaTeX; needs booktabs, and adjustbox to hold it to the line's width."""
    groups: list[tuple[str, tuple[str, ...]]] = [(head, COUNT_PARTS) for head in count_heads(table)]
    groups += [(column.label, PARTS) for column in table.layout.columns]
    heads = " & ".join(rf"\multicolumn{{{len(parts)}}}{{c}}{{{_latex(head)}}}" for head, parts in groups)
    under = [part for _, parts in groups for part in parts]
    ends = list(itertools.accumulate((len(parts) for _, parts in groups), initial=1))
    rules = "".join(rf"\cmidrule(lr){{{first + 1}-{last}}}" for first, last in itertools.pairwise(ends))
    body = [_ampersands([row.label, *_flat(table, cells)]) for row, cells in table.lines()]
    caption = ". ".join(filter(None, (table.layout.title.rstrip("."), table.layout.caption)))
    return "\n".join(
        [
            r"% \usepackage{booktabs,adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(caption)}}}",
            rf"\label{{tab:{re.sub(r'[^A-Za-z0-9.-]', '-', table.layout.name)}}}",
            r"\begin{adjustbox}{max width=\linewidth}",
            rf"\begin{{tabular}}{{l{''.join('l' if part == 'verdict' else 'r' for part in under)}}}",
            r"\toprule",
            rf" & {heads} \\",
            rules,
            _ampersands(["", *under]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            *(rf"\par\smallskip\footnotesize {_latex(each)}" for each in _remarks(table)),
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
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


WRITERS: dict[str, Callable[[FilledTable], str]] = {"md": markdown, "tex": latex, "csv": csv}
