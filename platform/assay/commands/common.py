"""What several commands share: where things lie, and which experiment is meant."""

from __future__ import annotations

import argparse

from assay.errors import UserError
from assay.places import Places, out_folder
from assay.store import records
from assay.store.local import LocalStore
from assay.store.store import Store
from assay.values import suggestion


def add_out(command: argparse.ArgumentParser) -> None:
    """Where results lie."""
    command.add_argument("--out", default="results", metavar="DIR", help="folder of results (default: results)")


def add_places(command: argparse.ArgumentParser) -> None:
    """Where data, lists and weights lie."""
    group = command.add_argument_group("places", "folders to read from; nothing is ever downloaded")
    group.add_argument("--data-root", metavar="DIR", help="data sets (default: $ASSAY_DATA or data)")
    group.add_argument("--splits", metavar="DIR", help="published lists (default: $ASSAY_SPLITS or splits)")
    group.add_argument("--weights", metavar="DIR", help="encoder weights (default: $ASSAY_WEIGHTS or weights)")


def places_of(arguments: argparse.Namespace) -> Places:
    """The places that the command line names."""
    return Places.from_environment(data=arguments.data_root, splits=arguments.splits, weights=arguments.weights)


def store_of(arguments: argparse.Namespace) -> Store:
    """The store below OUT; it may not exist yet."""
    return LocalStore(out_folder(arguments.out).absolute() / "store")


def key_in(store: Store, beginning: str) -> str:
    """The one key that begins so."""
    keys = store.keys()
    found = [key for key in keys if key.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"no key in {store.describe()} begins with {beginning!r}{suggestion(beginning, keys[:20])}.")
    raise UserError(f"{len(found)} keys begin with {beginning!r}: {', '.join(found[:8])}; write more of it.")


def document_of(store: Store, key: str) -> dict[str, object]:
    """What is stored as experiment.json."""
    document = records.read_json(store, key, records.EXPERIMENT)
    if document is None:
        raise UserError(f"{store.place(key)} holds no {records.EXPERIMENT}; it was not written by this program.")
    return document
