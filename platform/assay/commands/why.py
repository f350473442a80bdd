"""`assay why`: explain why an experiment of the store will, or will not, be trained again."""

from __future__ import annotations

import argparse

from assay.commands.common import KEY_HELP, add_out, add_places, document_of, key_in, places_of, store_of
from assay.store import records


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    from assay.commands.train import add_experiment

    command.epilog = (
        "The stored experiment is compared with the one that the flags describe: with --method a new one, without"
        " --method the stored one with the changes of --set. Lists, data and weights are read as they are now."
    )
    command.add_argument("key", metavar="KEY", help=KEY_HELP)
    add_experiment(command)
    add_out(command)
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """Compare a stored experiment with the one that the flags describe, as it resolves now; print the differences."""
    from assay.commands.train import experiment_of
    from assay.experiment import Experiment
    from assay.identity import differences
    from assay.overrides import Override, apply
    from assay.resolve import resolve

    store = store_of(options)
    key = key_in(store, options.key)
    document = document_of(store, key)
    stored = Experiment.from_document(document, key)
    overrides = [Override.parse(text) for text in options.overrides]
    experiment = experiment_of(options) if options.method else apply(stored, overrides)
    now = resolve(experiment, places_of(options))
    changed = differences(document["identity"], now.identity)
    if changed:
        print(f"{key} is stored; the experiment that is described now is {now.key}, with these differences:")
        for path, old, new in changed:
            print(f"  {path}: {old} → {new}")
        return 0
    state = records.state(store, key)
    if state.is_damaged:
        print(f"{key} is not trained while one of its files is damaged: {state.detail}")
        return 0
    print(
        {
            "done": f"{key} will not run again: its result is stored.",
            "interrupted": f"{key} was interrupted; it continues from its last checkpoint.",
            "running": f"{key} is being trained: {state.detail}.",
            "failed": f"{key} failed, and runs again only with --retry: {state.detail}.",
            "absent": f"{key} has not been trained yet.",
        }[state.name]
    )
    return 0
