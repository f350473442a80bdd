"""The command line: one file per command, imported when it is run, so that `--help` imports neither torch nor ray."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from assay.terminal import exit_code

COMMANDS = {
    "train": "train one experiment, or continue it",
    "show": "print an experiment and its result",
    "export": "write a finished experiment's network as files that run without this program, and check them",
    "log": "print what was said while a study trained an experiment, and why it failed",
    "status": "list the experiments of a store and how far they are",
    "why": "say why an experiment will run again",
    "splits": "list the published lists that are here, and what a split resolves to",
    "doctor": "show what this machine has, what is missing, and what each study in ./studies still needs",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m assay",
        description="Train and look at single experiments; studies/ holds whole tables.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        importlib.import_module(f"assay.commands.{name}").add_arguments(command)
    return top


def run(arguments: Sequence[str]) -> int:
    """Run a command; 0 when all is well, 2 for a user's mistake, 1 for a failure, 130 or 143 after a signal."""

    def chosen() -> int:
        asked = parser().parse_args(arguments)
        code: int = importlib.import_module(f"assay.commands.{asked.command}").run(asked)
        return code

    return exit_code(chosen)
