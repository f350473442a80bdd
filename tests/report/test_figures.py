"""Figures: deterministic, described, self-contained SVG."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
from drawn_study import Study

from assay.analysis.filled_table import fill
from assay.report import figures as module
from assay.report.figures import Figure, figures

SVG = "{http://www.w3.org/2000/svg}"
EMPTY = pd.DataFrame({"key": [], "step": [], "name": [], "value": []})


def draw(study: Study, number: int, history: pd.DataFrame | None = None) -> list[Figure]:
    table = fill(study.frame, study.layout.tables[number])
    keys = [run.key for cell in table.cells() for run in cell.runs]
    return figures(table, study.history(keys) if history is None else history)


@pytest.fixture(scope="module")
def drawn(study: Study) -> list[Figure]:
    return draw(study, 0)


def texts(figure: Figure) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(figure.svg).iter(f"{SVG}text")]


def named(figures: list[Figure], name: str) -> Figure:
    return next(figure for figure in figures if name in figure.name)


def test_each_column_has_a_figure_of_each_kind(drawn: list[Figure]) -> None:
    kinds = ("paper", "miou", "loss")
    columns = ("1-1-16-92", "2-1-8-183")
    assert [figure.name for figure in drawn] == [
        f"drawn.table1.{kind}.{column}" for kind in kinds for column in columns
    ]


def test_equal_inputs_give_equal_bytes(study: Study, drawn: list[Figure]) -> None:
    for name in ("_against_paper", "_draw_learning", "_against_cost"):
        getattr(module, name).cache_clear()
    assert [figure.svg for figure in draw(study, 0)] == [figure.svg for figure in drawn]


def test_figures_hold_no_date_no_font_file_and_nothing_from_elsewhere(drawn: list[Figure]) -> None:
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        links = [value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)
        assert not any(word in figure.svg for word in ("<metadata", "dc:date", "@font-face", ".ttf", "/usr"))


def test_figures_have_a_title_and_a_description(drawn: list[Figure]) -> None:
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        labels = [root.find(f".//*[@id='{name}']") for name in root.attrib["aria-labelledby"].split()]
        assert root.attrib["role"] == "img"
        assert [label.text for label in labels] == [figure.title, figure.description]


def test_the_description_has_the_numbers(drawn: list[Figure]) -> None:
    assert "Mean Teacher [31]: ours 56.84 ± 1.05, paper 48.70" in named(drawn, "paper.1").description
    assert "Supervised: 52." in named(drawn, "miou.1").description


def test_axes_have_units(drawn: list[Figure]) -> None:
    assert "mIoU (%)" in texts(named(drawn, "paper.1"))
    assert "validation mIoU (%)" in texts(named(drawn, "miou.1"))
    assert "cross-entropy (nats)" in texts(named(drawn, "loss.1"))


def test_a_row_without_a_number_names_its_state(drawn: list[Figure]) -> None:
    assert "(blocked)" in " ".join(texts(named(drawn, "paper.2")))


def test_the_papers_numbers_are_marked_where_they_cannot_be_compared(drawn: list[Figure]) -> None:
    assert "paper, not comparable" in texts(named(drawn, "paper.1"))


def test_a_column_without_our_results_has_no_figure(study: Study) -> None:
    frame = study.frame.assign(status="quoted")
    assert figures(fill(frame, study.layout.tables[0]), EMPTY) == []


def test_cost_is_drawn_only_where_networks_differ(study: Study, drawn: list[Figure]) -> None:
    assert not any(".cost." in figure.name for figure in drawn)
    figure = named(draw(study, 1), ".cost.")
    assert "MobileNetV2: ours 66.50 ± 1.14 at 1.53 G, paper 70.00 at 1.52 G" in figure.description
    assert "multiply-adds of the encoder for one image" in texts(figure)


def test_the_papers_points_stand_beside_ours_where_the_paper_prints_both_numbers(study: Study) -> None:
    figure = named(draw(study, 1), ".cost.")
    assert "ResNet-101 (teacher): ours 76.00 ± 1.14 at 59.10 G" in figure.description.split("; ")
    assert {"ours", "paper, not comparable", "ResNet-101 (teacher)"} <= set(texts(figure))
    layout = study.layout.tables[1]
    unprinted = tuple(dataclasses.replace(row, counted=None) for row in layout.rows)
    alone = figures(fill(study.frame, dataclasses.replace(layout, rows=unprinted)), EMPTY)
    assert not {"ours", "paper, not comparable"} & set(texts(named(alone, ".cost.")))


def test_an_untrained_row_has_the_papers_point_only(study: Study) -> None:
    frame = study.frame.copy()
    frame.loc[frame["row"] == "ResNet-18", ["status", "miou"]] = ["waiting", float("nan")]
    figure = named(figures(fill(frame, study.layout.tables[1]), EMPTY), ".cost.")
    assert "ResNet-18: paper 70.00 at 17.20 G" in figure.description.split("; ")


def test_results_without_counts_are_not_drawn_against_cost(study: Study) -> None:
    frame = study.frame.assign(encoder_macs=float("nan"))
    assert not any(".cost." in figure.name for figure in figures(fill(frame, study.layout.tables[1]), EMPTY))


def test_labels_of_the_cost_axis_do_not_overlap_where_networks_differ_much_in_size(study: Study) -> None:
    frame = study.frame.assign(encoder_macs=study.frame["encoder_macs"] / 1e5)
    figure = named(figures(fill(frame, study.layout.tables[1]), EMPTY), ".cost.")
    labels = [text for text in texts(figure) if re.fullmatch(r"\d+[kMG]?", text) and text[-1] in "0kMG"]
    assert {"100k", "1M", "10M", "1G"} <= set(labels) and not {"2M", "5M", "20M"} & set(labels)


def test_named_rows_are_drawn_over_the_columns_once_two_columns_have_numbers(study: Study) -> None:
    layout = dataclasses.replace(study.layout.tables[0], plot_over_columns=("Supervised", "Mutual distillation"))
    figure = named(figures(fill(study.frame, layout), EMPTY), "drawn.table1.across")
    assert "Supervised at 1/16 (92): ours 52." in figure.description and "Mean Teacher" not in figure.description
    assert "Mutual distillation at 1/16 (92): ours 59.96 ± 0.87, paper 60.10" in figure.description
    assert {"1/16 (92)", "1/8 (183)", "mIoU (%)", "Mutual distillation", "ours"} <= set(texts(figure))
    first = study.frame[study.frame["column"] == layout.columns[0].label]
    assert not any(figure.name.endswith(".across") for figure in figures(fill(first, layout), EMPTY))


def test_without_history_there_are_no_curves(study: Study) -> None:
    assert {figure.group for figure in draw(study, 0, EMPTY)} == {"Ours against the paper’s"}
