"""Which images may show their labels."""

from __future__ import annotations

import contextlib
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
from assay.values import Value, nearest, param


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
        return {"count": len(ids), "hash": hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]}


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
    return SplitResult(labeled=labeled, unlabeled=unlabeled, val=val, notes=notes)


def _labeled_pool(source: Source, spec: Split) -> str:
    pool = spec.labeled_pool or source.pools()[0]
    if pool not in source.pools():
        raise UserError(f"data.split.labeled_pool: {source.name} has no pool {pool!r}{nearest(pool, source.pools())}.")
    return pool


def _labeled(source: Source, spec: Split, pool: str, places: Places) -> tuple[str, ...]:
    """Drawn from the pool, or read from a list."""
    fraction = re.fullmatch(r"1/([1-9]\d*)", spec.labeled)
    if not (fraction or spec.labeled.isdigit() or spec.labeled == "all"):
        if "/" not in spec.labeled and not spec.labeled.endswith(".txt"):
            raise UserError(f"data.split.labeled must be 1/n, a count, all, or a list's file, got {spec.labeled!r}.")
        path = find_list(spec.labeled, places)
        return match(read_list(path), source, _known(source, places), path)
    ids = source.ids(pool, places)
    # Rounded up: the published lists of VOC's 10582 hold 662, 1323, 2646 and 5291.
    count = (
        len(ids)
        if spec.labeled == "all"
        else int(spec.labeled)
        if not fraction
        else math.ceil(len(ids) / int(fraction[1]))
    )
    if not 1 <= count <= len(ids):
        raise UserError(f"data.split.labeled must be between 1 and the {len(ids)} images of {pool}, got {count}.")
    # The first of one order, so that a smaller share lies within every larger one.
    chosen = order(len(ids), spec.seed, "split", source.name)[:count]
    return tuple(sorted(ids[index] for index in chosen))


def _unlabeled(
    source: Source, spec: Split, pool: str, labeled: tuple[str, ...], places: Places
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids, and what was noticed."""
    if spec.unlabeled == "rest":
        return tuple(sorted(set(source.ids(pool, places)) - set(labeled))), ()
    if spec.unlabeled in source.pools() and spec.unlabeled != "val":
        return tuple(sorted(source.ids(spec.unlabeled, places))), ()
    if "/" not in spec.unlabeled and not spec.unlabeled.endswith(".txt"):
        choices = [*(each for each in source.pools() if each != "val"), "rest"]
        raise UserError(
            f"data.split.unlabeled must be a pool, rest, or a list's file, got {spec.unlabeled!r}"
            f"{nearest(spec.unlabeled, choices)}."
        )
    path = find_list(spec.unlabeled, places)
    ids = match(read_list(path), source, _known(source, places), path)
    repeated = sorted(set(ids) & set(labeled))
    if not repeated:
        return ids, ()
    said = f"{len(repeated)} labelled image{'s' if len(repeated) > 1 else ''} also stand in {path.name} ({repeated[0]})"
    if spec.keep_repeated:
        return ids, (f"{said}: kept, as data.split.keep_repeated asks.",)
    return tuple(each for each in ids if each not in set(repeated)), (f"{said}: removed.",)


def _known(source: Source, places: Places) -> frozenset[str]:
    """Every image that a list may name; a data set need not have all of its pools here."""
    known: set[str] = set()
    for pool in source.pools():
        with contextlib.suppress(DataMissing):
            known.update(source.ids(pool, places))
    return frozenset(known or source.ids(source.pools()[0], places))
