"""Pages of a report from templates; a page is one file without scripts, fonts or requests."""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
from collections.abc import Sequence
from typing import NoReturn

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from assay.report.svg import COLORS, GRID, GROUND, INK, MUTED, Figure

# The browser loads nothing and runs nothing, even if a label contains code. Pictures and styles are part of the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# A figure takes the page's colours, so that it can be read on a dark ground.
_THEME = {INK: "--ink", MUTED: "--muted", GRID: "--rule", GROUND: "--card"} | {
    color: f"--series-{index}" for index, color in enumerate(COLORS)
}
# Every text is escaped, and a name that a template does not know is an error instead of an empty place.
_TEMPLATES = Environment(
    loader=PackageLoader("assay.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _fail(message: str) -> NoReturn:
    """Raise an error, for a template that cannot show a value."""
    raise ValueError(message)


_TEMPLATES.globals["fail"] = _fail


@dataclasses.dataclass(frozen=True, kw_only=True)
class StateBar:
    """Trainings or trials by state, for the bar at the top of a page."""

    states: tuple[tuple[str, int], ...]
    noun: str
    device_time: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureGroup:
    """Figures of one kind, ready for the page."""

    title: str
    figures: tuple[Markup, ...]


def render(template: str, **values: object) -> str:
    """Return a template's page with these values."""
    style = importlib.resources.files("assay.report").joinpath("page.css").read_text(encoding="utf-8")
    return _TEMPLATES.get_template(template).render(policy=_POLICY, style=Markup(style), **values)


def figure_groups(figures: Sequence[Figure]) -> tuple[FigureGroup, ...]:
    """Return the figures kind by kind, in the order in which the kinds first appear."""
    return tuple(
        FigureGroup(title=title, figures=tuple(_inline(figure) for figure in figures if figure.group == title))
        for title in dict.fromkeys(figure.group for figure in figures)
    )


def _inline(figure: Figure) -> Markup:
    """Return a figure as an element of the page: with the page's colours and fonts, and with unique ids."""
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    prefix = re.sub(r"[^A-Za-z0-9]+", "-", figure.name)
    svg = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace('aria-labelledby="title description"', f'aria-labelledby="{prefix}-title {prefix}-description"')
    return Markup(re.sub(r"#[0-9a-f]{6}\b", lambda match: _themed(match[0]), svg))


def _themed(color: str) -> str:
    return f"var({_THEME[color]})" if color in _THEME else color
