"""Splits of a data set into labelled, unlabelled and validation images."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from assay.data.contents import hash_sizes
from assay.data.draws import order
from assay.data.list_owner import describe_owner
from assay.data.lists import ImageList, find_list, is_list_name, match
from assay.data.source import DataMissing, Source
from assay.errors import UserError
from assay.places import Places
from assay.values import Value, param, suggestion


class Split(Value):
    """The choice of labelled and unlabelled images, as the user writes it."""

    labeled: str = param(
        default="1/8", resolved=True, help="1/n, a count, all, or a list; LIST:N is its first N entries"
    )
    unlabeled: str = param(
        default="train", resolved=True, help="a pool, rest (the pool without labelled images), or a list"
    )
    labeled_pool: str = param(
        default="",
        resolved=True,
        help="the pool that 1/n is drawn from and that a permutation numbers; the data set's first pool if empty",
    )
    seed: int = param(
        default=0,
        low=0,
        resolved=True,
        help="seed of the draw; separate from the training's, so that seeds share a split",
    )
    keep_repeated: bool = param(
        default=False, resolved=True, help="keep labelled images that are also in the unlabelled list"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitResult:
    """The image ids of a split, sorted."""

    labeled: tuple[str, ...]
    unlabeled: tuple[str, ...]
    val: tuple[str, ...]
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)  # by part: a hash of the files' names and sizes

    def describe(self, part: str) -> dict[str, Any]:
        """Return the number of images, a hash of their ids, and one of their files if they have any.

        It is for keys and results.
        """
        ids: tuple[str, ...] = getattr(self, part)
        described = {"count": len(ids), "hash": hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]}
        return described | ({"files": self.files[part]} if part in self.files else {})


def split(source: Source, spec: Split, places: Places) -> SplitResult:
    """Return the images of a split; raise a UserError if training and validation images overlap."""
    pool = _labeled_pool(source, spec)
    labeled = _labeled(source, spec, pool, places)
    unlabeled, notes = _unlabeled(source, spec, pool, labeled, places)
    val = tuple(sorted(source.ids("val", places)))
    for name, ids in (("labelled", labeled), ("unlabelled", unlabeled)):
        shared = sorted(set(ids) & set(val))
        if shared:
            raise UserError(
                f"{len(shared)} {name} images are also validation images, the first is {shared[0]!r}; results would"
                " be measured on training images. Choose another list."
            )
    _require_masks(source, labeled, places)
    pool_notes = (note for name in _pools_read(source, spec, pool) for note in source.notes(name, places))
    notes += tuple(dict.fromkeys(pool_notes))  # pools overlap
    parts = {"labeled": labeled, "unlabeled": unlabeled, "val": val}
    hashes = {part: hash_sizes(source, ids, places) for part, ids in parts.items()}
    files = {part: files_hash for part, files_hash in hashes.items() if files_hash}
    return SplitResult(labeled=labeled, unlabeled=unlabeled, val=val, notes=notes, files=files)


def _require_masks(source: Source, labeled: tuple[str, ...], places: Places) -> None:
    """Raise a UserError for labelled images without masks, which a data set may hold beside others."""
    without = [image_id for image_id in labeled if len(source.files(image_id, places)) == 1]
    if without:
        raise UserError(
            f"{len(without)} of {len(labeled)} labelled images have no mask, the first is {without[0]!r}; choose"
            " data.split.labeled among the images with masks, or add the masks."
        )


def _pools_read(source: Source, spec: Split, pool: str) -> tuple[str, ...]:
    """Return the pools whose size decides the images of a split. The images of a list depend on no pool's size."""
    drawn_from = {pool} if spec.unlabeled == "rest" or not is_list_name(spec.labeled) else set()
    return tuple(name for name in source.pools() if name in drawn_from | {spec.unlabeled, "val"})


def _labeled_pool(source: Source, spec: Split) -> str:
    pool = spec.labeled_pool or source.pools()[0]
    if pool not in source.pools():
        raise UserError(
            f"data.split.labeled_pool: {source.name} has no pool {pool!r}{suggestion(pool, source.pools())}."
        )
    return pool


def _labeled(source: Source, spec: Split, pool: str, places: Places) -> tuple[str, ...]:
    """Draw the labelled images from the pool, or read them from a list."""
    text = spec.labeled
    if not re.fullmatch(r"all|1/[1-9][0-9]*|[0-9]+", text):
        if not is_list_name(text):
            raise UserError(f"data.split.labeled must be 1/n, a count, all, or a list, got {text!r}.")
        return _ids_of_list(text, source, spec, places)
    ids = source.ids(pool, places)
    count = _count(text, len(ids))
    if not 1 <= count <= len(ids):
        raise UserError(f"data.split.labeled must be between 1 and the {len(ids)} images of {pool}, got {count}.")
    # The first images of one fixed order, so that every larger share contains a smaller one.
    chosen = order(len(ids), spec.seed, "split", source.name)[:count]
    return tuple(sorted(ids[index] for index in chosen))


def _count(text: str, total: int) -> int:
    if text.startswith("1/"):
        # Rounded up: the published lists of VOC's 10582 images hold 662, 1323, 2646 and 5291.
        return math.ceil(total / int(text[2:]))
    return total if text == "all" else int(text)


def _unlabeled(
    source: Source, spec: Split, pool: str, labeled: tuple[str, ...], places: Places
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of the unlabelled images, and notes about them."""
    text = spec.unlabeled
    if text == "rest":
        return _rest(source.ids(source.pool_of_rest(pool), places), pool, labeled), ()
    pools = [name for name in source.pools() if name != "val"]
    if text in pools:
        return tuple(sorted(source.ids(text, places))), ()
    if not is_list_name(text):
        raise UserError(
            f"data.split.unlabeled must be a pool, rest, or a list, got {text!r}{suggestion(text, [*pools, 'rest'])}."
        )
    return _without_labeled(_ids_of_list(text, source, spec, places), labeled, spec)


def _rest(ids: tuple[str, ...], pool: str, labeled: tuple[str, ...]) -> tuple[str, ...]:
    """Return a pool without the labelled images."""
    outside = sorted(set(labeled) - set(ids))
    if outside:
        raise UserError(
            f"data.split.unlabeled=rest is {pool} without the labelled images, but {len(outside)} of {len(labeled)}"
            f" labelled images are not in {pool}, the first is {outside[0]!r}; set data.split.labeled_pool to the"
            " pool that holds all labelled images."
        )
    return tuple(sorted(set(ids) - set(labeled)))


def _without_labeled(
    ids: tuple[str, ...], labeled: tuple[str, ...], spec: Split
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return an unlabelled list without labelled images, and a note. Each few-label list of CPS contains one."""
    repeated = sorted(set(ids) & set(labeled))
    if not repeated:
        return ids, ()
    number = "1 labelled image is" if len(repeated) == 1 else f"{len(repeated)} labelled images are"
    note = f"{number} also in the unlabelled list {spec.unlabeled} (the first is {repeated[0]})"
    if spec.keep_repeated:
        return ids, (f"{note}: kept, because data.split.keep_repeated is true.",)
    return tuple(sorted(set(ids) - set(repeated))), (f"{note}: removed.",)


def _ids_of_list(name: str, source: Source, spec: Split, places: Places) -> tuple[str, ...]:
    """Return the ids of a list's images, which may lie in any pool of the data set. Other pools may be missing."""
    images = find_list(name, places)
    if images.positions:
        return _ids_at_positions(images, source, spec, places)
    available: set[str] = set()
    missing: list[DataMissing] = []
    for pool in source.pools():
        try:
            available.update(source.ids(pool, places))
        except DataMissing as error:
            missing.append(error)
    if not available:
        raise missing[0]

    def explain(unknown: Sequence[str]) -> str:
        return describe_owner(unknown, source) or str(missing[0] if missing else "")

    return match(images, source, available, explain=explain)


def _ids_at_positions(images: ImageList, source: Source, spec: Split, places: Places) -> tuple[str, ...]:
    """Return the images of a permutation, whose numbers are positions in a pool sorted by id.

    The published permutations (ClassMix, French et al., Three-Stage) number the lines of train_aug.txt of VOC, which
    is sorted, and the sorted files of Cityscapes's train. The pool is the one with as many images as the permutation.
    """
    sizes: dict[str, int] = {}
    for pool in (spec.labeled_pool,) if spec.labeled_pool else source.pools():
        if pool == "val":
            continue
        try:
            ids = sorted(source.ids(pool, places))
        except DataMissing:
            continue
        if len(ids) == images.size:
            return tuple(sorted(ids[position] for position in images.positions))
        sizes[pool] = len(ids)
    if not sizes:
        source.ids(_labeled_pool(source, spec), places)  # raises the reason
    pools = ", ".join(f"{pool} ({size})" for pool, size in sizes.items())
    raise UserError(
        f"{images.title} is a permutation of {images.size} images, but {source.name} has other pools: {pools}. Choose"
        " the data set that the permutation was made for, complete."
    )
