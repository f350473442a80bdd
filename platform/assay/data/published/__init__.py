"""Published lists of images that come with the package, by names such as `cps/voc/train_aug_labeled_1-8.txt`.

The lists of an origin are one compressed JSON file: ids by the list's name, in the order of the published file.
`sources.json` names the authors and the licence of each origin; `pack.py` writes the compressed files.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import json
from importlib.resources import files

SUFFIX = ".txt"  # of every published list; a name may leave it out
NOT_PACKED = "the pickled permutations of French et al., ClassMix and Three-Stage are not part of this package"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of some published lists: whose they are, and for which data set."""

    folder: str  # the first part of the lists' names, such as cps/voc
    data: str  # the short name of the data set
    authors: str
    home: str  # the repository that the ids were read from
    licence: str
    note: str = ""

    def file_name(self) -> str:
        """Return the name of the compressed file."""
        return f"{self.folder.replace('/', '-')}.json.gz"


@functools.cache
def origins() -> tuple[Origin, ...]:
    """Return the origins in the order of `sources.json`."""
    return tuple(Origin(**fields) for fields in json.loads(_read("sources.json")))


@functools.cache
def lists_of(folder: str) -> dict[str, tuple[str, ...]]:
    """Return the lists of an origin: the ids of each, by its name below the folder."""
    (origin,) = (origin for origin in origins() if origin.folder == folder)
    content: dict[str, list[str]] = json.loads(gzip.decompress(_read(origin.file_name())))
    return {name: tuple(ids) for name, ids in content.items()}


def names() -> tuple[str, ...]:
    """Return the names of all lists."""
    return tuple(f"{origin.folder}/{name}" for origin in origins() for name in lists_of(origin.folder))


def ids_of(name: str) -> tuple[str, ...] | None:
    """Return the ids of a list, named with or without its suffix; None if there is no such list."""
    for origin in origins():
        if name.startswith(f"{origin.folder}/"):
            return lists_of(origin.folder).get(name.removeprefix(f"{origin.folder}/").removesuffix(SUFFIX) + SUFFIX)
    return None


def _read(name: str) -> bytes:
    return (files(__name__) / name).read_bytes()
