"""The flags that every script in studies/ has."""

from __future__ import annotations

import argparse
import math

from assay.errors import UserError
from assay.study.tables import Study

OUT = "results"  # the folder of results where none is named


def parser(study: Study) -> argparse.ArgumentParser:
    """The flags."""
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
    add_where(top)
    add_how(top)
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


def add_where(top: argparse.ArgumentParser) -> None:
    """Where things lie."""
    where = top.add_argument_group("where")
    where.add_argument("--out", default=OUT, metavar="DIR", help=f"folder of results (default: {OUT})")
    own = "a cluster's node prefers its own"
    where.add_argument("--data-root", metavar="DIR", help=f"data sets (default: $ASSAY_DATA, {own}; or data)")
    where.add_argument("--splits", metavar="DIR", help=f"published lists (default: $ASSAY_SPLITS, {own}; or splits)")
    where.add_argument(
        "--address", metavar="ADDRESS", help="http://head:8265 submits a job; host:port is a Ray cluster"
    )


def said_places(asked: argparse.Namespace) -> tuple[str, ...]:
    """The flags of where results, data and lists lie that differ from their defaults, as they were written."""
    said = {"--out": None if asked.out == OUT else asked.out, "--data-root": asked.data_root, "--splits": asked.splits}
    return tuple(part for flag, value in said.items() if value for part in (flag, value))


def add_how(top: argparse.ArgumentParser) -> None:
    """Who trains."""
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


def check(asked: argparse.Namespace) -> None:
    """Refuse flags that mean nothing, or contradict each other."""
    check_how(asked)
    if asked.probe and not asked.plan:
        raise UserError("--probe measures for --plan; give both.")


def check_how(asked: argparse.Namespace) -> None:
    """The same for the flags that studies and searches share."""
    if asked.gangs is not None and asked.gangs < 0:
        raise UserError(f"--gangs must be 0 or more, got {asked.gangs}.")
    if asked.workers is not None and asked.workers < 1:
        raise UserError(f"--workers must be 1 or more, got {asked.workers}.")
    if asked.gpus_per_worker is not None:
        _check_gpus(asked.gpus_per_worker)
    if asked.gangs == 0 and not takes_jobs(asked.address):
        _check_without_gangs(asked)
    for seed in asked.seeds:
        if seed < 0:
            raise UserError(f"--seeds must be 0 or more, got {seed}.")


def check_beside_report(asked: argparse.Namespace) -> None:
    """Refuse what has no meaning beside --report-only."""
    for name in ("plan", "retry_failed", "force_row"):
        if asked.report_only and getattr(asked, name):
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"--report-only trains nothing, so {flag} has no meaning beside it; leave one of them out.")
    for name in ("rows", "columns", "seeds", "overrides"):
        if asked.report_only and getattr(asked, name):
            flag = "--set" if name == "overrides" else f"--{name}"
            raise UserError(
                f"--report-only shows all that was ever planned, so {flag} has no meaning beside it; leave it out, or"
                " choose with --tables what is printed."
            )


def _check_gpus(number: float) -> None:
    if not math.isfinite(number) or number < 0 or (number > 1 and number != int(number)):
        raise UserError(f"--gpus-per-worker must be 0, a share of one GPU or a whole number of them, got {number:g}.")


def _check_without_gangs(asked: argparse.Namespace) -> None:
    if asked.workers is not None and asked.workers > 1:
        raise UserError("--workers above 1 needs gangs: --gangs 0 trains in this one process; use --gangs 1.")
    for flag, value in (("--gpus-per-worker", asked.gpus_per_worker), ("--address", asked.address)):
        if value is not None:
            raise UserError(
                f"{flag} {value} is for gangs: --gangs 0 trains in this one process; leave one of them out."
            )


def takes_jobs(address: str | None) -> bool:
    """Whether scripts are submitted to this address, rather than run on it."""
    return address is not None and address.startswith(("http://", "https://"))
