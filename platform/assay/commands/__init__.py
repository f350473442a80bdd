"""The command line of single experiments: one file for each command.

Each file imports torch inside its functions, so that `--help` imports neither torch nor ray.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from assay.terminal import exit_code

COMMANDS = {
    "train": "train one experiment, or continue it from its last checkpoint",
    "show": "print an experiment, its state and its result",
    "export": "write a finished experiment's network as files that run without this program, and check the files",
    "log": "print the log of an experiment that a study trained (notes and warnings), and its errors",
    "status": "list all experiments in the folder of results, with state, step and mIoU",
    "why": "explain why an experiment will, or will not, be trained again",
    "splits": "list the published lists and your own, or count (with --verify: check) the images of a data set's split",
    "masks": "make the masks of a data set (coco, voc) from its owner's archives, once",
    "cache": "list, fill and delete the caches of decoded images, from which training reads faster",
    "doctor": "show what this machine has, what is missing, and what each study in ./studies still needs",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m assay",
        description="Train, inspect and export single experiments. The scripts in studies/ train whole tables.",
        epilog="`python -m assay COMMAND --help` explains a command.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        importlib.import_module(f"assay.commands.{name}").add_arguments(command)
    return top


def run(arguments: Sequence[str]) -> int:
    """Run a command. Return 0 for success, 1 for a failure, 2 for a user error, 130 or 143 after a signal."""

    def run_command() -> int:
        options = parser().parse_args(arguments)
        code: int = importlib.import_module(f"assay.commands.{options.command}").run(options)
        return code

    return exit_code(run_command)
