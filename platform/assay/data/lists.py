"""Published lists of images. They differ in folders, suffixes, columns and line ends, so images are matched by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from pathlib import Path

from assay.data.source import Source
from assay.errors import UserError
from assay.places import Places
from assay.wording import count

_SHARES = ("1-16", "1-8", "1-4", "1-2")
# The lists that papers train on, by subfolder of the folder of lists. They belong to others and are not part of assay.
PUBLISHED: dict[str, tuple[str, ...]] = {
    "cps/voc": (
        *("train.txt", "train_aug.txt", "val.txt"),
        *(f"train_aug_labeled_{share}.txt" for share in _SHARES),
        *(f"pseudoseg_{part}_{share}.txt" for part in ("labeled", "unlabeled") for share in _SHARES),
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
    # The lists of data/splits/pascal of U2PL's repository that studies name.
    "u2pl/pascal": tuple(f"{number}/labeled.txt" for number in (662, 1323, 2646, 5291)),
}


def find_list(name: str, places: Places) -> Path:
    """Return the file of a list: the path as given, or the path below the folder of lists."""
    candidates = (Path(name).expanduser(), places.splits / name)
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(
        f"the list {name!r} is neither at {candidates[0].absolute()} nor at {candidates[1]}; name the folder of lists"
        " with --splits or ASSAY_SPLITS."
    )


def read_list(path: Path) -> tuple[str, ...]:
    """Return the entries of a list, one per line, without empty lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list {path} cannot be read as text ({error}).") from None
    entries = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not entries:
        raise UserError(f"the list {path} is empty; it must hold one image per line.")
    return entries


def match(
    entries: tuple[str, ...], source: Source, available: Set[str], path: Path, *, why_incomplete: str = ""
) -> tuple[str, ...]:
    """Return the entries' image ids, sorted; raise a UserError for unknown and for repeated images.

    available: the ids of the data set's images.
    why_incomplete: the reason why `available` may lack some of the images, for the message.
    """
    ids = [source.image_id(entry) for entry in entries]
    unknown = [image_id for image_id in ids if image_id not in available]
    if unknown:
        reason = why_incomplete or "Does the list belong to another data set, or is the data set incomplete?"
        raise UserError(
            f"{len(unknown)} of {len(ids)} entries of {path} are not among the {len(available)} images of"
            f" {source.name}; the first: {', '.join(unknown[:3])}. {reason}"
        )
    repeated = [image_id for image_id, times in Counter(ids).items() if times > 1]
    if repeated:
        raise UserError(
            f"{path} holds {count(len(repeated), 'image')} more than once, the first is {repeated[0]!r};"
            " list each image once."
        )
    return tuple(sorted(ids))
