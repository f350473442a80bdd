"""Lists of images: users' own files, and the published ones that come with the package.

Lists differ in folders, suffixes, columns and line ends, so images are matched by id.
"""

from __future__ import annotations

import csv
import dataclasses
import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

from assay.data import published
from assay.data.source import Source
from assay.errors import UserError
from assay.places import Places
from assay.wording import count

_TEXTS = (".txt", ".lst", ".csv", ".tsv")
_PICKLES = (".pkl", ".pickle")
_FRACTION = re.compile(r"-?[0-9]+/-?[0-9]+")
_FIRST_ENTRIES = re.compile(r"(.+):([0-9]+)")
# An image's path before a comma or semicolon. Names may hold commas, so a column ends only behind an image's suffix.
_BEFORE_COMMA = re.compile(r"(.+?\.(?:jpe?g|png|bmp|webp))\s*[,;]", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"')
_HEADINGS = frozenset({"image", "images", "image_path", "img", "id", "ids", "image_id", "file", "filename", "path"})


class ListMissing(UserError):
    """A list that is not on this machine. The text names the places searched and similar names."""


class ListMismatch(UserError):
    """A list that names images which the data set does not have here."""

    def __init__(self, text: str, *, title: str = "") -> None:
        super().__init__(text)
        self.title = title  # of the list


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageList:
    """The entries of a list in its order; positions of images in a pool where the list holds numbers."""

    title: str  # the list's file, or its name if it comes with the package
    entries: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    size: int  # number of entries of the whole list

    def first(self, number: int) -> ImageList:
        """Return the list with its first entries alone."""
        if not 1 <= number <= self.size:
            raise UserError(
                f"the number behind the colon must be between 1 and the {self.size} entries of {self.title},"
                f" got {number}."
            )
        return dataclasses.replace(self, entries=self.entries[:number], positions=self.positions[:number])


def is_list_name(text: str) -> bool:
    """Return True if a text can name a list. A fraction such as 3/16 is a mistake, not a path."""
    name = _without_number(text)[0]
    return name.lower().endswith((*_TEXTS, *_PICKLES)) or ("/" in name and not _FRACTION.fullmatch(name))


def find_list(name: str, places: Places) -> ImageList:
    """Return a list: the path as given, the path below the folder of lists, or a list that comes with the package.

    NAME:N is the first N entries of a list. The suffix .txt may be left out. Raise a ListMissing if there is none.
    """
    found = _find(name, places)
    if found:
        return found
    whole, number = _without_number(name)
    found = None if number is None else _find(whole, places)
    if found is None or number is None:
        raise ListMissing(_describe_missing(whole, places))
    return found.first(number)


def _without_number(text: str) -> tuple[str, int | None]:
    """Return a list's name and the number of entries behind its colon, if there is one."""
    match = _FIRST_ENTRIES.fullmatch(text)
    return (match[1], int(match[2])) if match else (text, None)


def _find(name: str, places: Places) -> ImageList | None:
    for path in _candidates(name, places):
        for file in (path, path.with_name(f"{path.name}{published.SUFFIX}")):
            if file.is_file():
                return read_file(file)
    ids = published.ids_of(name)
    return ImageList(title=f"the published list {name}", entries=ids, size=len(ids)) if ids else None


def _candidates(name: str, places: Places) -> tuple[Path, Path]:
    return Path(name).expanduser(), places.splits / name


def _describe_missing(name: str, places: Places) -> str:
    given, below = _candidates(name, places)
    own = (path.relative_to(places.splits).as_posix() for path in own_lists(places))
    similar = difflib.get_close_matches(name, {*published.names(), *own}, n=3, cutoff=0.5)
    nearest = f"; the nearest names are {', '.join(similar)}" if similar else ""
    return (
        f"the list {name!r} is neither at {given.absolute()} nor at {below}, and no list of that name comes with the"
        f" package{nearest}; name the folder of lists with --splits or ASSAY_SPLITS, and see `assay splits`."
    )


def own_lists(places: Places) -> tuple[Path, ...]:
    """Return the files in the folder of lists that can be lists, sorted."""
    files = places.splits.rglob("*") if places.splits.is_dir() else ()
    return tuple(sorted(path for path in files if path.suffix.lower() in (*_TEXTS, *_PICKLES) and path.is_file()))


def read_file(path: Path) -> ImageList:
    """Return the list of a file: text, or a pickled permutation."""
    if path.suffix.lower() in _PICKLES:
        from assay.data.pickled import read_permutation

        entries, positions = read_permutation(path)
        return ImageList(title=str(path), entries=entries, positions=positions, size=len(entries) or len(positions))
    entries = read_list(path)
    return ImageList(title=str(path), entries=entries, size=len(entries))


def read_list(path: Path) -> tuple[str, ...]:
    """Return the entries of a text file, one per line, without empty lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows write a byte order mark
    except OSError as error:
        raise UserError(f"the list {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UserError(f"the list {path} is not text in UTF-8; save it as UTF-8.") from None
    if "\0" in text:  # UTF-16 without a byte order mark
        raise UserError(f"the list {path} is not text in UTF-8; save it as UTF-8.")
    entries = tuple(_entries(text.splitlines(), path.suffix.lower()))
    if not entries:
        raise UserError(f"the list {path} is empty; it must hold one image per line.")
    return entries


def _entries(lines: Sequence[str], suffix: str) -> Iterator[str]:
    if suffix not in (".csv", ".tsv"):
        for line in filter(None, map(str.strip, lines)):
            match = _BEFORE_COMMA.match(line)
            yield match[1] if match else line
        return
    rows = csv.reader(lines, delimiter="\t" if suffix == ".tsv" else _separator(lines))
    first_columns = [row[0].strip() for row in rows if row and row[0].strip()]
    has_heading = bool(first_columns) and first_columns[0].lower() in _HEADINGS
    yield from first_columns[1:] if has_heading else first_columns


def _separator(lines: Sequence[str]) -> str:
    """Return the separator of a table, by its first line. Spreadsheets write semicolons where 0,5 is a number."""
    first = _QUOTED.sub("", next(filter(str.strip, lines), ""))
    return ";" if first.count(";") >= max(1, first.count(",")) else ","


def match(
    images: ImageList, source: Source, available: Set[str], *, explain: Callable[[Sequence[str]], str] = lambda _: ""
) -> tuple[str, ...]:
    """Return the ids of a list's images, sorted; raise a UserError for unknown and for repeated images.

    available: the ids of the data set's images.
    explain: return a reason, for the message, why some entries are no images of the data set
    """
    ids = {entry: source.image_id(entry) for entry in images.entries}
    unknown = [entry for entry in images.entries if ids[entry] not in available]
    if unknown:
        first = ", ".join(ids[entry] for entry in unknown[:3])
        reason = explain(unknown) or "Does the list belong to another data set, or is the data set incomplete?"
        raise ListMismatch(
            f"{len(unknown)} of {len(images.entries)} entries of {images.title} are not among the {len(available)}"
            f" images of {source.name}; the first: {first}. {reason}",
            title=images.title,
        )
    repeated = [image_id for image_id, times in Counter(ids[entry] for entry in images.entries).items() if times > 1]
    if repeated:
        raise UserError(
            f"{images.title} holds {count(len(repeated), 'image')} more than once, the first is {repeated[0]!r};"
            " list each image once."
        )
    return tuple(sorted(ids.values()))
