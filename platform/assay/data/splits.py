"""Which images may show their labels."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from typing import Any

from assay.data.draws import order
from assay.data.lists import find_list, match, read_list
from assay.data.source import DataMissing, Source
from assay.errors import UserError
from assay.places import Places
from assay.values import Value, param, suggestion


class Split(Value):
    """The choice of labelled and unlabelled images."""

    labeled: str = param(default="1/8", resolved=True, help="1/n, a count, all, or a list's file")
    unlabeled: str = param(
        default="train", resolved=True, help="a pool, rest (the pool without the labelled), or a file"
    )
    labeled_pool: str = param(
        default="", resolved=True, help="where 1/n is drawn from; the data set's first pool if empty"
    )
    seed: int = param(
        default=0, low=0, resolved=True, help="of the draw; apart from the training's, so that seeds share it"
    )
    keep_repeated: bool = param(
        default=False, resolved=True, help="keep labelled images that an unlabelled list names again"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The images by id, sorted."""

    labeled: tuple[str, ...]
    unlabeled: tuple[str, ...]
    val: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def describe(self, which: str) -> dict[str, Any]:
        """How many images, and a hash of their ids: what a key and a result hold."""
        ids: tuple[str, ...] = getattr(self, which)
        return {"count": len(ids), "hash": hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]}


def split(source: Source, spec: Split, places: Places) -> SplitResult:
    """The images that a split names."""
    pool = _labeled_pool(source, spec)
    labeled = _labeled(source, spec, pool, places)
    unlabeled, notes = _unlabeled(source, spec, pool, labeled, places)
    val = tuple(sorted(source.ids("val", places)))
    for name, ids in (("labelled", labeled), ("unlabelled", unlabeled)):
        shared = sorted(set(ids) & set(val))
        if shared:
            raise UserError(
                f"{len(shared)} {name} images are validation images too, the first is {shared[0]!r}; results would"
                " be measured on training images. Choose another list."
            )
    notes += tuple(note for each in _pools_read(source, spec, pool) for note in source.notes(each, places))
    return SplitResult(labeled=labeled, unlabeled=unlabeled, val=val, notes=notes)


def _pools_read(source: Source, spec: Split, pool: str) -> tuple[str, ...]:
    """The pools whose size decides which images a split has; a list names its images whatever else is here."""
    drawn_from = {pool} if spec.unlabeled == "rest" or not _names_a_list(spec.labeled) else set()
    return tuple(each for each in source.pools() if each in drawn_from | {spec.unlabeled, "val"})


def _labeled_pool(source: Source, spec: Split) -> str:
    pool = spec.labeled_pool or source.pools()[0]
    if pool not in source.pools():
        raise UserError(
            f"data.split.labeled_pool: {source.name} has no pool {pool!r}{suggestion(pool, source.pools())}."
        )
    return pool


def _labeled(source: Source, spec: Split, pool: str, places: Places) -> tuple[str, ...]:
    """Drawn from the pool, or read from a list."""
    asked = spec.labeled
    if not re.fullmatch(r"all|1/[1-9][0-9]*|[0-9]+", asked):
        if not _names_a_list(asked):
            raise UserError(f"data.split.labeled must be 1/n, a count, all, or a list's file, got {asked!r}.")
        return _read(asked, source, places)
    ids = source.ids(pool, places)
    count = _count(asked, len(ids))
    if not 1 <= count <= len(ids):
        raise UserError(f"data.split.labeled must be between 1 and the {len(ids)} images of {pool}, got {count}.")
    # The first of one order, so that a smaller share lies within every larger one.
    chosen = order(len(ids), spec.seed, "split", source.name)[:count]
    return tuple(sorted(ids[index] for index in chosen))


def _count(asked: str, total: int) -> int:
    if asked.startswith("1/"):
        # Rounded up: the published lists of VOC's 10582 hold 662, 1323, 2646 and 5291.
        return math.ceil(total / int(asked[2:]))
    return total if asked == "all" else int(asked)


def _unlabeled(
    source: Source, spec: Split, pool: str, labeled: tuple[str, ...], places: Places
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids, and what was noticed."""
    asked = spec.unlabeled
    if asked == "rest":
        return _rest(source.ids(pool, places), pool, labeled), ()
    pools = [each for each in source.pools() if each != "val"]
    if asked in pools:
        return tuple(sorted(source.ids(asked, places))), ()
    if not _names_a_list(asked):
        raise UserError(
            f"data.split.unlabeled must be a pool, rest, or a list's file, got {asked!r}"
            f"{suggestion(asked, [*pools, 'rest'])}."
        )
    return _without_repeated(_read(asked, source, places), labeled, spec)


def _rest(ids: tuple[str, ...], pool: str, labeled: tuple[str, ...]) -> tuple[str, ...]:
    """A pool without the labelled images."""
    outside = sorted(set(labeled) - set(ids))
    if outside:
        raise UserError(
            f"data.split.unlabeled=rest is {pool} without the labelled images, but {len(outside)} of {len(labeled)}"
            f" labelled images are not in {pool}, the first is {outside[0]!r}; set data.split.labeled_pool to the"
            " pool that holds them."
        )
    return tuple(sorted(set(ids) - set(labeled)))


def _without_repeated(
    ids: tuple[str, ...], labeled: tuple[str, ...], spec: Split
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """An unlabelled list without the labelled images (the few-label lists of CPS name one each), and a note."""
    repeated = sorted(set(ids) & set(labeled))
    if not repeated:
        return ids, ()
    number = "1 labelled image also stands" if len(repeated) == 1 else f"{len(repeated)} labelled images also stand"
    said = f"{number} in the unlabelled list {spec.unlabeled} (the first is {repeated[0]})"
    if spec.keep_repeated:
        return ids, (f"{said}: kept, as data.split.keep_repeated asks.",)
    return tuple(sorted(set(ids) - set(repeated))), (f"{said}: removed.",)


def _names_a_list(text: str) -> bool:
    """Whether a text can mean a file; 3/16 is a slip of the pen."""
    return text.endswith(".txt") or ("/" in text and not re.fullmatch(r"-?[0-9]+/-?[0-9]+", text))


def _read(spec: str, source: Source, places: Places) -> tuple[str, ...]:
    """The images that a list names, among all that the data set has; not all of its pools need be here."""
    path = find_list(spec, places)
    known: set[str] = set()
    missing: list[DataMissing] = []
    for pool in source.pools():
        try:
            known.update(source.ids(pool, places))
        except DataMissing as error:
            missing.append(error)
    if not known:
        raise missing[0]
    return match(read_list(path), source, known, path, incomplete=str(missing[0]) if missing else "")
