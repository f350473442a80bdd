"""`assay masks`: make the masks of a data set from its annotations, once."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assay import atomic
from assay.commands.common import add_places, places_of
from assay.errors import UserError
from assay.terminal import print_line
from assay.wording import count

if TYPE_CHECKING:
    from assay.data.sources.coco_masks import Picture

POOLS = ("val", "train")  # the small one first, so that a mistake shows early
ORIGIN = "origin.json"  # in a folder of masks: the rule and the annotations that they were made with
SECONDS_BETWEEN_LINES = 10.0
INSTALL = "pip install '.[coco]'"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.add_argument("data", choices=("coco",), metavar="DATA", help="the data set: coco")
    command.add_argument(
        "--to", metavar="DIR", help="folder of the masks (default: masks beside COCO's images, where they are read)"
    )
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """Make every mask that is not there yet. A run that was interrupted continues."""
    from assay.data.sources import COCO

    if importlib.util.find_spec("pycocotools") is None:
        raise UserError(f"COCO's annotations are read with the package pycocotools; install it with {INSTALL}.")
    root = COCO().root(places_of(options))
    target = Path(options.to).expanduser().absolute() if options.to else root / "masks"
    annotations = {pool: _require_annotations(root, pool) for pool in POOLS}
    for pool, path in annotations.items():
        _make_masks(path, target / f"{pool}2017")
    return 0


def _require_annotations(root: Path, pool: str) -> Path:
    path = root / "annotations" / f"instances_{pool}2017.json"
    if path.is_file():
        return path
    raise UserError(f"COCO's annotations {path} are missing; unpack annotations_trainval2017.zip in {root}.")


def _make_masks(annotations: Path, folder: Path) -> None:
    from assay.data.sources.coco_masks import read_annotations

    _declare_origin(folder, annotations)
    print_line(f"{folder.name}: reading {annotations}")
    pictures = read_annotations(annotations)
    done = {entry.name for entry in os.scandir(folder)}
    missing = [picture for picture in pictures if f"{picture.name}.png" not in done]
    printed = time.monotonic()
    for index, picture in enumerate(missing):
        _make_mask(picture, folder)
        if time.monotonic() - printed >= SECONDS_BETWEEN_LINES:
            printed = time.monotonic()
            print_line(f"{folder.name}: {len(pictures) - len(missing) + index + 1} of {count(len(pictures), 'mask')}")
    print_line(f"{folder.name}: {count(len(pictures), 'mask')} in {folder}, {len(missing)} of them new")


def _make_mask(picture: Picture, folder: Path) -> None:
    """Write a mask as a whole or not at all: a mask that is there is not made again."""
    from assay.data.sources.coco_masks import draw
    from assay.data.stored_masks import encode

    # Not atomic.replace: it lists the folder for every file, which takes hours with 118,287 of them.
    spool = folder / f".{picture.name}.{os.getpid()}.tmp"
    try:
        with spool.open("wb") as file:
            file.write(encode(draw(picture)))
            file.flush()
            os.fsync(file.fileno())
        spool.replace(folder / f"{picture.name}.png")
    finally:
        spool.unlink(missing_ok=True)


def _declare_origin(folder: Path, annotations: Path) -> None:
    """Write the masks' origin into their folder; raise a UserError where it holds masks of another origin."""
    from assay.data.sources.coco_masks import RULE

    origin = json.dumps({"rule": RULE, "annotations": _hash(annotations)}, indent=1).encode()
    path = folder / ORIGIN
    if path.is_file():
        if path.read_bytes() == origin:
            return
        raise UserError(
            f"{folder} holds masks made from other annotations or by another rule ({path}); delete it, or name another"
            " folder with --to."
        )
    for place in (folder, folder.parent):  # where the data set reads ready masks
        if next(place.glob("*.png"), None) is not None:
            raise UserError(
                f"{place} holds masks that this command did not make, and both kinds would be mixed; delete them, or"
                " name another folder with --to."
            )
    atomic.replace(path, origin)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
