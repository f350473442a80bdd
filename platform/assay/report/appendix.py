"""The end of the page: how light each network is, what has no result, and how everything was run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from assay.analysis.network_sizes import Size
from assay.analysis.run_summary import Cost, RunSummary, duration
from assay.report.formatting import amount, number
from assay.report.markup import Markup, element, join, scrolling

SMALL = 64 * 64  # pixels of an image on which a network's calls take longer than its arithmetic


def size_and_speed(facts: RunSummary) -> Markup | None:
    """The networks side by side, where there are several."""
    if not facts.sizes:
        return None
    explained = (
        "All of it is of encoder and head; multiply-adds and latency are for one training crop. Latency is measured on "
        "the CPU when a training ends, while others may be running beside it: the median of its runs, and of several "
        "trainings the middle one. mIoU is of its trainings, the least to the greatest."
    )
    heads = ("", "crop", "parameters", "multiply-adds", "latency", "measured on", "trainings", "mIoU")
    return element(
        "section",
        element("h2", "Size and speed"),
        element("p", explained, class_="caption"),
        scrolling(_numbers(heads, map(_size_and_speed, facts.sizes)), "Size and speed of each network"),
        _small_crops(facts.sizes),
        id="size",
    )


def _small_crops(sizes: Sequence[Size]) -> Markup | None:
    """What latencies on very small images do not tell."""
    timed = dict.fromkeys(size.crop for size in sizes if size.latency_ms is not None)
    small = [crop for crop in timed if math.prod(map(int, crop.split("x"))) <= SMALL]
    if not small:
        return None
    said = f"At {', '.join(small)} a latency is mostly the cost of calls: it does not tell which network is the faster"
    return element("p", f"{said} one on larger images.", class_="note")


def _size_and_speed(size: Size) -> Iterable[Markup]:
    used = (element("small", f"{how}: {'; '.join(rows)}") for how, rows in _uses(size) if rows)
    yield element("th", element("span", size.network), *used, scope="row")
    latency = "–" if size.latency_ms is None else f"{size.latency_ms:.3g} ms"
    numbers = (
        size.crop,
        amount(size.params, ".3g"),
        amount(size.macs, ".3g"),
        latency,
        size.latency_at or "–",
        str(size.trainings),
        "–" if size.miou is None else " to ".join(dict.fromkeys(map(number, size.miou))),
    )
    yield from (element("td", text) for text in numbers)


def _uses(size: Size) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("of", size.rows), ("teaches", size.inside)


def _numbers(heads: Sequence[str], lines: Iterable[Iterable[Markup]]) -> Markup:
    """A table of numbers under their heads."""
    return element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *(element("tr", *line) for line in lines)),
        class_="costs",
    )


def failures(facts: RunSummary) -> Markup | None:
    """The trainings without a result, and why they have none."""
    if not facts.failures:
        return None
    said = (
        element(
            "li",
            element("span", failure.state, class_=f"chip {failure.state}"),
            element("span", f" {_seeds(failure.seeds)} · {'; '.join(failure.places)}"),
            element("pre", failure.error),
        )
        for failure in facts.failures
    )
    return element("section", element("h2", "Without a result"), element("ul", *said, class_="failures"), id="failures")


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def how(facts: RunSummary) -> Markup:
    """With which code, on what, and for how long."""
    details = (join(element("dt", name), *(element("dd", text) for text in texts)) for name, texts in facts.details)
    heads = ("", "trainings", "parameters", "multiply-adds", "one training", "device time, all")
    table = _numbers(heads, map(_cost, facts.costs))
    return element(
        "section",
        element("h2", "How it was run"),
        element("dl", *details),
        scrolling(table, "What each row took") if facts.costs else None,
        id="how",
    )


def _cost(cost: Cost) -> Iterable[Markup]:
    yield element("th", element("span", cost.row), element("small", cost.table), scope="row")
    numbers = (str(cost.trainings), amount(cost.params, ".3g"), amount(cost.macs, ".3g"))
    yield from (element("td", text) for text in (*numbers, duration(cost.seconds), duration(cost.device_seconds)))
