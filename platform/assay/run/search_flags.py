"""The flags of every search in studies/."""

from __future__ import annotations

import argparse

from assay.run.flags import add_launch, add_location, described
from assay.search.objectives import OBJECTIVES
from assay.search.pruning import PRUNERS
from assay.search.search import SAMPLERS, Search
from assay.search.space import Unstated, parameters_of


def parser(search: Search) -> argparse.ArgumentParser:
    """Return the command line of a search."""
    profiles = described((profile.name, profile.note) for profile in search.profiles)
    top = argparse.ArgumentParser(
        description=f"{search.title}.\n\nprofiles (the first is the default):\n{profiles}\n\nspace:\n{_space(search)}",
        epilog="Configurations are experiments like any other: finished ones are not trained again. Ctrl-C stops with"
        "\ncheckpoints, and the same command continues.\nResults: OUT/" + search.name + "/PROFILE/trials.parquet,"
        " importances.parquet, report.html and optuna.journal.\nChanging seeds, objectives, rungs, --set or the space"
        " (except range limits) starts a new Optuna study in the same"
        "\njournal. It reuses finished trainings but keeps its own tables in a subfolder.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    searched = top.add_argument_group("the search")
    searched.add_argument("--profile", metavar="NAME", help="data, network and length of the trainings, see above")
    searched.add_argument("--configurations", type=int, metavar="N", help="configurations of all runs together")
    searched.add_argument(
        "--hours", type=float, metavar="H", help="start no configuration this long after the run's first training"
    )
    searched.add_argument(
        "--device-hours", type=float, metavar="H", help="start no configuration once all runs together took this many"
    )
    searched.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="seeds of each configuration")
    searched.add_argument("--objectives", nargs="+", default=[], metavar="NAME", help=", ".join(OBJECTIVES))
    searched.add_argument(
        "--sampler", choices=SAMPLERS, help=f"how configurations are proposed (default: {search.sampler})"
    )
    searched.add_argument("--sampler-seed", type=int, metavar="N", help=f"(default: {search.sampler_seed})")
    searched.add_argument("--grid-points", type=int, metavar="N", help="values of each number with --sampler grid")
    searched.add_argument(
        "--pruner",
        choices=PRUNERS,
        help=f"how configurations are stopped early (default: {_pruners(search)})",
    )
    searched.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE", help="change every experiment"
    )
    add_location(top)
    add_launch(top)
    instead = top.add_argument_group("instead of training")
    instead.add_argument("--plan", action="store_true", help="print the space, the trials so far and the budget")
    instead.add_argument("--report-only", action="store_true", help="rebuild tables and report without any training")
    top.add_argument_group("training again").add_argument(
        "--retry-failed", action="store_true", help="propose failed configurations again"
    )
    return top


def _pruners(search: Search) -> str:
    """Return the pruner of the search, and of the profiles with another."""
    default = search.effective_pruning.name
    own = {name: settings.pruning.name for name, settings in search.settings.items() if settings.pruning}
    return ", ".join([default, *(f"{pruner} in {name}" for name, pruner in own.items() if pruner != default)])


def _space(search: Search) -> str:
    parameters = parameters_of(search.space)
    width = max(len(parameter.name) for parameter in parameters)
    return "\n".join(
        f"  {parameter.name:{width}}  {parameter.domain.describe()}"
        + ("" if isinstance(parameter.domain.paper, Unstated) else f"  (paper: {parameter.domain.paper})")
        for parameter in parameters
    )
