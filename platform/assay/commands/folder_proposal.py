"""The proposal for a user's own folder of images: its contents, damaged files, and the command that trains on it."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from assay.data.source import IGNORE, DataBroken
from assay.data.sources import Folder
from assay.data.sources.files import read_image, read_pair
from assay.experiment import Data
from assay.overrides import Override, apply, overrides_of
from assay.places import Places
from assay.terminal import command_line
from assay.wording import count

_LISTED = 10  # problems, sizes
_HOLE = 4096  # zero bytes in a row: a block that was never written


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """The contents of all images and masks of a folder."""

    sizes: Counter[tuple[int, int]]  # images by width and height
    pixels: Counter[int]  # mask pixels by class id
    masks: Counter[int]  # masks by class id
    problems: tuple[str, ...]  # one for each file that cannot be used
    suspects: tuple[Path, ...]  # images with a hole

    @property
    def largest_class(self) -> int:
        """The largest class id; -1 where all pixels are IGNORE."""
        return max((each for each in self.pixels if each != IGNORE), default=-1)


def propose(data: Data, overrides: Sequence[Override], places: Places, *, data_root: str | None) -> Data:
    """Print what lies in the folder, and a command that trains on it; return the data of that command.

    Every file is read once. Raise DataBroken, after the table, where some cannot be used or no class can be learned.
    """
    assert isinstance(data.source, Folder)
    survey = survey_of(data.source, places)
    for line in _describe(data.source, survey, places):
        print(line)
    if survey.problems:
        raise DataBroken(
            f"{count(len(survey.problems), 'file')} cannot be used; mend or remove the files listed above."
        )
    _require_classes(survey)
    changes = _changes(data, survey, {override.path for override in overrides})
    below_data = {path.removeprefix("data."): value for path, value in changes.items()}
    proposed = apply(data, overrides_of(below_data, "the proposal"))
    print("train with:")
    print("  " + _command(proposed, changes, overrides, places, data_root))
    return proposed


def survey_of(source: Folder, places: Places) -> Survey:
    """Read every image and mask of the folder."""
    ids = [*source.ids("all", places), *source.ids("val", places)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:  # PIL decodes beside Python
        results = list(pool.map(lambda image_id: _read(source.files(image_id, places)), ids))
    pixels, masks = Counter[int](), Counter[int]()
    for result in results:
        pixels.update(result.classes)
        masks.update(result.classes.keys())
    return Survey(
        sizes=Counter(result.size for result in results if result.size),
        pixels=pixels,
        masks=masks,
        problems=tuple(result.problem for result in results if result.problem),
        suspects=tuple(result.path for result in results if result.has_hole),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Result:
    path: Path
    size: tuple[int, int] | None = None
    classes: dict[int, int] = dataclasses.field(default_factory=dict)  # pixels by class id
    problem: str = ""
    has_hole: bool = False


def _read(files: Sequence[Path]) -> _Result:
    image, *masks = files
    classes: dict[int, int] = {}
    try:
        if masks:
            pixels, mask = read_pair(image, masks[0], num_classes=IGNORE, strict=True)
            counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
            classes = {int(each): int(counts[each]) for each in counts.nonzero()[0]}
        else:
            pixels = read_image(image, strict=True)
        # A JPEG has no checksum: with a hole it is another picture, and a hole may also be an even area.
        has_hole = image.suffix.lower() in (".jpg", ".jpeg") and bytes(_HOLE) in image.read_bytes()
    except DataBroken as error:
        return _Result(path=image, problem=str(error))
    return _Result(path=image, size=(pixels.shape[1], pixels.shape[0]), classes=classes, has_hole=has_hole)


def _describe(source: Folder, survey: Survey, places: Places) -> Iterable[str]:
    numbers = {pool: len(source.ids(pool, places)) for pool in source.pools()}
    with_masks = numbers["train"] + numbers["val"]
    yield (
        f"images     {with_masks} with masks ({numbers['train']} to train on, {numbers['val']} for validation),"
        f" {numbers['unlabeled']} without"
    )
    sizes = [f"{width} x {height} ({times})" for (width, height), times in survey.sizes.most_common(_LISTED)]
    rest = len(survey.sizes) - _LISTED
    yield f"sizes      {', '.join(sizes)}{f' and {rest} more' if rest > 0 else ''}"
    yield "class        pixels  masks"
    total = sum(survey.pixels.values())
    for class_id, pixels in sorted(survey.pixels.items()):
        ignored = "  (ignored)" if class_id == IGNORE else ""
        yield f"{class_id:5} {100 * pixels / total:11.2f} % {survey.masks[class_id]:6}{ignored}"
    yield from _doubts(survey)
    for problem in survey.problems[:_LISTED]:
        yield f"damaged: {problem}"
    if len(survey.problems) > _LISTED:
        yield f"damaged: {len(survey.problems) - _LISTED} more"


def _doubts(survey: Survey) -> Iterable[str]:
    """Yield notes about what can be read and may still be a mistake."""
    absent = [class_id for class_id in range(survey.largest_class) if class_id not in survey.pixels]
    if absent:
        shown = ", ".join(map(str, absent[:_LISTED])) + (" …" if len(absent) > _LISTED else "")
        yield (
            f"note: {count(len(absent), 'class id')} below {survey.largest_class} in no mask: {shown}; do the masks"
            " hold grey values in place of class ids?"
        )
    if survey.suspects:
        yield (
            f"note: {count(len(survey.suspects), 'image')} with {_HOLE} zero bytes in a row, as incomplete copies have:"
            f" the first is {survey.suspects[0]}; look at the picture."
        )


def _require_classes(survey: Survey) -> None:
    """Raise DataBroken where the masks hold fewer than two classes."""
    if survey.largest_class > 0:
        return
    foreground = f"; if {IGNORE} is the foreground, write 1" if IGNORE in survey.pixels else ""
    raise DataBroken(
        f"the masks hold {'no class' if survey.largest_class < 0 else 'class 0 alone'}, and {IGNORE} means ignore, so"
        f" there is nothing to learn{foreground}."
    )


def _changes(data: Data, survey: Survey, given: set[str]) -> dict[str, str | int]:
    """Return the proposed values by path; the user's own values stay."""
    assert isinstance(data.source, Folder)
    changes: dict[str, str | int] = {}
    if "data.split.labeled" not in given:
        changes["data.split.labeled"] = "all"
    if "data.source.num_labels" not in given or data.source.num_labels <= survey.largest_class:
        changes["data.source.num_labels"] = survey.largest_class + 1
    return changes


def _command(
    data: Data, changes: dict[str, str | int], overrides: Sequence[Override], places: Places, data_root: str | None
) -> str:
    """Return the command line: a semi-supervised method where there is an image without a mask to learn from."""
    method = "cps" if data.source.ids("unlabeled", places) or data.split.labeled != "all" else "supervised"
    values = {override.path: override.value for override in overrides} | changes
    sets = [part for path, value in values.items() for part in ("--set", f"{path}={value}")]
    root = ["--data-root", data_root] if data_root else []
    return command_line(["python", "-m", "assay", "train", "--method", method, "--data", "folder", *sets, *root])
