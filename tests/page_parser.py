"""A page as a browser reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "use"}


class Page(HTMLParser):
    """The elements of a page with their attributes, its texts and tables, and the elements that are still open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}  # by their label: rows of cells' texts
        self._table: list[list[str]] = []
        self.feed(text)
        self.close()

    @property
    def ids(self) -> list[str]:
        """The ids of all elements."""
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]

    @property
    def references(self) -> set[str]:
        """The ids that links, styles and labels refer to."""
        targets: set[str] = set()
        for _, attributes in self.elements:
            links = (value or "" for name, value in attributes.items() if name.endswith("href"))
            targets |= {link[1:] for link in links if link.startswith("#")}
            targets |= set(re.findall(r"url\(#([^)]*)\)", " ".join(filter(None, attributes.values()))))
            targets |= set((attributes.get("aria-labelledby") or "").split())
        return targets

    def text(self) -> str:
        """Return all texts in one line."""
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if attributes.get("role") == "region":
            self._table = self.tables.setdefault(attributes["aria-label"] or "", [])
        if tag == "tr":
            self._table.append([])
        if tag in {"th", "td"}:
            self._table[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"th", "td"} & set(self.open):
            cell = f"{self._table[-1][-1]} {data}"
            self._table[-1][-1] = " ".join(cell.split())
