"""The flags of every search in studies/."""

from __future__ import annotations

import argparse

from assay.run.flags import add_launch, add_location
from assay.search.objectives import OBJECTIVES
from assay.search.pruning import PRUNERS
from assay.search.search import SAMPLERS, Search
from assay.search.space import Unstated, parameters_of


def parser(search: Search) -> argparse.ArgumentParser:
    """Return the command line of a search."""
    profiles = "\n".join(f"  {each.name:8} {each.note}" for each in search.profiles)
    top = argparse.ArgumentParser(
        description=f"{search.title}.\n\nprofiles (the first is the default):\n{profiles}\n\nspace:\n{_space(search)}",
        epilog="Configurations are experiments like any other: what is trained already is not trained again. Ctrl-C"
        " stops\nwith checkpoints, and the same command goes on.\nResults: OUT/" + search.name + "/PROFILE/"
        "trials.parquet, importances.parquet, report.html and optuna.journal. With\nother seeds, objectives, rungs or"
        " --set, or another space but for the ends of its ranges, it is another study,\nwhose tables have a folder of"
        " their own in there.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = top.add_argument_group("what is searched")
    what.add_argument("--profile", metavar="NAME", help="what it is trained on, see above")
    what.add_argument("--configurations", type=int, metavar="N", help="configurations of all runs together")
    what.add_argument("--hours", type=float, metavar="H", help="begin no other so long after this run's first training")
    what.add_argument("--device-hours", type=float, metavar="H", help="begin no other one after so much of all runs")
    what.add_argument("--seeds", nargs="+", type=int, default=[], metavar="N", help="seeds of each configuration")
    what.add_argument("--objectives", nargs="+", default=[], metavar="NAME", help=", ".join(OBJECTIVES))
    what.add_argument("--sampler", choices=SAMPLERS, help=f"what proposes (default: {search.sampler})")
    what.add_argument("--sampler-seed", type=int, metavar="N", help=f"(default: {search.sampler_seed})")
    what.add_argument("--grid-points", type=int, metavar="N", help="values of each number with --sampler grid")
    what.add_argument("--pruner", choices=PRUNERS, help=f"what gives up (default: {search.effective_pruning.name})")
    what.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE", help="change every experiment"
    )
    add_location(top)
    add_launch(top)
    instead = top.add_argument_group("instead of a run")
    instead.add_argument("--plan", action="store_true", help="print what was found and what may follow, and stop")
    instead.add_argument("--report-only", action="store_true", help="rebuild tables and report from what is there")
    top.add_argument_group("again").add_argument(
        "--retry-failed", action="store_true", help="try failed configurations again"
    )
    return top


def _space(search: Search) -> str:
    of = parameters_of(search.space)
    width = max(len(each.name) for each in of)
    return "\n".join(
        f"  {each.name:{width}}  {each.domain.describe()}"
        + ("" if isinstance(each.domain.paper, Unstated) else f"  (paper: {each.domain.paper})")
        for each in of
    )
