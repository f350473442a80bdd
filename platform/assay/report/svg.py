"""How every figure of a report is drawn: one look, as SVG that a page can hold and that can be read aloud.

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

# Okabe and Ito's colours, which differ for every kind of colour vision; yellow and black are left out because one
# cannot be seen on white and the other on black.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "v", "P", "X", "p")  # as many as keep the pairs of colour and marker apart
INK, MUTED, GRID, GROUND = "#24292f", "#6a737d", "#d8dee4", "#ffffff"

_WIDTH = 3.9  # inches, at which 9 points can be read on a phone
_STYLE = {
    "svg.fonttype": "none",  # text stays text: small files, and it can be selected and read aloud
    "svg.hashsalt": "assay",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # what the layout is measured with; wider than what browsers use
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
class Figure:
    """A drawn figure."""

    name: str  # of its file
    group: str  # figures of one kind stand together
    title: str
    description: str  # what is to be seen, for those who cannot see it
    svg: str


def paint(
    title: str, description: str, label: str, height: float, draw: Callable[[Axes], None], legend_columns: int
) -> tuple[str, str]:
    """A description and its figure; the legend stands below the axes, where it covers nothing."""
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        axes.set_title("\n".join(textwrap.wrap(label, 36)))
        handles, names = axes.get_legend_handles_labels()
        entries = dict(zip(names, handles, strict=True))
        rows = -(-len(entries) // legend_columns)
        canvas.set_figheight(height + 0.18 * rows)
        canvas.legend(
            entries.values(), entries.keys(), loc="outside lower left", ncols=legend_columns, borderaxespad=0.2
        )
        return description, _described(_bytes(canvas), title, description)


def scale_x_axis(axes: Axes, values: Sequence[float]) -> None:
    """An x axis on which values of different size can be told apart."""
    if min(values) > 0 and max(values) > 8 * min(values):
        axes.set_xscale("log")
        crowded = max(values) > 1000 * min(values)  # three labels for each decade would overlap
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if crowded else (1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _bytes(canvas: Canvas) -> str:
    buffer = io.StringIO()
    FigureCanvasSVG(canvas).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()


def _described(svg: str, title: str, description: str) -> str:
    """The figure with a title and a description that programs can read aloud."""
    head = f'<title id="title">{escape(title)}</title>\n <desc id="description">{escape(description)}</desc>'
    return re.sub(
        r"<svg ([^>]*)>",
        lambda found: f'<svg role="img" aria-labelledby="title description" {found[1]}>\n {head}',
        svg,
        count=1,
    )
