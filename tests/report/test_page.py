"""A study's page: complete, escaped and self-contained."""

from __future__ import annotations

import dataclasses
import re

import pytest
from drawn_study import ERROR, Study, draw_panel, draw_study
from jinja2 import UndefinedError
from page_parser import Page

from assay.analysis.filled_table import fill
from assay.analysis.run_summary import summarize
from assay.report.page import Section, study_page
from assay.report.rendering import render
from assay.results.panel import Panel

ATTACK = "\"><script>alert('1')</script><img src=x onerror=alert(1)> & {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page(page)


def page_of(study: Study, panels: tuple[tuple[str, Panel], ...] = ()) -> str:
    sections = [Section(table=fill(study.frame, table), figures=(), panels=panels) for table in study.layout.tables]
    return study_page(study.layout, sections, summarize(study.frame, study.layout))


def test_every_element_is_closed(parsed: Page) -> None:
    assert parsed.open == []


def test_nothing_is_loaded_from_anywhere(parsed: Page, page: str) -> None:
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "image", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_policy_forbids_the_browser_to_load_anything(parsed: Page) -> None:
    metas = [attributes for tag, attributes in parsed.elements if tag == "meta"]
    policy = next(meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_ids_are_unique_and_every_reference_has_its_target(parsed: Page) -> None:
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.references <= set(parsed.ids)


def test_params_and_flops_stand_between_the_row_and_its_cells(parsed: Page, page: str) -> None:
    head, *rows = parsed.tables["Results: Students of different size"]
    assert head == ["", "Params", "FLOPs", "1/8"]
    assert page.count('class="count"') == 2 * 3
    numbers = {number for row in rows for cell in row[1:3] for number in re.findall(r"[\d.]+ [MG]", cell)}
    assert {"11.19 M", "17.20 G", "59.10 G"} <= numbers


def test_labels_and_errors_are_text_and_not_markup(parsed: Page, page: str) -> None:
    assert "CPS & <R50>_100%" in parsed.texts
    assert ERROR in parsed.texts
    assert not {"r50", "batch", "more"} & {tag for tag, _ in parsed.elements}
    assert "<R50>" not in page


def test_a_hostile_text_stays_a_text_everywhere() -> None:
    study = draw_study()
    replaced = {"row": {"Supervised": ATTACK}, "column": {"1/8 (183)": ATTACK}, "error": {ERROR: ATTACK}}
    frame = study.frame.replace(replaced).assign(
        encoder=ATTACK, git_commit=ATTACK, latency_at=ATTACK, device=ATTACK, key=study.frame["key"]
    )
    data = study.layout.to_json()
    table = data["tables"][0]
    table["rows"][0]["label"] = table["columns"][1]["label"] = table["columns"][0]["note"] = ATTACK
    table["reference"] = table["title"] = table["caption"] = ATTACK
    table["notes"] = (ATTACK,)
    data["title"] = data["name"] = data["profile"] = data["profile_note"] = ATTACK
    panel = dataclasses.replace(draw_panel(), classes=(ATTACK, "disc", "square"))
    text = page_of(Study(frame, type(study.layout).from_json(data)), ((ATTACK, panel),))
    page = Page(text)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.elements} and "<script" not in text
    attributes = {name for _, attributes in page.elements for name in attributes}
    assert not any(name.startswith("on") for name in attributes)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert images and all((image["src"] or "").startswith("data:image/png;base64,") for image in images)
    assert images[-1]["alt"] == f"{ATTACK}, validation image 4"
    assert page.texts.count(ATTACK) >= 12
    assert {f"Results: {ATTACK}", f"Differences: {ATTACK}"} <= set(page.tables)


def test_a_name_that_a_template_does_not_know_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="study"):
        render("study.html", search=None)


def test_it_opens_with_title_profile_and_training_data(parsed: Page) -> None:
    text = parsed.text()
    parts = ["Mutual knowledge distillation", "Not the paper’s setting.", "It trains small networks", "33 trainings"]
    places = [text.index(part, text.index("drawn · profile quick")) for part in parts]
    assert places == sorted(places)


def test_a_study_in_the_papers_setting_has_no_warning() -> None:
    assert "Not the paper’s setting" not in page_of(draw_study(comparable=True))


def test_a_study_that_follows_the_paper_in_part_has_a_milder_warning() -> None:
    study = draw_study()
    study.frame.loc[study.frame["table"] == "drawn.table2", "comparable"] = True
    assert "Not all of it is the paper’s setting" in page_of(study)


def test_a_cell_shows_ours_the_papers_the_verdict_its_seeds_and_their_spread(parsed: Page) -> None:
    rows = parsed.tables["Results: Semi-supervised methods on PASCAL VOC 2012"]
    row = next(row for row in rows if row[0].startswith("CPS"))
    assert row[2] == "ours 62.48 ± 2.29 best 62.88 paper 67.42 failed 2 of 3 seeds, 1 failed · SD 0.25"


def test_a_cell_shows_its_difference_from_the_paper_where_the_two_can_be_compared() -> None:
    assert " Δ −4.94 " in Page(page_of(draw_study(comparable=True))).text()
    assert "Δ" not in Page(page_of(draw_study())).text()


def test_the_reference_row_is_marked(parsed: Page) -> None:
    rows = parsed.tables["Results: Semi-supervised methods on PASCAL VOC 2012"]
    assert [row[0] for row in rows if row[0].endswith("reference")] == ["Supervised reference"]


def test_the_paired_differences_and_the_smallest_visible_gap_stand_below(parsed: Page) -> None:
    text = parsed.text()
    assert "Differences from Supervised, paired by seed" in text
    assert "+4.24 [+4.09, +4.39] 3 seeds · p 0.250 · Holm 0.750 least possible p 0.250 · t-test < 0.001" in text
    assert "a gap has to be about" in text


def test_a_table_without_planned_trainings_is_only_named() -> None:
    study = draw_study()
    frame = study.frame.assign(status=study.frame["status"].where(study.frame["table"] == "drawn.table1", "quoted"))
    page = Page(page_of(Study(frame, study.layout)))
    text = page.text()
    assert text.endswith("drawn.table2 Students of different size. Not trained yet; --tables drawn.table2 runs it.")
    assert "MobileNetV2" not in text and "Mean Teacher [31]" in text
    assert "table-drawn-table2" not in page.ids


def test_sizes_stand_side_by_side_where_networks_differ(parsed: Page) -> None:
    head, first, *_ = parsed.tables["Size and speed of each network"]
    assert head == ["", "crop", "parameters", "multiply-adds", "latency", "measured on", "trainings", "mIoU"]
    assert first[0].startswith("tiny, deeplabv3plus of: Supervised; Mean Teacher [31]")
    assert first[4] == "1.5 ms"


@pytest.mark.parametrize(("crop", "has_note"), [("32x32", True), ("512x512", False)])
def test_a_note_warns_of_latencies_on_very_small_images(crop: str, has_note: bool) -> None:
    study = draw_study()
    text = Page(page_of(Study(study.frame.assign(crop=crop), study.layout))).text()
    assert (f"At {crop} a latency is mostly the cost of calls" in text) is has_note


def test_failures_are_listed_with_their_errors(parsed: Page) -> None:
    text = parsed.text()
    assert "failed seed 2 · drawn.table1: CPS & <R50>_100%, 1/8 (183) NotFinite: the term 'cross' became NaN" in text
    assert "blocked seeds 0, 1, 2 · drawn.table1: Mutual distillation, 1/8 (183)" in text


def test_it_ends_with_code_versions_devices_and_times(parsed: Page) -> None:
    text = parsed.text()
    for part in ("commit 0123abc", "python 3.11.9, torch 2.11.0", "1 × cpu, 1 threads each", "Device time 18.6 min"):
        assert part in text[text.index("How it was run") :]
    assert [cell.split(" Semi")[0] for cell in parsed.tables["What each row took"][1][:2]] == ["Supervised", "6"]


def test_figures_take_the_pages_colours(page: str) -> None:
    figures = "".join(re.findall(r"<figure>.*?</figure>", page, re.DOTALL))
    assert "var(--series-0)" in figures
    assert not re.search(r"(fill|stroke): #", figures)


def test_every_picture_and_figure_can_be_read_aloud(parsed: Page) -> None:
    for tag, attributes in parsed.elements:
        if tag == "img":
            assert attributes.get("alt")
        if tag == "svg":
            assert attributes.get("role") == "img" and attributes.get("aria-labelledby")


def test_tests_are_mentioned_only_where_several_seeds_are_compared() -> None:
    study = draw_study()
    assert "Holm’s method for the 3 comparisons of a column" in page_of(study)
    one = page_of(dataclasses.replace(study, frame=study.frame[study.frame["seed"].fillna(0) == 0]))
    assert "equal seeds against equal seeds.</p>" in one and "Holm" not in one
