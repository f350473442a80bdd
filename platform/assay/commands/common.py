"""Flags and look-ups that several commands share: folders, and the experiment of a key."""

from __future__ import annotations

import argparse

from assay.errors import UserError
from assay.places import Places, out_folder
from assay.store import records
from assay.store.local import LocalStore
from assay.store.store import Store
from assay.values import suggestion

CACHE_HELP = "folder for decoded images, see `assay cache --help` (default: $ASSAY_CACHE, or none)"
KEY_HELP = "an experiment's key (its name in the folder of results), or the beginning of the key"


def add_out(command: argparse.ArgumentParser) -> None:
    """Add the flag for the folder of results."""
    command.add_argument("--out", default="results", metavar="DIR", help="folder of results (default: results)")


def add_places(command: argparse.ArgumentParser) -> None:
    """Add the flags for the folders of data, lists, weights and decoded images."""
    group = command.add_argument_group("places", "folders to read from; this program never downloads anything")
    group.add_argument("--data-root", metavar="DIR", help="folder of data sets (default: $ASSAY_DATA, or data)")
    group.add_argument("--splits", metavar="DIR", help="folder of published lists (default: $ASSAY_SPLITS, or splits)")
    group.add_argument(
        "--weights", metavar="DIR", help="folder of encoder weights (default: $ASSAY_WEIGHTS, or weights)"
    )
    group.add_argument("--cache", metavar="DIR", help=CACHE_HELP)


def places_of(options: argparse.Namespace) -> Places:
    """Return the places that the flags name."""
    return Places.from_environment(
        data=options.data_root, splits=options.splits, weights=options.weights, cache=options.cache
    )


def store_of(options: argparse.Namespace) -> Store:
    """Return the store in the folder of results; the folder may not exist yet."""
    return LocalStore(out_folder(options.out).absolute() / "store")


def key_in(store: Store, beginning: str) -> str:
    """Return the only key that begins with `beginning`; raise a UserError for none or several."""
    keys = store.keys()
    if not keys:
        raise UserError(f"{store.describe()} holds no experiment yet; train one, or name another folder with --out.")
    matches = [key for key in keys if key.startswith(beginning)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise UserError(f"no key in {store.describe()} begins with {beginning!r}{suggestion(beginning, keys[:20])}.")
    raise UserError(f"{len(matches)} keys begin with {beginning!r}: {', '.join(matches[:8])}; write more of the key.")


def document_of(store: Store, key: str) -> dict[str, object]:
    """Return the content of a key's experiment.json."""
    document = records.read_json(store, key, records.EXPERIMENT)
    if document is None:
        raise UserError(
            f"{store.place(key)} holds no {records.EXPERIMENT}, so this program did not write it; choose another key."
        )
    return document
