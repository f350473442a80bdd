"""The flags of every study in studies/, and those that searches share with them."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable

from assay.study.tables import Study

OUT = "results"  # the folder of results where none is named


def parser(study: Study) -> argparse.ArgumentParser:
    """Return the command line of a study."""
    profiles = described((profile.name, profile.note) for profile in study.profiles)
    tables = described((table.name, table.title) for table in study.tables)
    top = argparse.ArgumentParser(
        description=f"{study.title}.\n\nprofiles (the first is the default):\n{profiles}\n\ntables:\n{tables}",
        epilog="Finished experiments are never trained again. Ctrl-C stops with a checkpoint, and the same command"
        " continues.\nResults: OUT/" + study.name + "/PROFILE/results.parquet and report.html."
        "\nASSAY_RAY_LOGS=1 in the environment shows Ray's own messages.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # flags that a job's command leaves out must be written in full
    )
    which = top.add_argument_group("the part of the study")
    which.add_argument("--profile", metavar="NAME", help="data, network and length of the trainings, see above")
    for name in ("tables", "rows", "columns"):
        which.add_argument(f"--{name}", nargs="+", default=[], metavar="NAME", help=f"only these {name}")
    which.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="seeds of the trainings")
    which.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="change every experiment, for example recipe.steps=100; the cells are then not comparable with the paper",
    )
    add_location(top)
    add_launch(top)
    instead = top.add_argument_group("instead of training")
    instead.add_argument("--plan", action="store_true", help="print what would be trained, and stop")
    instead.add_argument(
        "--probe", action="store_true", help="with --plan: measure a few steps of every kind of experiment"
    )
    instead.add_argument(
        "--report-only",
        action="store_true",
        help="rebuild tables and report from stored results; --tables chooses what is printed",
    )
    again = top.add_argument_group("training again")
    again.add_argument("--retry-failed", action="store_true", help="train failed experiments again")
    again.add_argument(
        "--force-row",
        nargs="+",
        default=[],
        metavar="ROW",
        help="forget the results of these rows and train them again",
    )
    return top


def described(items: Iterable[tuple[str, str]]) -> str:
    """Return names with their descriptions, one below the other, as wide as the terminal."""
    pairs = list(items)
    column = 4 + max(len(name) for name, _ in pairs)
    width = max(60, min(120, shutil.get_terminal_size().columns))
    return "\n".join(
        textwrap.fill(text or "-", width, initial_indent=f"  {name}".ljust(column), subsequent_indent=" " * column)
        for name, text in pairs
    )


def add_location(top: argparse.ArgumentParser) -> None:
    """Add the flags for the places of files."""
    where = top.add_argument_group("folders and cluster")
    where.add_argument("--out", default=OUT, metavar="DIR", help=f"folder of results (default: {OUT})")
    default = "on a cluster each node's own"
    where.add_argument("--data-root", metavar="DIR", help=f"data sets (default: $ASSAY_DATA, {default}; else ./data)")
    where.add_argument(
        "--splits", metavar="DIR", help=f"published lists (default: $ASSAY_SPLITS, {default}; else ./splits)"
    )
    where.add_argument(
        "--weights", metavar="DIR", help=f"encoder weights (default: $ASSAY_WEIGHTS, {default}; else ./weights)"
    )
    where.add_argument(
        "--cache",
        metavar="DIR",
        help=f"decoded images, which are read faster; see `assay cache --help` (default: $ASSAY_CACHE, {default}; else"
        " none)",
    )
    where.add_argument(
        "--address",
        metavar="ADDRESS",
        help="http://HEAD:8265 submits the script as a job; HOST:PORT joins a Ray cluster",
    )


def add_launch(top: argparse.ArgumentParser) -> None:
    """Add the flags for the way trainings run."""
    how = top.add_argument_group("workers")
    how.add_argument(
        "--gangs",
        type=int,
        metavar="G",
        help="groups of workers that each train one experiment at a time; 0: this process",
    )
    how.add_argument(
        "--workers",
        type=int,
        metavar="W",
        help="workers of each gang (default: the number that a training began with, else 1)",
    )
    how.add_argument(
        "--gpus-per-worker", type=float, metavar="N", help="GPUs of each worker (default: 1 where there are GPUs)"
    )
