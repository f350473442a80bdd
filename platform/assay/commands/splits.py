"""`assay splits`: list the published lists and the user's own, or the images of a data set's split."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from assay.commands.common import add_places, places_of
from assay.errors import UserError
from assay.places import Places
from assay.wording import count

if TYPE_CHECKING:
    from assay.data.source import Source
    from assay.data.splits import SplitResult

PARTS = ("labeled", "unlabeled", "val")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    from assay.presets import PRESETS

    command.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help=f"a data set ({', '.join(PRESETS)}) whose split is counted; for folder, what lies in data.source.path and"
        " a command that trains on it are printed as well; without DATA, lists are listed",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="change a field of the split, for example data.split.labeled=1/8; may be repeated",
    )
    command.add_argument(
        "--verify",
        action="store_true",
        help="read every image and mask of the split, name every damaged file, and hash the files' contents",
    )
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """List the lists, or count and hash the images of one split; return 1 if --verify finds a damaged file."""
    places = places_of(options)
    if options.data:
        return _resolve(options, places)
    if options.verify:
        raise UserError("--verify reads the images of one data set; name it, as in `assay splits voc --verify`.")
    _list_own(places)
    _list_published()
    return 0


def _list_own(places: Places) -> None:
    from assay.data.lists import own_lists, read_file

    files = own_lists(places)
    if not files:
        print(f"no list in {places.splits}; name the folder of your own lists with --splits or ASSAY_SPLITS")
    for file in files:
        try:
            print(f"{read_file(file).size:6}  {file.relative_to(places.splits)}")
        except UserError as error:
            print(f"     ?  {file.relative_to(places.splits)}: {error}")


def _list_published() -> None:
    from assay.data import published

    for origin in published.origins():
        print(f"\n{origin.folder}, for {origin.data}: by {origin.authors}; {origin.home}; licence: {origin.licence}")
        if origin.note:
            print(f"        {origin.note}")
        for name, ids in published.lists_of(origin.folder).items():
            print(f"{len(ids):6}  {origin.folder}/{name}")


def _resolve(options: argparse.Namespace, places: Places) -> int:
    from assay.data.splits import split
    from assay.overrides import Override, apply
    from assay.presets import starting_point

    overrides = [Override.parse(text) for text in options.overrides]
    data = apply(starting_point("supervised", options.data), overrides).data
    if data.source.name == "folder" and not options.verify:
        from assay.commands.folder_proposal import propose

        data = propose(data, overrides, places, data_root=options.data_root)
    images = split(data.source, data.split, places)
    for name in PARTS:
        described = images.describe(name)
        print(f"{name:10} {described['count']:6}  {described['hash']}")
    for name, value in data.source.describe_labeled(images.labeled, places).items():
        print(f"{name:10} {value!s:>6}")
    for note in images.notes:
        print(f"note: {note}")
    return _verify(data.source, images, places) if options.verify else 0


def _verify(source: Source, images: SplitResult, places: Places) -> int:
    """Read every image and mask; print each damaged one, and a hash of the contents of each part that has none."""
    from assay.data.contents import hash_contents

    parts = {name: tuple(getattr(images, name)) for name in PARTS}
    ids = sorted({image_id for part in parts.values() for image_id in part})
    print(f"reading {count(len(ids), 'image')} …", flush=True)
    damaged = {}
    for image_id, problem in _problems(source, ids, places):
        damaged[image_id] = problem
        print(f"damaged: {problem}", flush=True)
    for name, part in parts.items():
        bad = sum(image_id in damaged for image_id in part)
        text = count(bad, "damaged image") if bad else hash_contents(source, part, places) or "drawn, without files"
        print(f"{name:10} {len(part):6}  contents {text}")
    print(f"{count(len(ids), 'image')} read, {len(damaged) or 'none'} damaged")
    return 1 if damaged else 0


def _problems(source: Source, ids: list[str], places: Places) -> Iterator[tuple[str, str]]:
    """Yield the images that cannot be read, in the order of their ids, each with the reason."""

    def problem_of(image_id: str) -> str:
        try:
            source.read(image_id, places)
        except UserError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:  # decoders release Python's lock
        for image_id, problem in zip(ids, pool.map(problem_of, ids), strict=True):
            if problem:
                yield image_id, problem
