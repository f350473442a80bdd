"""A search's page: complete, escaped, and in need of nothing but itself."""

from __future__ import annotations

import dataclasses
import html
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from drawn_search import ERROR, LAYOUT, Search, search
from page_parser import Page

from assay.analysis.trials import best
from assay.report.search.write import write_search_report


@pytest.fixture(scope="module")
def parsed(search_page: str) -> Page:
    return Page(search_page)


def page_of(found: Search, folder: Path, reason: str = "") -> Page:
    write_search_report(found.layout, found.trials, pd.DataFrame(), reason, folder=folder)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_every_element_is_closed_and_nothing_is_loaded(parsed: Page, search_page: str) -> None:
    assert parsed.open == []
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base", "image", "form", "img"}
        assert not any(name.startswith("on") for name in attributes)
        assert all((attributes.get(name) or "#").startswith("#") for name in ("src", "href", "xlink:href"))
    assert not re.search(r"@import|url\((?!#)", search_page)


def test_ids_are_unique_and_all_references_are_answered(parsed: Page) -> None:
    ids = [each["id"] for _, each in parsed.elements if "id" in each]
    assert len(ids) == len(set(ids))
    asked = set()
    for _, each in parsed.elements:
        asked |= {value[1:] for name, value in each.items() if name.endswith("href") and (value or "")[:1] == "#"}
        asked |= set(re.findall(r"url\(#([^)]*)\)", " ".join(filter(None, each.values()))))
        asked |= set((each.get("aria-labelledby") or "").split())
    assert asked <= set(ids)


def test_it_opens_with_what_was_explored_and_on_what(parsed: Page) -> None:
    said = parsed.text()
    order = [
        "Thresholds and weights of <cross> supervision",
        "Not the paper’s setting: drawn shapes instead of PASCAL VOC 2012.",
        "It trains nothing",
        "mIoU, larger is better · sampler TPE, seed 0 · pruner median after 4 trials · seeds 0, 1",
        "40 trials",
    ]
    places = [said.index(each, said.index("drawn_search · search · profile quick")) for each in order]
    assert places == sorted(places)


def test_a_search_in_the_papers_setting_has_no_warning(tmp_path: Path) -> None:
    found = search(2)
    followed = dataclasses.replace(found, layout=dataclasses.replace(LAYOUT, not_comparable=""))
    assert "Not the paper’s setting" not in page_of(followed, tmp_path).text()


def test_the_space_is_a_table_with_the_papers_value_beside_each_range(search_page: str) -> None:
    space = search_page[search_page.index('id="space"') : search_page.index('id="figures"')]
    rows = [" | ".join(Page(each).texts) for each in re.findall(r"<tr>.*?</tr>", space)]
    assert rows[0] == "parameter | searched | the paper’s | best"
    assert rows[1].startswith("method.threshold | 0.5 to 0.99 | 0.95 | 0.")
    assert rows[5].startswith("method.momentum | if method.kind = mean & teacher | 0.9 to 0.999 | – | ")


def test_the_flags_of_the_best_can_be_copied(searched: Search, search_page: str) -> None:
    found = best(searched.layout, searched.trials)[0]
    copied = shlex.split(html.unescape(re.findall(r"<pre>(--set .*?)</pre>", search_page)[0]))
    assert dict(each.split("=", 1) for each in copied[1::2]) == {
        path: str(value) for path, value in found.settings.items()
    }


def test_each_of_several_trials_of_the_papers_is_told_by_what_sets_it_apart(searched: Search, tmp_path: Path) -> None:
    trials = searched.trials
    twin = trials.query("trial == 0").assign(trial=trials["trial"].max() + 1, **{"method.kind": "mean & teacher"})
    page = page_of(dataclasses.replace(searched, trials=pd.concat([trials, twin])), tmp_path)
    assert "trial 0, the paper’s values with method.kind = cps" in page.texts
    assert "trial 40, the paper’s values with method.kind = mean & teacher" in page.texts


def test_a_front_has_flags_for_each_of_its_trials(traded: Search, tmp_path: Path) -> None:
    page = page_of(traded, tmp_path)
    assert sum(each.startswith("--set ") for each in page.texts) == len(best(traded.layout, traded.trials))


def test_every_trial_has_a_row(searched: Search, search_page: str) -> None:
    table = search_page[search_page.index('id="trials"') : search_page.index('id="without-a-result"')]
    rows = [Page(each).texts for each in re.findall(r"<tr>.*?</tr>", table)][1:]
    states = searched.trials.drop_duplicates("trial")["state"].tolist()
    assert len(rows) == 40
    assert [next(each for each in row if each in set(states)) for row in rows] == states
    assert all(("100 of 400" in row) == ("pruned" in row) for row in rows)


def test_importances_come_with_what_they_do_not_say(parsed: Page) -> None:
    said = parsed.text()
    caveat = said[said.index("Shares of what the parameters explain") :]
    for each in ("for no wider ones", "Pruned and failed trials are left out", "PED-ANOVA asks what tells the best"):
        assert each in caveat
    assert "Momentum is not ranked by fANOVA." in caveat


def test_where_there_are_no_importances_the_reason_stands(tmp_path: Path) -> None:
    said = page_of(search(2), tmp_path, "Importances need 10 completed trials.").text()
    assert "Importances Importances need 10 completed trials." in said
    assert "Shares of what the parameters explain" not in said


def test_failures_and_labels_are_text_and_not_markup(parsed: Page, search_page: str) -> None:
    assert ERROR in parsed.texts
    assert not {"cross", "batch"} & {tag for tag, _ in parsed.elements}
    assert "<cross>" not in search_page


def test_it_says_how_the_journal_is_opened_and_under_which_keys_all_lies(searched: Search, parsed: Page) -> None:
    assert "optuna-dashboard OUT/drawn_search/quick/optuna.journal" in parsed.texts
    assert {f"seed {line.seed}: {line.key}" for line in searched.trials.itertuples()} <= set(parsed.texts)


def test_figures_take_the_pages_colours(search_page: str) -> None:
    figures = "".join(re.findall(r"<figure>.*?</figure>", search_page, re.DOTALL))
    assert figures.count("<figure>") == 9
    assert not re.search(r"(fill|stroke): #", figures)


def test_before_the_first_trial_there_is_the_space(tmp_path: Path) -> None:
    said = page_of(Search(search(1).study, LAYOUT, pd.DataFrame()), tmp_path).text()
    assert "0 trials" in said
    assert "No configuration was completed yet." in said
    assert "method.threshold 0.5 to 0.99 0.95 –" in said
