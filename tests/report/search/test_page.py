"""A search's page: complete, escaped and self-contained."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from drawn_search import ERROR, LAYOUT, Search, best_of, search
from page_parser import Page

from assay.report.search.page import SearchPage
from assay.report.search.write import write_search_report


@pytest.fixture(scope="module")
def parsed(search_page: str) -> Page:
    return Page(search_page)


def page_of(search: Search, folder: Path, reason: str = "") -> Page:
    write_search_report(search.layout, search.trials, pd.DataFrame(), reason, folder=folder)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_every_element_is_closed_and_nothing_is_loaded(parsed: Page, search_page: str) -> None:
    assert parsed.open == []
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "image", "form", "img"}
        assert not any(name.startswith("on") for name in attributes)
        assert all((attributes.get(name) or "#").startswith("#") for name in ("src", "href", "xlink:href"))
    assert not re.search(r"@import|url\((?!#)", search_page)


def test_a_section_that_the_template_does_not_know_is_an_error(
    searched: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SearchPage, "sections", ("Space", "Prices"))
    with pytest.raises(ValueError, match="no section Prices"):
        page_of(searched, tmp_path)


def test_ids_are_unique_and_every_reference_has_its_target(parsed: Page) -> None:
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.references <= set(parsed.ids)


def test_it_opens_with_the_subject_and_the_data(parsed: Page) -> None:
    text = parsed.text()
    parts = [
        "Thresholds and weights of <cross> supervision",
        "Not the paper’s setting: drawn textures instead of PASCAL VOC 2012.",
        "It trains nothing",
        "mIoU, larger is better · sampler TPE, seed 0 · pruner median after 4 trials · seeds 0, 1",
        "40 trials",
    ]
    places = [text.index(part, text.index("drawn_search · search · profile quick")) for part in parts]
    assert places == sorted(places)


def test_a_search_in_the_papers_setting_has_no_warning(tmp_path: Path) -> None:
    followed = dataclasses.replace(search(2), layout=dataclasses.replace(LAYOUT, not_comparable=""))
    assert "Not the paper’s setting" not in page_of(followed, tmp_path).text()


def test_the_space_is_a_table_with_the_papers_value_beside_each_range(parsed: Page) -> None:
    head, *rows = parsed.tables["The space"]
    assert head == ["parameter", "searched", "the paper’s", "best"]
    assert rows[0][:3] == ["method.threshold", "0.5 to 0.99", "0.95"] and rows[0][3].startswith("0.")
    assert rows[4][:3] == ["method.momentum if method.kind = mean & teacher", "0.9 to 0.999", "–"]


def test_the_flags_of_the_best_can_be_copied(searched: Search, parsed: Page) -> None:
    trial = best_of(searched)[0]
    flags = shlex.split(next(text for text in parsed.texts if text.startswith("--set ")))
    assert dict(flag.split("=", 1) for flag in flags[1::2]) == {
        path: str(value) for path, value in trial.settings.items()
    }


def test_several_trials_of_the_papers_values_are_named_by_their_differences(searched: Search, tmp_path: Path) -> None:
    trials = searched.trials
    twin = trials.query("trial == 0").assign(trial=trials["trial"].max() + 1, **{"method.kind": "mean & teacher"})
    page = page_of(dataclasses.replace(searched, trials=pd.concat([trials, twin])), tmp_path)
    assert "trial 0, the paper’s values with method.kind = cps" in page.texts
    assert "trial 40, the paper’s values with method.kind = mean & teacher" in page.texts


def test_a_front_has_flags_for_each_of_its_trials(traded: Search, tmp_path: Path) -> None:
    page = page_of(traded, tmp_path)
    assert sum(text.startswith("--set ") for text in page.texts) == len(best_of(traded))


def test_every_trial_has_a_row(searched: Search, parsed: Page) -> None:
    head, *rows = parsed.tables["All trials"]
    states = searched.trials.drop_duplicates("trial")["state"].tolist()
    assert head[:4] == ["trial", "state", "mIoU (%)", "pruned at"]
    assert [row[1] for row in rows] == states and len(rows) == 40
    assert all((row[3] == "100 of 400") == (row[1] == "pruned") for row in rows)


def test_importances_come_with_their_limits(parsed: Page) -> None:
    text = parsed.text()
    caveat = text[text.index("Shares of the total importance, over") :]
    for part in ("only for the ranges below", "Pruned and failed trials are left out", "PED-ANOVA measures what"):
        assert part in caveat
    assert "Momentum is not ranked by fANOVA." in caveat


def test_without_importances_the_reason_stands(tmp_path: Path) -> None:
    text = page_of(search(2), tmp_path, "Importances need 10 completed trials.").text()
    assert "Importances Importances need 10 completed trials." in text
    assert "Shares of the total importance" not in text


def test_failures_and_labels_are_text_and_not_markup(parsed: Page, search_page: str) -> None:
    assert ERROR in parsed.texts
    assert not {"cross", "batch"} & {tag for tag, _ in parsed.elements}
    assert "<cross>" not in search_page


def test_a_hostile_text_stays_a_text_everywhere(searched: Search, tmp_path: Path) -> None:
    attack = "\"><script>alert('1')</script><img src=x onerror=alert(1)> & {{ 7 * 7 }}"
    threshold, weight, boxes, kind, momentum = LAYOUT.parameters
    layout = dataclasses.replace(
        LAYOUT,
        title=attack, name=attack, profile=attack, profile_note=attack, not_comparable=attack, sampler=attack,
        command=attack,
        objectives=(dataclasses.replace(LAYOUT.objectives[0], label=attack),),
        parameters=(
            dataclasses.replace(threshold, path=attack), weight, boxes,
            dataclasses.replace(kind, options=(attack, "mean & teacher"), paper=attack), momentum,
        ),
    )  # fmt: skip
    trials = searched.trials.rename(columns={"method.threshold": attack}).replace({"method.kind": {"cps": attack}})
    trials = trials.assign(key=attack, error=trials["error"].where(trials["error"] == "", attack))
    page = page_of(dataclasses.replace(searched, layout=layout, trials=trials), tmp_path, attack)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.open == []
    assert not {"script", "img"} & {tag for tag, _ in page.elements} and "<script" not in text
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.texts.count(attack) >= 8


def test_it_names_the_journals_dashboard_and_the_keys_of_all_trainings(searched: Search, parsed: Page) -> None:
    assert "optuna-dashboard OUT/drawn_search/quick/optuna.journal" in parsed.texts
    assert {f"seed {line.seed}: {line.key}" for line in searched.trials.itertuples()} <= set(parsed.texts)


def test_figures_take_the_pages_colours(search_page: str) -> None:
    figures = "".join(re.findall(r"<figure>.*?</figure>", search_page, re.DOTALL))
    assert figures.count("<figure>") == 9
    assert not re.search(r"(fill|stroke): #", figures)


def test_before_the_first_trial_there_is_the_space(tmp_path: Path) -> None:
    page = page_of(Search(search(1).study, LAYOUT, pd.DataFrame()), tmp_path)
    assert "0 trials" in page.text()
    assert "No configuration was completed yet." in page.text()
    assert ["method.threshold", "0.5 to 0.99", "0.95", "–"] in page.tables["The space"]


def test_a_section_without_content_is_left_out(parsed: Page, tmp_path: Path) -> None:
    ids = ["best-configurations", "space", "figures", "importances", "trials", "without-a-result", "journal-and-keys"]
    assert [identifier for identifier in parsed.ids if identifier in ids] == ids
    page = page_of(Search(search(1).study, LAYOUT, pd.DataFrame()), tmp_path)
    assert page.ids == ["best-configurations", "space", "journal-and-keys"]
