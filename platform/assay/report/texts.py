"""A filled table as text: for the terminal, Markdown, LaTeX (booktabs) and CSV.

Every cell is `paper | ours ± interval | Δ | verdict`, and rows and columns stand as in the paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from assay.report.cells import STATES, Cell, FilledTable
from assay.report.verdict import Kind, verdict
from assay.report.words import PARTS, CellWords, difference, notes, smallest_gap, words

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
    """The table as printed text, in the widest of four forms that `width` signs can hold."""
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, force_terminal=color, color_system="standard" if color else None, highlight=False
    )
    console.print(Text(_heading(table), style="bold"))
    for each in _fitting(table, console):
        console.print(each)
    for line in _remarks(table):
        console.print(Text(line, style="dim"))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _heading(table: FilledTable) -> str:
    return f"{table.layout.name}  {table.layout.title}"


def _remarks(table: FilledTable) -> list[str]:
    gap = smallest_gap(table)
    return [*notes(table), *([gap] if gap else [])]


def _fitting(table: FilledTable, console: Console) -> list[Table]:
    """The widest form that fits: all columns side by side, or one below the other, a cell in one line or in three."""
    every = range(len(table.layout.columns))
    forms = (
        lambda: [_wide(table)],
        lambda: [_stacked(table, every)],
        lambda: [_one_column(table, index) for index in every],
        lambda: [_stacked(table, [index]) for index in every],
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
    for column in table.layout.columns:
        for part in PARTS:
            header = Text(f"{column.label}\n{part}" if part == PARTS[0] else f"\n{part}")
            made.add_column(header, justify="left" if part == "verdict" else "right", no_wrap=True)
    for row, cells in table.lines():
        made.add_row(Text(row.label), *(part for cell in cells for part in _parts(cell)))
    return made


def _parts(cell: Cell) -> list[Text]:
    said = words(cell)
    return [Text(said.paper), Text(said.ours, style="bold"), Text(said.delta), _verdict(said)]


def _verdict(said: CellWords) -> Text:
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


def _stack(said: CellWords) -> Text:
    return Text("\n").join([Text(said.ours, style="bold"), Text(f"paper {said.paper}  Δ {said.delta}"), _verdict(said)])


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
    heads = ["", *(f"{column.label} {part}" for column in table.layout.columns for part in PARTS)]
    lines = [f"### {_markdown(_heading(table))}", ""]
    lines += [_markdown(table.layout.caption), ""] if table.layout.caption else []
    lines += [_pipes(heads), _pipes(["---", *("---:", "---:", "---:", "---") * len(table.layout.columns)], raw=True)]
    lines += [_pipes([row.label, *_flat(cells)]) for row, cells in table.lines()]
    lines += ["", *(f"- {_markdown(each)}" for each in (*_remarks(table), *_differences(table)))]
    return "\n".join(lines) + "\n"


def _flat(cells: tuple[Cell, ...]) -> Iterator[str]:
    return (part for cell in cells for part in words(cell).parts())


def _pipes(parts: list[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(part if raw else _markdown(part) for part in parts)} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")


def _differences(table: FilledTable) -> list[str]:
    return [
        f"{cell.row} against {cell.comparison.reference} at {cell.column}: {difference(cell.comparison)}"
        for cell in table.cells()
        if cell.comparison is not None
    ]


def latex(table: FilledTable) -> str:
    """The table as LaTeX; needs booktabs, and adjustbox to hold it to the line's width."""
    columns = table.layout.columns
    groups = " & ".join(rf"\multicolumn{{{len(PARTS)}}}{{c}}{{{_latex(column.label)}}}" for column in columns)
    rules = "".join(
        rf"\cmidrule(lr){{{2 + index * len(PARTS)}-{1 + (index + 1) * len(PARTS)}}}" for index in range(len(columns))
    )
    body = [_ampersands([row.label, *_flat(cells)]) for row, cells in table.lines()]
    caption = ". ".join(filter(None, (table.layout.title.rstrip("."), table.layout.caption)))
    return "\n".join(
        [
            r"% \usepackage{booktabs,adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(caption)}}}",
            rf"\label{{tab:{re.sub(r'[^A-Za-z0-9.-]', '-', table.layout.name)}}}",
            r"\begin{adjustbox}{max width=\linewidth}",
            rf"\begin{{tabular}}{{l{'rrrl' * len(columns)}}}",
            r"\toprule",
            rf" & {groups} \\",
            rules,
            _ampersands(["", *PARTS * len(columns)]),
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


# --- CSV -----------------------------------------------------------------------------------------------------


def csv(table: FilledTable) -> str:
    """The table as CSV, a line per cell, numbers in full precision."""
    return pd.DataFrame([_record(table, cell) for cell in table.cells()]).to_csv(index=False, lineterminator="\n")


def _record(table: FilledTable, cell: Cell) -> dict[str, object]:
    compared, pair = cell.comparison, cell.comparison.paired if cell.comparison else None
    return {
        "table": table.layout.name,
        "row": cell.row,
        "column": cell.column,
        "planned": cell.planned,
        **{state: cell.count(state) for state in STATES},
        "paper": cell.paper,
        **_fields(cell.last, {"miou": "mean", "miou_sd": "sd", "miou_low": "low", "miou_high": "high"}),
        "miou_best": cell.best.mean,
        "delta": cell.delta,
        "verdict": verdict(cell).kind,
        "comparable": cell.comparable,
        "differs": cell.differs,
        "reference": compared.reference if compared else None,
        **_fields(pair, {f"difference{end}": name for end, name in _DIFFERENCE.items()}),
        "difference_p_holm": compared.holm if compared else None,
        "errors": "; ".join(f"seed {run.seed}: {' '.join(run.error.split())}" for run in cell.runs if run.error),
    }


_DIFFERENCE = {
    "": "mean",
    "_sd": "sd",
    "_low": "low",
    "_high": "high",
    "_p": "p",
    "_smallest_p": "smallest_p",
    "_t_p": "t_p",
    "_pairs": "n",
}


def _fields(value: object | None, names: dict[str, str]) -> dict[str, object]:
    """Some fields of a value under other names; all of them absent where there is no value."""
    return {name: None if value is None else getattr(value, field) for name, field in names.items()}


WRITERS: dict[str, Callable[[FilledTable], str]] = {"md": markdown, "tex": latex, "csv": csv}
