"""`assay log`: what was said while an experiment was trained by a study."""

from __future__ import annotations

import argparse

from assay.commands.common import add_out, key_in, store_of
from assay.store import records


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    command.add_argument("key", metavar="KEY", help="a key, or its beginning")
    add_out(command)


def run(arguments: argparse.Namespace) -> int:
    """Print notes, warnings and tracebacks."""
    store = store_of(arguments)
    key = key_in(store, arguments.key)
    said = (store.read(key, records.LOG) or b"").decode("utf-8", errors="replace")
    print(said or f"nothing was said about {key}", end="" if said else "\n")
    for failure in records.failures(store, key):
        rank = f" on rank {failure['rank']}" if failure.get("rank") else ""
        print(f"failed{rank}: {failure['error']}")
        print(failure.get("traceback", "").rstrip())
    return 0
