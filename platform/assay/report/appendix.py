"""The end of the page: what has no result, and how everything was run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assay.report.facts import Cost, Facts, duration
from assay.report.markup import Markup, element, join, scrolling


def failures(facts: Facts) -> Markup | None:
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


def how(facts: Facts) -> Markup:
    """With which code, on what, and for how long."""
    details = (join(element("dt", name), *(element("dd", text) for text in texts)) for name, texts in facts.details)
    heads = ("", "trainings", "parameters", "multiply-adds", "one training", "device time, all")
    lines = (element("tr", *_cost(cost)) for cost in facts.costs)
    table = element(
        "table",
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *lines),
        class_="costs",
    )
    return element(
        "section",
        element("h2", "How it was run"),
        element("dl", *details),
        scrolling(table, "What each row took") if facts.costs else None,
        id="how",
    )


def _cost(cost: Cost) -> Iterable[Markup]:
    yield element("th", element("span", cost.row), element("small", cost.table), scope="row")
    numbers = (str(cost.trainings), _size(cost.params), _size(cost.macs))
    yield from (element("td", text) for text in (*numbers, duration(cost.seconds), duration(cost.device_seconds)))


def _size(value: float | None) -> str:
    """A large count with a letter for its thousands."""
    if value is None:
        return "–"
    for scale, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:g}"
