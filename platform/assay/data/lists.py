"""Published lists of images. They differ in folders, suffixes, columns and line ends; images are matched by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from pathlib import Path

from assay.data.source import Source
from assay.errors import UserError
from assay.places import Places

_SHARES = ("1-16", "1-8", "1-4", "1-2")
# The lists that papers train on, by folder below the folder of lists; they are other people's and not part of assay.
PUBLISHED: dict[str, tuple[str, ...]] = {
    "cps/voc": (
        *("train.txt", "train_aug.txt", "val.txt"),
        *(f"train_aug_labeled_{share}.txt" for share in _SHARES),
        *(f"pseudoseg_{which}_{share}.txt" for which in ("labeled", "unlabeled") for share in _SHARES),
    ),
    "cps/cityscapes": ("train.txt", "val.txt", *(f"train_aug_labeled_{share}.txt" for share in _SHARES)),
    "unimatch/pascal": (
        *("train_aug.txt", "val.txt"),
        *(f"{share}/labeled.txt" for share in ("1_16", "1_8", "1_4", "92", "183", "366", "732", "1464")),
    ),
    "unimatch/cityscapes": (
        "val.txt",
        *(f"{share}/labeled.txt" for share in ("1_30", "1_16", "1_8", "1_4", "1_2")),
    ),
}


def find_list(spec: str, places: Places) -> Path:
    """The file that a list's name means: as given, or below the folder of lists."""
    tried = (Path(spec).expanduser(), places.splits / spec)
    for path in tried:
        if path.is_file():
            return path
    raise UserError(
        f"the list {spec!r} is neither at {tried[0].absolute()} nor at {tried[1]}; name the folder of lists with"
        " --splits or ASSAY_SPLITS."
    )


def read_list(path: Path) -> tuple[str, ...]:
    """The entries, one a line; empty lines are left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list {path} cannot be read as text ({error}).") from None
    entries = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not entries:
        raise UserError(f"the list {path} is empty; it must hold one image a line.")
    return entries


def match(
    entries: tuple[str, ...], source: Source, known: Set[str], path: Path, *, incomplete: str = ""
) -> tuple[str, ...]:
    """The entries' image ids, sorted. Refuses what the data set does not have, and what stands twice.

    incomplete: why some of the data set's images may not be known here, for the message.
    """
    ids = [source.image_id(entry) for entry in entries]
    unknown = [each for each in ids if each not in known]
    if unknown:
        reason = incomplete or "Is it another data set's list, or is the data incomplete?"
        raise UserError(
            f"{len(unknown)} of {len(ids)} entries of {path} are not among the {len(known)} images of"
            f" {source.name}; the first: {', '.join(unknown[:3])}. {reason}"
        )
    repeated = [each for each, times in Counter(ids).items() if times > 1]
    if repeated:
        raise UserError(
            f"{path} holds {len(repeated)} images more than once, the first is {repeated[0]!r}; each must stand once."
        )
    return tuple(sorted(ids))
