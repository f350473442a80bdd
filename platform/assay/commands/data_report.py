"""The data sets on this machine: a line for each, with the number of images of its pools beside the official number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.errors import UserError

if TYPE_CHECKING:
    from assay.data.source import Source
    from assay.places import Places


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataReport:
    """A data set's pools: the number of images of those that can be listed, and the first error of the others."""

    source: Source
    counts: Mapping[str, int]
    root: str  # the folder of its files, empty for drawn images
    problem: str  # empty if all pools can be listed

    @property
    def status(self) -> str:
        """Return ok, partial (a pool is missing, or has another number of images than the owner's), or missing."""
        if not self.counts:
            return "missing"
        official = all(self.source.official_size(pool) in (None, size) for pool, size in self.counts.items())
        return "ok" if official and not self.problem else "partial"

    def describe(self) -> str:
        """Return the data set's name, the numbers of its images, their place, and the problem."""
        counts = ", ".join(self._count(pool, size) for pool, size in self.counts.items())
        place = f" in {self.root}" if self.root else ""
        return f"{self.source.name}: {'; '.join(filter(None, (counts + place, self.problem)))}"

    def _count(self, pool: str, size: int) -> str:
        official = self.source.official_size(pool)
        return f"{pool} {size}" if official in (None, size) else f"{pool} {size} of the official {official}"


def report(source: Source, places: Places) -> DataReport:
    """Return the report of a data set."""
    from assay.data.sources.archive import Archive

    counts: dict[str, int] = {}
    problems: list[str] = []
    for pool in source.pools():
        try:
            counts[pool] = len(source.ids(pool, places))
        except UserError as error:
            problems.append(str(error))
    root = str(source.root(places)) if counts and isinstance(source, Archive) else ""
    return DataReport(source=source, counts=counts, root=root, problem="".join(problems[:1]))
