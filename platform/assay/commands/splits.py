"""`assay splits`: list the published lists on this machine, or the images of a data set's split."""

from __future__ import annotations

import argparse

from assay.commands.common import add_places, places_of
from assay.places import Places


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    from assay.presets import PRESETS

    command.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help=f"a data set ({', '.join(PRESETS)}) whose split is counted; without it, lists are listed",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="change a field of the split, for example data.split.labeled=1/8; may be repeated",
    )
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """List the lists, or count and hash the images of one split."""
    places = places_of(options)
    return _resolve(options, places) if options.data else _list(places)


def _list(places: Places) -> int:
    from assay.data.lists import read_list

    files = sorted(places.splits.rglob("*.txt")) if places.splits.is_dir() else []
    if not files:
        print(f"no list in {places.splits}; name the folder with --splits or ASSAY_SPLITS")
        return 0
    for file in files:
        print(f"{len(read_list(file)):6}  {file.relative_to(places.splits)}")
    return 0


def _resolve(options: argparse.Namespace, places: Places) -> int:
    from assay.data.splits import split
    from assay.overrides import Override, apply
    from assay.presets import starting_point

    overrides = [Override.parse(text) for text in options.overrides]
    data = apply(starting_point("supervised", options.data), overrides).data
    images = split(data.source, data.split, places)
    for name in ("labeled", "unlabeled", "val"):
        described = images.describe(name)
        print(f"{name:10} {described['count']:6}  {described['hash']}")
    for name, value in data.source.describe_labeled(images.labeled, places).items():
        print(f"{name:10} {value!s:>6}")
    for note in images.notes:
        print(f"note: {note}")
    return 0
