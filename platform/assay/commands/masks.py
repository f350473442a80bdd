"""`assay masks`: make the masks of a data set from its owner's archives, once."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assay import atomic
from assay.commands.common import add_places, places_of
from assay.errors import UserError
from assay.places import Places
from assay.terminal import print_line
from assay.wording import count

if TYPE_CHECKING:
    import numpy as np

    from assay.data.sources.coco_masks import Picture

ORIGIN = "origin.json"  # in a folder of masks: the rule and the files that they were made with
SECONDS_BETWEEN_LINES = 10.0
INSTALL = "pip install '.[coco]'"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A folder of masks to make."""

    folder: Path
    names: Sequence[str]  # of the masks, without suffix
    draw: Callable[[str], np.ndarray]  # returns the mask of a name
    origin: Mapping[str, str]


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.add_argument(
        "data",
        choices=tuple(_TASKS),
        metavar="DATA",
        help="coco: from the instance annotations; voc: SegmentationClassAug, from VOC's masks and SBD's",
    )
    command.add_argument(
        "--to", metavar="DIR", help="folder of the masks (default: the folder where the data set reads them)"
    )
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """Make every mask that is not there yet. A run that was interrupted continues."""
    to = Path(options.to).expanduser().absolute() if options.to else None
    for task in _TASKS[options.data](places_of(options), to):
        _make_masks(task)
    return 0


def _coco(places: Places, to: Path | None) -> Iterator[Task]:
    """Yield the tasks of COCO: validation first, which is small, so that a mistake shows early."""
    from assay.data.sources import COCO
    from assay.data.sources.coco_masks import RULE, read_annotations

    if importlib.util.find_spec("pycocotools") is None:
        raise UserError(f"COCO's annotations are read with the package pycocotools; install it with {INSTALL}.")
    root = COCO().root(places)
    annotations = {pool: _require_annotations(root, pool) for pool in ("val", "train")}
    for pool, path in annotations.items():
        print_line(f"reading {path}")
        pictures = read_annotations(path)
        yield Task(
            folder=(to or root / "masks") / f"{pool}2017",
            names=tuple(picture.name for picture in pictures),
            draw=_drawing(pictures),
            origin={"rule": RULE, "annotations": _hash(path)},
        )


def _drawing(pictures: Sequence[Picture]) -> Callable[[str], np.ndarray]:
    """Return a function that draws the mask of an image by its name."""
    from assay.data.sources.coco_masks import draw

    by_name = {picture.name: picture for picture in pictures}
    return lambda name: draw(by_name[name])


def _require_annotations(root: Path, pool: str) -> Path:
    path = root / "annotations" / f"instances_{pool}2017.json"
    if path.is_file():
        return path
    raise UserError(f"COCO's annotations {path} are missing; unpack annotations_trainval2017.zip in {root}.")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _voc(places: Places, to: Path | None) -> Iterator[Task]:
    """Yield the task of SegmentationClassAug: the masks of all images as VOC reads them with masks = sbd."""
    from assay.data.contents import hash_sizes
    from assay.data.sources import VOC
    from assay.data.sources.voc import AUG

    source = VOC(masks="sbd")
    names = tuple(sorted({*source.ids("train_aug", places), *source.ids("val", places)}))
    yield Task(
        folder=to or source.root(places) / AUG,
        names=names,
        draw=lambda name: source.read(name, places)[1],
        origin={
            "rule": "VOC's fine masks, and SBD's where there is none",
            "files": str(hash_sizes(source, names, places)),
        },
    )


_TASKS: Mapping[str, Callable[[Places, Path | None], Iterator[Task]]] = {"coco": _coco, "voc": _voc}


def _make_masks(task: Task) -> None:
    folder, names = task.folder, task.names
    _declare_origin(task)
    done = {entry.name for entry in os.scandir(folder)}
    missing = [name for name in names if f"{name}.png" not in done]
    printed = time.monotonic()
    for index, name in enumerate(missing, start=len(names) - len(missing) + 1):
        _make_mask(folder / f"{name}.png", task.draw(name))
        if time.monotonic() - printed >= SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            print_line(f"{folder.name}: {index} of {count(len(names), 'mask')}")
    print_line(f"{folder.name}: {count(len(names), 'mask')} in {folder}, {len(missing)} of them new")


def _make_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask as a whole or not at all: a mask that is there is not made again."""
    from assay.data.stored_masks import encode

    # Not atomic.replace: it lists the folder for every file, which takes hours with COCO's 118,287 masks.
    spool = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with spool.open("wb") as file:
            file.write(encode(mask))
            file.flush()
            os.fsync(file.fileno())
        spool.replace(path)
    finally:
        spool.unlink(missing_ok=True)


def _declare_origin(task: Task) -> None:
    """Write the masks' origin into their folder; raise a UserError where it holds masks of another origin."""
    origin = json.dumps(task.origin, indent=1).encode()
    path = task.folder / ORIGIN
    if path.is_file():
        if path.read_bytes() == origin:
            return
        raise UserError(
            f"{task.folder} holds masks made from other files or by another rule ({path}); delete it, or name another"
            " folder with --to."
        )
    for place in (task.folder, task.folder.parent):  # COCO's ready masks may lie in either
        if next(place.glob("*.png"), None) is not None:
            raise UserError(
                f"{place} holds masks that this command did not make, and both kinds would be mixed; delete them, or"
                " name another folder with --to."
            )
    atomic.replace(path, origin)
