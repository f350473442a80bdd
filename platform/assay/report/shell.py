"""What every page of a report is: one file that needs nothing else, no script, no font, no network."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Sequence

from assay.report.markup import Content, Markup, element
from assay.report.svg import COLORS, GRID, GROUND, INK, MUTED, Figure

# Nothing is loaded and nothing runs, whatever a label says; pictures and styles stand in the page itself.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# A figure's colours follow the page's, so that it can be read on a dark ground too.
_THEME = {INK: "--ink", MUTED: "--muted", GRID: "--rule", GROUND: "--card"} | {
    color: f"--series-{index}" for index, color in enumerate(COLORS)
}


def document(title: str, *contents: Content) -> str:
    """A whole page with these contents."""
    style = importlib.resources.files("assay.report").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head}\n{element("body", *contents)}</html>\n'


def figure_groups(figures: Sequence[Figure]) -> Markup:
    """The figures kind by kind; kinds of which there is only one stand side by side."""
    groups = []
    for name in dict.fromkeys(figure.group for figure in figures):
        shown = [element("figure", _inline(each)) for each in figures if each.group == name]
        kind = "group single" if len(shown) == 1 else "group"
        groups.append(element("div", element("h3", name), element("div", *shown, class_="figures"), class_=kind))
    return element("div", *groups, class_="groups")


def _inline(figure: Figure) -> Markup:
    """A figure inside the page: the page's colours and fonts, and ids that no other figure has."""
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    prefix = re.sub(r"[^A-Za-z0-9]+", "-", figure.name)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace('aria-labelledby="title description"', f'aria-labelledby="{prefix}-title {prefix}-description"')
    return Markup(re.sub(r"#[0-9a-f]{6}\b", lambda found: _themed(found[0]), svg))


def _themed(color: str) -> str:
    return f"var({_THEME[color]})" if color in _THEME else color
