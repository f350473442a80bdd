"""`assay cache`: list, fill and delete the caches of decoded images."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assay.commands.common import add_places, places_of
from assay.errors import UserError
from assay.wording import byte_size, count, measured_time

if TYPE_CHECKING:
    from assay.data.cache import ImageCache
    from assay.data.cache_folders import CacheFolder
    from assay.places import Places

SAMPLE = 16  # images that are decoded to estimate the size of all
EXPLANATION = """A cache holds images and masks as they are after decoding, 4 bytes per pixel, so that
training reads them without decoding. It changes no number and no key. Training fills it by itself:

  assay train --data voc --cache DIR ...          or ASSAY_CACHE=DIR in the environment of every machine

DIR should lie on a disk of the machine itself. It needs about 9 GB for VOC (12,031 images of 500 x 375), 29 GB for
Cityscapes (3,475 of 2048 x 1024; a quarter of that at half resolution) and 150 GB for COCO (123,287 of 640 x 480).
1 GB of the disk stays free. A cache is used while data set, files and decoders are the same, and a replaced file is
read anew; a cache is deleted by hand alone.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    from assay.presets import PRESETS

    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = EXPLANATION
    instead = command.add_mutually_exclusive_group()
    instead.add_argument(
        "--build", metavar="DATA", help=f"decode the images of a data set's split now ({', '.join(PRESETS)})"
    )
    instead.add_argument("--evict", metavar="NAME", help="delete a cache by its name in the list")
    instead.add_argument("--evict-all", action="store_true", help="delete all caches in DIR")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="with --build: change a field of the data, for example data.split.labeled=1/8; may be repeated",
    )
    command.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="with --build (default: one per core)"
    )
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """List, fill or delete caches."""
    places = places_of(options)
    if places.cache is None:
        raise UserError("no folder of caches is named; name one with --cache or ASSAY_CACHE.")
    if options.build:
        return _build(options, places)
    from assay.data.cache_folders import cache_folders, finish_evictions

    folders = cache_folders(places.cache)
    if not options.evict and not options.evict_all:
        return _list(folders, places)
    finish_evictions(places.cache)
    _evict(folders if options.evict_all else [_named(options.evict, folders, places)], places)
    return 0


# --- list and delete -----------------------------------------------------------------------------------------


def _list(folders: Sequence[CacheFolder], places: Places) -> int:
    if not folders:
        print(f"no cache in {places.cache}")
        return 0
    print(f"{'name':26}  {'images':>7}  {'size':>9}  {'last used':>10}  made of")
    for folder in folders:
        age = "?" if folder.last_use is None else measured_time(max(0.0, time.time() - folder.last_use))
        print(f"{folder.path.name:26}  {folder.images:7}  {byte_size(folder.size):>9}  {age:>10}  {_made_of(folder)}")
    return 0


def _made_of(folder: CacheFolder) -> str:
    if not folder.made_of:
        return "unknown: its record is missing or damaged"
    source: dict[str, Any] = folder.made_of["source"]
    fields = [f"{name}={value}" for name, value in source.items() if name != "name" and value not in (None, "", [])]
    place = [f"in {folder.made_of['data']}"] if folder.made_of["data"] else []
    outdated = [] if folder.is_current else ["(made by other versions of the decoders, no longer used)"]
    return " ".join([source["name"], *fields, *place, *outdated])


def _named(name: str, folders: Sequence[CacheFolder], places: Places) -> CacheFolder:
    from assay.values import suggestion

    names = [folder.path.name for folder in folders]
    if name not in names:
        raise UserError(f"--evict: {places.cache} holds no cache {name!r}{suggestion(name, names)}.")
    return folders[names.index(name)]


def _evict(folders: Sequence[CacheFolder], places: Places) -> None:
    from assay.data.cache_folders import evict

    for folder in folders:
        try:
            evict(folder)
        except OSError as problem:
            raise UserError(f"{folder.path} cannot be deleted ({problem.strerror}).") from None
        print(f"deleted {folder.path.name}, {byte_size(folder.size)}")
    if not folders:
        print(f"no cache in {places.cache}")


# --- fill ----------------------------------------------------------------------------------------------------


def _build(options: argparse.Namespace, places: Places) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from assay.data.cache import ImageCache

    if options.threads < 1:
        raise UserError(f"--threads must be 1 or more, got {options.threads}.")
    source, ids = _images(options, places)
    assert places.cache is not None
    cache = ImageCache(source, places, places.cache)
    missing = [image_id for image_id in ids if not cache.holds(image_id)]
    _check_room(cache, ids, missing)
    began = time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:  # decoders release Python's lock
        for done, _ in enumerate(pool.map(lambda image_id: _fill(cache, image_id), missing), start=1):
            if sys.stderr.isatty() and done % 100 == 0:
                print(f"\r{done} of {len(missing)}", end="", file=sys.stderr, flush=True)
    not_kept = sum(not cache.holds(image_id) for image_id in missing)
    if not_kept:
        reason = cache.problem.strerror if cache.problem else "their files were changed just now; try again"
        raise UserError(f"{cache.folder} could not take {count(not_kept, 'image')}: {reason}.")
    print(f"{count(len(missing), 'image')} decoded in {measured_time(time.monotonic() - began)}")
    return 0


def _images(options: argparse.Namespace, places: Places) -> tuple[Any, list[str]]:
    """Return the data set and the ids of all images of its split."""
    from assay.data.splits import split
    from assay.overrides import Override, apply
    from assay.presets import starting_point

    overrides = [Override.parse(text) for text in options.overrides]
    data = apply(starting_point("supervised", options.build), overrides).data
    images = split(data.source, data.split, places)
    ids = sorted({*images.labeled, *images.unlabeled, *images.val})
    if not data.source.files(ids[0], places):
        raise UserError(f"--build {options.build}: the images of this data set are drawn, so none is decoded.")
    return data.source, ids


def _check_room(cache: ImageCache, ids: Sequence[str], missing: Sequence[str]) -> None:
    """Print the estimated size; raise a UserError where the disk has no room for it."""
    from assay.data.cache import RESERVE, free_bytes

    sample = missing[:: max(1, len(missing) // SAMPLE)][:SAMPLE]
    sizes = [sum(part.nbytes for part in cache.source.read(image_id, cache.places)) for image_id in sample]
    needed = round(sum(sizes) / max(1, len(sizes)) * len(missing))
    free = free_bytes(cache.folder)
    print(
        f"{cache.folder}: {count(len(ids), 'image')}, {len(missing)} of them to decode: about {byte_size(needed)};"
        f" {byte_size(free)} are free"
    )
    if needed + RESERVE > free:
        raise UserError(
            f"{cache.folder} needs about {byte_size(needed)} beside the {byte_size(RESERVE)} that stay free, and its"
            f" disk has {byte_size(free)}; name another folder with --cache, or delete a cache with --evict."
        )


def _fill(cache: ImageCache, image_id: str) -> None:
    if cache.problem is None:
        cache.read(image_id)
