"""Tables as text: every cell in its place, every sign escaped, no line wider than the terminal."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assay.analysis.filled_table import FilledTable, fill
from assay.report.csv_table import csv
from assay.report.formatting import cell_text
from assay.report.notes import most_important_notes, notes
from assay.report.text_tables import latex, markdown, terminal
from assay.results.layout import ColumnLayout, RowLayout, TableLayout

from drawn_study import Study, frame_of, line  # isort: skip


@pytest.fixture(scope="module")
def sized(study: Study) -> FilledTable:
    """A table with Params and FLOPs."""
    return fill(study.frame, study.layout.tables[1])


def labelled(label: str) -> FilledTable:
    layout = TableLayout(name="t", title=label, rows=(RowLayout(label=label),), columns=(ColumnLayout(label="a"),))
    return fill(frame_of([line("t", label, "a", 0, miou=50.0)]), layout)


def pipes(text: str) -> list[list[str]]:
    """Return the fields of a Markdown table's rows."""
    return [[field.strip() for field in row.strip("|").split(" | ")] for row in text.splitlines() if row[:1] == "|"]


def test_the_widest_form_has_a_line_for_each_row(table: FilledTable) -> None:
    lines = [row for row in terminal(table, width=200).splitlines() if row.startswith("Mean Teacher [31] ")]
    fields = [field.strip() for field in re.split("│", lines[0])]
    assert fields == [
        "Mean Teacher [31]",
        "48.70",
        "56.84 ± 1.05",
        "+8.14",
        "above",
        "55.81",
        "61.04 ± 1.05",
        "+5.23",
        "above",
    ]


@pytest.mark.parametrize("width", [200, 120, 80, 60, 44])
def test_the_terminal_is_never_too_narrow(table: FilledTable, width: int) -> None:
    printed = terminal(table, width=width)
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("56.84 ±") == printed.count("62.48 ±") == 1 and "…" not in printed
    assert width < 60 or printed.count("56.84 ± 1.05") == printed.count("62.48 ± 2.29") == 1
    assert width < 80 or printed.count("62.48 ± 2.29 (2 of 3)") == 1


def test_the_widest_form_has_params_and_flops_before_the_columns(sized: FilledTable) -> None:
    row = next(row for row in terminal(sized, width=200).splitlines() if row.startswith("MobileNetV2"))
    assert [field.strip() for field in row.split("│")][1:6] == ["1.81 M", "1.53 M", "1.52 G", "1.53 G", "70.00"]


@pytest.mark.parametrize("width", [200, 90, 70, 50])
def test_params_and_flops_stand_once_in_every_form(sized: FilledTable, width: int) -> None:
    printed = terminal(sized, width=width)
    assert max(map(len, printed.splitlines())) <= width
    assert printed.count("11.19 M") == 1 and printed.count("59.10 G") == 1


def test_colour_is_only_for_terminals_that_have_it(table: FilledTable) -> None:
    assert "\x1b[" not in terminal(table, width=100)
    assert "\x1b[" in terminal(table, width=100, color=True)


@pytest.mark.parametrize("write", [functools.partial(terminal, width=200), markdown, latex])
def test_the_differences_paired_by_seed_stand_below_the_table_before_its_notes(
    table: FilledTable, write: Callable[[FilledTable], str]
) -> None:
    text = re.sub(r"[\\${}]|--", "", write(table)).replace("\n", " ")
    pair = "Mean Teacher [31] at 1/16 (92): +4.24 [+4.09, +4.39], 3 seeds, p 0.250 (least 0.250), Holm 0.750"
    order = ("Differences from Supervised, paired by seed", pair, "to be detected", "Ours:")
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_the_terminal_leaves_out_a_column_that_was_never_planned_and_names_it(study: Study) -> None:
    first, second = (column.label for column in study.layout.tables[0].columns)
    frame = study.frame.assign(status=study.frame["status"].where(study.frame["column"] != second, "quoted"))
    half = fill(frame, study.layout.tables[0])
    printed = terminal(half, width=200)
    assert "54.92" in terminal(fill(study.frame, study.layout.tables[0]), width=200) and "54.92" not in printed
    assert [line for line in printed.splitlines() if second in line] == [
        f"Not trained yet: {second}; --columns runs them."
    ]
    assert f"{first}: 62 of 992 drawn images labelled" in printed
    assert "54.92" in markdown(half), "the other forms have the paper's table as a whole"


def test_a_column_that_the_profile_only_quotes_is_not_offered_for_training(study: Study) -> None:
    layout = study.layout.tables[0]
    quoted = dataclasses.replace(layout.columns[1], quoted=True, note="quoted: its list is not published")
    frame = study.frame.assign(status=study.frame["status"].where(study.frame["column"] != quoted.label, "quoted"))
    printed = terminal(fill(frame, dataclasses.replace(layout, columns=(layout.columns[0], quoted))), width=200)
    assert "--columns" not in printed and f"{quoted.label}: {quoted.note}" in printed


def test_no_difference_from_the_paper_is_printed_where_the_two_cannot_be_compared(study: Study) -> None:
    methods = fill(study.frame, study.layout.tables[0])
    assert pipes(markdown(methods))[2][1:5] == ["45.77", "52.60 ± 1.14, SD 0.46", "–", "not comparable"]
    for width in (200, 60):
        row = next(row for row in terminal(methods, width=width).splitlines() if row.startswith("Supervised"))
        assert [field.strip() for field in row.split("│")][1:5] == ["45.77", "52.60 ± 1.14", "–", "not comparable"]
    raw = pd.read_csv(io.StringIO(csv(methods))).set_index(["row", "column"])
    assert raw.loc[("Supervised", "1/16 (92)"), "delta"] == pytest.approx(52.6 - 45.77)


@pytest.mark.parametrize("more", [(), ("Of the table.", "Another.")])
def test_the_terminal_prints_three_remarks_and_the_file_with_all_of_them(study: Study, more: tuple[str, ...]) -> None:
    table = fill(study.frame, dataclasses.replace(study.layout.tables[0], notes=more))
    file = "out/tables/drawn.table1.md"
    short, *few, last = terminal(table, width=400, remarks=Path(file)).splitlines()[-4:]
    assert short.startswith("5 differences from Supervised, paired by seed: none significant")
    assert few == most_important_notes(table, 2)
    in_file = sum(line.startswith("- ") for line in markdown(table).splitlines())
    assert last == f"{in_file - 2} more remarks in {file}"
    assert all(note in terminal(table, width=400) for note in notes(table)), "without a file, all are printed"


def test_without_differences_the_terminal_prints_three_notes(sized: FilledTable) -> None:
    lines = terminal(sized, width=400, remarks=Path("t.md")).splitlines()
    assert lines[-3:] == most_important_notes(sized, 3)


def test_the_terminal_names_no_file_where_it_prints_all_remarks() -> None:
    assert "more remark" not in terminal(labelled("r"), width=100, remarks=Path("t.md"))


def test_brackets_in_labels_are_no_styles() -> None:
    assert "CPS [5] [bold]" in terminal(labelled("CPS [5] [bold]"), width=100)


def test_markdown_has_a_column_for_each_part_of_each_cell(table: FilledTable) -> None:
    head, rule, *rows = pipes(markdown(table))
    assert head[1:5] == ["1/16 (92) paper", "1/16 (92) ours", "1/16 (92) Δ", "1/16 (92) verdict"]
    assert {len(row) for row in (head, rule, *rows)} == {1 + 4 * 2}
    assert rows[4][1:5] == ["60.10", "59.96 ± 0.87, SD 0.35", "−0.14", "reproduced"]
    assert rows[4][5:] == ["–", "–", "–", "blocked"]


def test_markdown_and_latex_have_two_columns_each_for_params_and_flops(sized: FilledTable) -> None:
    head, rule, *rows = pipes(markdown(sized))
    assert head[1:5] == ["Params paper", "Params ours", "FLOPs paper", "FLOPs ours"]
    assert {len(row) for row in (head, rule, *rows)} == {1 + 2 * 2 + 4}
    assert rows[0][1:5] == ["11.19 M", "17.20 M", "17.20 G", "17.20 G"]
    text = latex(sized)
    assert r"\begin{tabular}{lrrrrrrrl}" in text
    assert r" & \multicolumn{2}{c}{Params} & \multicolumn{2}{c}{FLOPs} & \multicolumn{4}{c}{1/8} \\" in text
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}\cmidrule(lr){6-9}" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {len(re.findall(r"(?<!\\)&", row)) for row in body} == {8}


def test_markdown_escapes_its_own_signs() -> None:
    row = pipes(markdown(labelled("a|b *c* <script> &amp; d_e [1]")))[2][0]
    assert row == r"a\|b \*c\* &lt;script> &amp;amp; d\_e \[1\]"


def test_latex_escapes_its_own_signs() -> None:
    text = latex(labelled(r"100% & <a_b> $5 #1 {x} ~ ^ \cmd"))
    escaped = (
        r"100\% \& \textless{}a\_b\textgreater{} \$5 \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}cmd"
    )
    assert rf"\caption{{{escaped}}}" in text
    assert f"\n{escaped} & -- & 50.00 & -- & no published number \\\\" in text


def test_latex_rows_have_as_many_fields_as_the_table_has_columns(table: FilledTable) -> None:
    body = latex(table).split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 5
    assert {len(re.findall(r"(?<!\\)&", row)) for row in body} == {8}
    assert all(row.endswith(r"\\") for row in body)


def test_latex_opens_and_closes_the_same_environments(table: FilledTable) -> None:
    commands = re.findall(r"\\(begin|end)\{(\w+)\}", latex(table))
    opened = [name for kind, name in commands if kind == "begin"]
    assert opened == ["table", "adjustbox", "tabular"]
    assert [name for kind, name in commands if kind == "end"] == opened[::-1]


def test_csv_comes_back_from_pandas(table: FilledTable) -> None:
    read = pd.read_csv(io.StringIO(csv(table)))
    cells = list(table.cells())
    assert list(read["row"]) == [cell.row for cell in cells]
    for column, values in {
        "miou": [cell.last.mean for cell in cells],
        "miou_low": [cell.last.low for cell in cells],
        "paper": [cell.paper for cell in cells],
        "difference": [cell.comparison.paired.mean if cell.comparison else None for cell in cells],
    }.items():
        assert read[column].tolist() == pytest.approx(
            [math.nan if value is None else value for value in values], nan_ok=True
        )


def test_csv_has_sizes_in_full_where_the_table_has_them(table: FilledTable, sized: FilledTable) -> None:
    read = pd.read_csv(io.StringIO(csv(sized))).set_index("row")
    sizes = read.loc["ResNet-18", ["params", "macs", "crop", "paper_params", "paper_macs", "paper_crop"]]
    assert sizes.tolist() == [1.72e7, 1.72e10, "32x32", 11.19e6, 17.2e9, "512x512"]
    assert np.isnan(read.loc["ResNet-101 (teacher)", "paper_params"])
    assert "params" not in pd.read_csv(io.StringIO(csv(table))).columns


def test_csv_counts_failed_seeds_and_has_their_errors_in_one_line(table: FilledTable) -> None:
    read = pd.read_csv(io.StringIO(csv(table))).set_index(["row", "column"])
    cell = read.loc[("CPS & <R50>_100%", "1/8 (183)")]
    assert (cell["planned"], cell["done"], cell["failed"], cell["verdict"]) == (3, 2, 1, "failed")
    assert cell["errors"].startswith("seed 2: NotFinite") and "\n" not in cell["errors"]


def test_an_incomplete_mean_has_the_number_of_its_seeds(table: FilledTable) -> None:
    assert cell_text(table.rows[2][1]).ours == "62.48 ± 2.29 (2 of 3)"
    assert cell_text(table.rows[2][0]).ours == "57.78 ± 0.97"
