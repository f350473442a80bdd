"""HTML that is escaped by construction: whatever is not Markup is text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Markup(str):
    """Text that is HTML already."""


Content: TypeAlias = str | Iterable["Content"] | None

_EMPTY = frozenset({"meta", "img", "br"})  # elements that have no end


def join(*contents: Content) -> Markup:
    """Contents one after another; texts are escaped, None is nothing."""
    return Markup("".join(map(_text, contents)))


def _text(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Markup):
        return content
    return escape(content) if isinstance(content, str) else join(*content)


def element(name: str, /, *contents: Content, **attributes: str | None) -> Markup:
    """An element; `class_` is the attribute class, `data_x` is data-x, and an attribute that is None is left out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in _EMPTY else f"{join(*contents)}</{name}>"
    return Markup(f"<{name}{said}>{end}")


def scrolling(content: Markup, label: str) -> Markup:
    """A wide table scrolls inside its own frame; the frame can be reached by keyboard."""
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=label)
