"""The flags that every script in studies/ has."""

from __future__ import annotations

import argparse

from assay.study.tables import Study

OUT = "results"  # the folder of results where none is named


def parser(study: Study) -> argparse.ArgumentParser:
    """Return the command line of a study."""
    profiles = "\n".join(f"  {each.name:8} {each.note}" for each in study.profiles)
    tables = "\n".join(f"  {each.name:24} {each.title}" for each in study.tables)
    top = argparse.ArgumentParser(
        description=f"{study.title}.\n\nprofiles (the first is the default):\n{profiles}\n\ntables:\n{tables}",
        epilog="Finished experiments are never trained again; Ctrl-C stops with a checkpoint, and the same command"
        " goes on.\nResults: OUT/" + study.name + "/PROFILE/results.parquet and report.html."
        "\nASSAY_RAY_LOGS=1 in the environment lets through what Ray says of itself.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what is stripped from a job's command must be written as it is known
    )
    which = top.add_argument_group("what is run")
    which.add_argument("--profile", metavar="NAME", help="what it is trained on, see above")
    for name in ("tables", "rows", "columns"):
        which.add_argument(f"--{name}", nargs="+", default=[], metavar="NAME", help=f"only these {name}")
    which.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="seeds of the trainings")
    which.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="change every experiment, for example recipe.steps=100; its cells are then not comparable",
    )
    add_location(top)
    add_launch(top)
    instead = top.add_argument_group("instead of a run")
    instead.add_argument("--plan", action="store_true", help="print what would be trained, and stop")
    instead.add_argument(
        "--probe", action="store_true", help="with --plan: measure a few steps of every kind of experiment"
    )
    instead.add_argument(
        "--report-only", action="store_true", help="rebuild tables and report from what is there; --tables: print these"
    )
    again = top.add_argument_group("again")
    again.add_argument("--retry-failed", action="store_true", help="train failed experiments again")
    again.add_argument(
        "--force-row", nargs="+", default=[], metavar="ROW", help="forget these rows' results and train them again"
    )
    return top


def add_location(top: argparse.ArgumentParser) -> None:
    """Add the flags that say where files are."""
    where = top.add_argument_group("where")
    where.add_argument("--out", default=OUT, metavar="DIR", help=f"folder of results (default: {OUT})")
    own = "a cluster's node prefers its own"
    where.add_argument("--data-root", metavar="DIR", help=f"data sets (default: $ASSAY_DATA, {own}; or data)")
    where.add_argument("--splits", metavar="DIR", help=f"published lists (default: $ASSAY_SPLITS, {own}; or splits)")
    where.add_argument(
        "--address", metavar="ADDRESS", help="http://head:8265 submits a job; host:port is a Ray cluster"
    )


def add_launch(top: argparse.ArgumentParser) -> None:
    """Add the flags that say how trainings run."""
    how = top.add_argument_group("how")
    how.add_argument(
        "--gangs", type=int, metavar="G", help="groups of workers, each trains one experiment; 0: this process"
    )
    how.add_argument(
        "--workers", type=int, metavar="W", help="workers of each gang (default: as it was begun with; else 1)"
    )
    how.add_argument(
        "--gpus-per-worker", type=float, metavar="N", help="GPUs of each worker (default: 1 where there are any)"
    )
