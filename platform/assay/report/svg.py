"""The style of all figures, and their SVG, which a page can contain and a screen reader can read aloud.

Equal inputs give equal bytes.
"""

from __future__ import annotations

import dataclasses
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

# Okabe and Ito's colours, which differ for every kind of colour vision. Yellow and black are left out: yellow vanishes
# on white, and black on black.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "v", "P", "X", "p")  # seven, which has no factor in common with six colours: 42 pairs
INK, MUTED, GRID, GROUND = "#24292f", "#6a737d", "#d8dee4", "#ffffff"

_WIDTH = 3.9  # inches; 9 points are then legible on a phone
_STYLE = {
    "svg.fonttype": "none",  # text stays text: files are small, and text can be selected and read aloud
    "svg.hashsalt": "assay",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # the layout is measured with it; browsers use narrower fonts
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "figure.facecolor": GROUND,
    "axes.facecolor": GROUND,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heading:
    """The names of a figure."""

    name: str  # of its file, without the ending
    group: str  # figures of one kind stand together
    title: str  # for screen readers, with the name of the table
    label: str  # above the axes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawn figure."""

    name: str
    group: str
    title: str
    description: str  # the numbers as text, for screen readers
    svg: str


def draw_figure(
    heading: Heading, description: str, draw: Callable[[Axes], None], *, height: float, legend_columns: int = 2
) -> Figure:
    """Return a figure; its legend stands below the axes, where it covers nothing."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        axes.set_title("\n".join(textwrap.wrap(heading.label, 36)))
        handles, labels = axes.get_legend_handles_labels()
        entries = dict(zip(labels, handles, strict=True))
        rows = -(-len(entries) // legend_columns)
        canvas.set_figheight(height + 0.18 * rows)
        canvas.legend(
            entries.values(), entries.keys(), loc="outside lower left", ncols=legend_columns, borderaxespad=0.2
        )
        svg = _described(_svg(canvas), heading.title, description)
    return Figure(name=heading.name, group=heading.group, title=heading.title, description=description, svg=svg)


def scale_x_axis(axes: Axes, values: Sequence[float]) -> None:
    """Choose the scale and ticks of an x axis, so that values of very different size do not fall together."""
    if min(values) > 0 and max(values) > 8 * min(values):
        axes.set_xscale("log")
        crowded = max(values) > 1000 * min(values)  # three labels per decade would overlap
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if crowded else (1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _svg(canvas: Canvas) -> str:
    buffer = io.StringIO()
    FigureCanvasSVG(canvas).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()


def _described(svg: str, title: str, description: str) -> str:
    """Return the figure with a title and a description for screen readers."""
    head = f'<title id="title">{escape(title)}</title>\n <desc id="description">{escape(description)}</desc>'
    return re.sub(
        r"<svg ([^>]*)>",
        lambda match: f'<svg role="img" aria-labelledby="title description" {match[1]}>\n {head}',
        svg,
        count=1,
    )
