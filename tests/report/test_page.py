"""The page: complete, escaped, and in need of nothing but itself."""

from __future__ import annotations

import dataclasses
import re

import pytest
from drawn_study import ERROR, Study, draw_study
from page_parser import Page

from assay.analysis.filled_table import fill
from assay.analysis.run_summary import summarize
from assay.report.page import Section
from assay.report.page import study_page as make


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page(page)


def made(study: Study) -> str:
    sections = [Section(table=fill(study.frame, each), figures=(), panels=()) for each in study.layout.tables]
    return make(study.layout, sections, summarize(study.frame, study.layout))


def test_every_element_is_closed(parsed: Page) -> None:
    assert parsed.open == []


def test_nothing_is_loaded_from_anywhere(parsed: Page, page: str) -> None:
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "image", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"@import|url\((?!#)", page)


def test_the_browser_is_told_to_load_nothing(parsed: Page) -> None:
    policy = next(each["content"] for _, each in parsed.elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_ids_are_unique_and_all_references_are_answered(parsed: Page) -> None:
    ids = [each["id"] for _, each in parsed.elements if "id" in each]
    assert len(ids) == len(set(ids))
    asked = set()
    for _, each in parsed.elements:
        asked |= {value[1:] for name, value in each.items() if name.endswith("href") and (value or "")[:1] == "#"}
        asked |= set(re.findall(r"url\(#([^)]*)\)", " ".join(filter(None, each.values()))))
        asked |= set((each.get("aria-labelledby") or "").split())
    assert asked <= set(ids)


def test_params_and_flops_stand_between_the_row_and_its_cells(parsed: Page, page: str) -> None:
    networks = page[page.index('id="table-drawn-table2"') :]
    heads = re.findall(r"<th scope=.col.>(.*?)</th>", networks[: networks.index("</thead>")])
    assert heads == ["", "Params", "FLOPs", "1/8"]
    assert page.count('class="count"') == 2 * 3
    assert {"11.19 M", "17.20 G", "59.10 G"} <= set(parsed.texts)


def test_labels_and_errors_are_text_and_not_markup(parsed: Page, page: str) -> None:
    assert "CPS & <R50>_100%" in parsed.texts
    assert ERROR in parsed.texts
    assert not {"r50", "batch", "more"} & {tag for tag, _ in parsed.elements}
    assert "<R50>" not in page


def test_a_label_that_is_an_attack_stays_a_label() -> None:
    attack = "\"><script>alert('1')</script><img src=x onerror=alert(1)>"
    study = draw_study()
    frame = study.frame.replace({"row": {"Supervised": attack}, "error": {ERROR: attack}})
    data = study.layout.to_json()
    data["tables"][0]["rows"][0]["label"] = attack
    data["tables"][0]["reference"] = attack
    data["title"] = data["profile_note"] = data["tables"][0]["title"] = attack
    layout = type(study.layout).from_json(data)
    found = Page(made(Study(frame, layout)))
    assert not {"script", "img"} & {tag for tag, _ in found.elements}
    assert found.texts.count(attack) >= 5


def test_it_opens_with_title_profile_and_what_was_trained_on(parsed: Page) -> None:
    said = parsed.text()
    order = ["Mutual knowledge distillation", "Not the paper’s setting.", "It trains small networks", "33 trainings"]
    places = [said.index(each, said.index("drawn · profile quick")) for each in order]
    assert places == sorted(places)


def test_a_study_of_the_papers_setting_has_no_warning() -> None:
    assert "Not the paper’s setting" not in made(draw_study(comparable=True))


def test_a_study_that_follows_the_paper_in_part_says_so() -> None:
    study = draw_study()
    study.frame.loc[study.frame["table"] == "drawn.table2", "comparable"] = True
    assert "Not all of it is the paper’s setting" in made(study)


def test_a_cell_shows_ours_the_papers_the_verdict_its_seeds_and_their_spread(page: str) -> None:
    rows = re.findall(r'<tr><th scope="row"><span>CPS.*?</tr>', page)
    cell = " ".join(Page(rows[0].split("</td>")[1] + "</td>").texts)
    assert cell == "ours 62.48 ± 2.29 best 62.88 paper 67.42 failed 2 of 3 seeds, 1 failed · SD 0.25"


def test_a_cell_shows_its_difference_from_the_paper_where_the_two_can_be_compared() -> None:
    assert " Δ −4.94 " in Page(made(draw_study(comparable=True))).text()
    assert "Δ" not in Page(made(draw_study())).text()


def test_the_paired_differences_and_what_can_be_seen_stand_below(parsed: Page) -> None:
    said = parsed.text()
    assert "Differences from Supervised, paired by seed" in said
    assert "+4.24 [+4.09, +4.39] 3 seeds · p 0.250 · Holm 0.750 least possible p 0.250 · t-test < 0.001" in said
    assert "a gap has to be about" in said


def test_a_table_of_which_nothing_was_planned_is_only_named() -> None:
    study = draw_study()
    frame = study.frame.assign(status=study.frame["status"].where(study.frame["table"] == "drawn.table1", "quoted"))
    found = Page(made(Study(frame, study.layout)))
    said = found.text()
    assert said.endswith("drawn.table2 Students of different size. Not trained yet; --tables drawn.table2 runs it.")
    assert "MobileNetV2" not in said and "Mean Teacher [31]" in said
    assert "table-drawn-table2" not in [each.get("id") for _, each in found.elements]


def test_failures_are_listed_with_their_errors(parsed: Page) -> None:
    said = parsed.text()
    assert "failed seed 2 · drawn.table1: CPS & <R50>_100%, 1/8 (183) NotFinite: the term 'cross' became NaN" in said
    assert "blocked seeds 0, 1, 2 · drawn.table1: Mutual distillation, 1/8 (183)" in said


def test_it_ends_with_how_everything_was_run(parsed: Page) -> None:
    said = parsed.text()
    for each in ("commit 0123abc", "python 3.11.9, torch 2.11.0", "1 × cpu, 1 threads each", "Device time 18.6 min"):
        assert each in said[said.index("How it was run") :]


def test_figures_take_the_pages_colours(page: str) -> None:
    figures = "".join(re.findall(r"<figure>.*?</figure>", page, re.DOTALL))
    assert "var(--series-0)" in figures
    assert not re.search(r"(fill|stroke): #", figures)


def test_every_picture_and_figure_can_be_read_aloud(parsed: Page) -> None:
    assert all(each.get("alt") for tag, each in parsed.elements if tag == "img")
    assert all(
        each.get("role") == "img" and each.get("aria-labelledby") for tag, each in parsed.elements if tag == "svg"
    )


def test_one_seed_is_compared_without_a_word_on_tests() -> None:
    study = draw_study()
    assert "Holm’s method for the 3 comparisons of a column" in made(study)
    one = dataclasses.replace(study, frame=study.frame[study.frame["seed"].fillna(0) == 0])
    assert "equal seeds against equal seeds.</p>" in made(one) and "Holm" not in made(one)
