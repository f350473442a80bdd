"""The data sets on this machine: a line for each, with the number of images of its pools beside the official number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.errors import UserError

if TYPE_CHECKING:
    from assay.data.source import Source
    from assay.places import Places

# Fields with which a data set may be complete where it is not with its preset's, in the order of the attempts.
_OTHER_FIELDS: Mapping[str, tuple[Mapping[str, str], ...]] = {"voc": ({"masks": "sbd"},)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataReport:
    """A data set's pools: the number of images of those that can be listed, and the first error of the others."""

    source: Source
    changes: Mapping[str, str]  # the fields that differ from the preset's
    counts: Mapping[str, int]
    root: str  # the folder of its files, empty for drawn images
    problem: str  # empty if all pools can be listed

    @property
    def status(self) -> str:
        """Return ok, partial (some images are not there, or more than the official ones), or missing."""
        if not self.counts:
            return "missing"
        official = all(self.source.official_size(pool) in (None, size) for pool, size in self.counts.items())
        return "ok" if official and not self.problem else "partial"

    def describe(self) -> str:
        """Return the data set's name, the numbers of its images, and the problem."""
        fields = "".join(f" with data.source.{name}={value}" for name, value in self.changes.items())
        counts = ", ".join(self._count(pool, size) for pool, size in self.counts.items())
        if counts and self.root:
            counts += f" in {self.root}"
        return f"{self.source.name}{fields}: {'; '.join(filter(None, (counts, self.problem)))}"

    def _count(self, pool: str, size: int) -> str:
        official = self.source.official_size(pool)
        return f"{pool} {size}" if official in (None, size) else f"{pool} {size} of the official {official}"


def report(source: Source, places: Places) -> DataReport:
    """Return the report of a data set: with the given fields, or with others if only with them nothing is missing."""
    first = _report(source, {}, places)
    if not first.problem:
        return first
    others = (_report(source, changes, places) for changes in _OTHER_FIELDS.get(source.name, ()))
    return next((other for other in others if not other.problem), first)


def _report(source: Source, changes: Mapping[str, str], places: Places) -> DataReport:
    from assay.data.sources.archive import Archive

    changed = source.replace(**changes)
    counts: dict[str, int] = {}
    problems: list[str] = []
    for pool in changed.pools():
        try:
            counts[pool] = len(changed.ids(pool, places))
        except UserError as error:
            problems.append(str(error))
    root = str(changed.root(places)) if counts and isinstance(changed, Archive) else ""
    return DataReport(source=changed, changes=changes, counts=counts, root=root, problem="".join(problems[:1]))
