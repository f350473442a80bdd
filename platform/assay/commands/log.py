"""`assay log`: print the log of an experiment that a study trained."""

from __future__ import annotations

import argparse

from assay.commands.common import KEY_HELP, add_out, key_in, store_of
from assay.store import records


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.add_argument("key", metavar="KEY", help=KEY_HELP)
    add_out(command)


def run(options: argparse.Namespace) -> int:
    """Print the notes, warnings and tracebacks of an experiment."""
    store = store_of(options)
    key = key_in(store, options.key)
    log = (store.read(key, records.LOG) or b"").decode("utf-8", errors="replace")
    print(log or f"the log of {key} is empty", end="" if log else "\n")
    for failure in records.failures(store, key):
        rank = f" on rank {failure['rank']}" if failure.get("rank") else ""
        print(f"failed{rank}: {failure['error']}")
        print(failure.get("traceback", "").rstrip())
    return 0
