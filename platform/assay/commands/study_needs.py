"""Data sets, lists and weights that the studies of a checkout still need on this machine.

Studies are scripts outside the package, so the package imports none: those in a folder are executed here, without
their command line, and their value `STUDY` is read.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import runpy
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.errors import UserError
from assay.places import Places
from assay.wording import count

if TYPE_CHECKING:
    from assay.data.source import Source
    from assay.experiment import Data, Experiment
    from assay.nets.spec import Encoder
    from assay.study.cells import Cell
    from assay.study.tables import Profile, Study

_NAMED_LISTS = 2  # missing lists of one folder that are named; more are counted


@dataclasses.dataclass(frozen=True, order=True)
class Need:
    """One thing that is missing here."""

    kind: Literal["data", "list", "weights", "images", "other"]
    name: str  # of the data set, the list (also of "images": those that it names) or the weights; "other": a sentence
    data: str = ""  # of "images": the data set that does not have them, with the number of those that it has


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileNeeds:
    """The needs of one profile of a study."""

    profile: str
    cells: int
    ready: int  # cells that need nothing
    needs: frozenset[Need]

    def describe(self) -> str:
        """Return the needs in one line."""
        if not self.needs:
            return "ready"
        return f"{self.ready} of {self.cells} cells ready; {describe(self.needs)}"


def read_studies(folder: Path) -> Iterator[tuple[Path, Study | Exception]]:
    """Yield each script of a folder that defines a study, with the study or with the error of the script."""
    for script in sorted(folder.glob("*.py")):
        if not _defines_study(script):
            continue
        path = sys.path.copy()
        try:
            yield script, runpy.run_path(str(script), run_name=script.stem)["STUDY"]
        except Exception as error:  # another person's script may raise anything
            yield script, error
        finally:
            sys.path[:] = path  # scripts of a checkout prepend its folders


def _defines_study(script: Path) -> bool:
    """Return whether a script assigns STUDY at its top level; other scripts are not executed."""
    try:
        body = ast.parse(script.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return False
    targets = (target for node in body if isinstance(node, ast.Assign) for target in node.targets)
    return any(isinstance(target, ast.Name) and target.id == "STUDY" for target in targets)


def needs_of(study: Study, missing: MissingInputs) -> Iterator[ProfileNeeds]:
    """Yield the needs of each profile of a study, over all its tables."""
    for profile in study.profiles:
        try:
            needs = [missing.of_cell(cell) for cell in _cells(study, profile)]
        except UserError as error:
            needs = [frozenset({Need("other", str(error))})]
        seeds = len(profile.seeds)
        yield ProfileNeeds(
            profile=profile.name,
            cells=seeds * len(needs),
            ready=seeds * sum(not of_cell for of_cell in needs),
            needs=frozenset().union(*needs),
        )


def _cells(study: Study, profile: Profile) -> list[Cell]:
    """Return the cells of one seed: those of the other seeds need the same."""
    from assay.study.cells import Selection, cells_of

    tables = tuple(table.name for table in study.tables)
    return cells_of(study, profile, Selection(tables=tables, seeds=profile.seeds[:1]))


class MissingInputs:
    """The inputs that experiments lack on this machine. Each data set, list and weights file is looked up once."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._of_data = functools.cache(self._find_missing_data)
        self._size_of = functools.cache(self._find_size)
        self._of_encoder = functools.cache(self._find_missing_weights)

    def of_cell(self, cell: Cell) -> frozenset[Need]:
        """Return the needs of a cell; for a blocked cell the reason alone, since its experiment has no data."""
        return frozenset({Need("other", cell.blocked_by)}) if cell.blocked_by else self.of_experiment(cell.experiment)

    def of_experiment(self, experiment: Experiment) -> frozenset[Need]:
        """Return the needs of an experiment and of the experiments inside it."""
        from assay.experiment import Data
        from assay.nets.spec import Encoder
        from assay.values import walk

        needs: set[Need] = set()
        for _, value in walk(experiment):
            if isinstance(value, Data):
                needs |= self._of_data(value)
            elif isinstance(value, Encoder):
                needs |= self._of_encoder(value)
        return frozenset(needs)

    def _find_missing_data(self, data: Data) -> frozenset[Need]:
        from assay.data.lists import ListMismatch, ListMissing, find_list, is_list_name
        from assay.data.source import DataMissing
        from assay.data.splits import split

        needs = set()
        for name in (data.split.labeled, data.split.unlabeled):
            if is_list_name(name):
                try:
                    find_list(name, self._places)
                except ListMissing:
                    needs.add(Need("list", name))
                except UserError as error:
                    needs.add(Need("other", str(error)))
        try:
            data.source.ids("val", self._places)
            if not needs:
                split(data.source, data.split, self._places)
        except DataMissing:
            needs.add(Need("data", data.source.name))
        except ListMismatch as error:
            needs.add(Need("images", error.title, self._size_of(data.source)))
        except UserError as error:
            needs.add(Need("other", str(error)))
        return frozenset(needs)

    def _find_size(self, source: Source) -> str:
        """Return the name of a data set with the number of its images, in all pools that are here."""
        from assay.data.source import DataMissing

        ids: set[str] = set()
        for pool in source.pools():
            with contextlib.suppress(DataMissing):
                ids.update(source.ids(pool, self._places))
        return f"{source.name} ({count(len(ids), 'image')})"

    def _find_missing_weights(self, encoder: Encoder) -> frozenset[Need]:
        from assay.nets.weights import WeightsMissing, find_weights, pretrained_name

        try:
            find_weights(encoder, self._places)
        except WeightsMissing as error:
            if encoder.weights != "imagenet":
                return frozenset({Need("weights", encoder.weights)})
            try:
                return frozenset({Need("weights", pretrained_name(encoder))})
            except WeightsMissing:
                return frozenset({Need("other", str(error))})
        return frozenset()


def describe(needs: Iterable[Need]) -> str:
    """Return needs in one line: data sets, lists by their folder, weights, images of lists, then everything else."""
    needs = sorted(needs)
    names: dict[str, list[str]] = defaultdict(list)
    for need in needs:
        names[need.kind].append(need.name)
    files = {"data": names["data"], "lists": list(_by_folder(names["list"])), "weights": names["weights"]}
    missing = [f"{title} {', '.join(texts)}" for title, texts in files.items() if texts]
    parts = ["needs " + ", ".join(missing)] if missing else []
    blocked = [f"blocked: {', '.join(names['other'])}"] if names["other"] else []
    return "; ".join([*parts, *_unknown_images(needs), *blocked])


def _unknown_images(needs: Iterable[Need]) -> Iterator[str]:
    """Yield for each data set the number of lists that name images which it does not have."""
    for data, lists in sorted(Counter(need.data for need in needs if need.kind == "images").items()):
        yield f"{count(lists, 'list')} {'names' if lists == 1 else 'name'} images that {data} does not have"


def _by_folder(lists: Iterable[str]) -> Iterator[str]:
    """Yield the lists of each folder: their names, or their number where there are many."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in lists:
        folders["/".join(name.split("/")[:2])].append(name)
    for folder, names in folders.items():
        yield from names if len(names) <= _NAMED_LISTS else [f"{folder} ({len(names)})"]
