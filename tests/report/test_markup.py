"""HTML that is escaped by construction."""

from __future__ import annotations

from assay.report.markup import Markup, element, join


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "a < b", Markup("<br>")) == "<p>a &lt; b<br></p>"


def test_attributes_are_escaped_and_absent_ones_left_out() -> None:
    assert element("a", title='"x" & y', id=None) == '<a title="&quot;x&quot; &amp; y"></a>'


def test_names_that_python_reserves_or_cannot_spell_are_spelt_out() -> None:
    assert element("th", class_="a", aria_label="b", name="c") == '<th class="a" aria-label="b" name="c"></th>'


def test_elements_without_content_have_no_end() -> None:
    assert element("img", alt="x") == '<img alt="x">'


def test_contents_may_be_nested_and_absent() -> None:
    assert join("a", None, ["<", element("b", "c")]) == "a&lt;<b>c</b>"
