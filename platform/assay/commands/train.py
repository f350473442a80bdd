"""`assay train`: train one experiment, from flags to a result."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING

from assay.commands.common import add_out, add_places, places_of, store_of
from assay.errors import UserError
from assay.signals import stop_on_signals
from assay.terminal import command_line, print_line

if TYPE_CHECKING:
    from assay.experiment import Experiment, Runtime
    from assay.places import Places
    from assay.resolve import Resolved
    from assay.store.store import Store

EXAMPLES = """examples:
  python -m assay train --method supervised
  python -m assay train --method cps --set method.cutmix=boxes --set method.weight=1 --seed 3
  python -m assay train --method cps --data camvid --set data.split.labeled=1/8 --data-root ~/data
  torchrun --nproc-per-node 4 -m assay train --method cps --data voc
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = EXAMPLES
    add_experiment(command)
    add_out(command)
    add_places(command)
    command.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="set a field that changes no result: device, threads, loader_workers, checkpoint_every, compile, …;"
        " may be repeated",
    )
    command.add_argument("--retry", action="store_true", help="train an experiment again that has failed")


def add_experiment(command: argparse.ArgumentParser) -> None:
    """Add the flags that describe an experiment."""
    from assay.presets import PRESETS

    command.add_argument("--method", metavar="NAME", help="the method's short name: supervised, cps, …")
    command.add_argument(
        "--data",
        default="textures",
        metavar="NAME",
        help=f"data set: {', '.join(PRESETS)}; each comes with a network and a recipe that suit it (default: textures,"
        " images that the program draws)",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the training (default: 0)")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="PATH=VALUE",
        help="change a field of the experiment, for example method.weight=1 or recipe.optimizer.lr=0.01; repeatable",
    )


def experiment_of(options: argparse.Namespace) -> Experiment:
    """Return the experiment that the flags describe."""
    from assay.overrides import Override, apply
    from assay.presets import starting_point

    if not options.method:
        raise UserError("--method is missing; `python -m assay train --help` shows examples.")
    start = starting_point(options.method, options.data)
    # The seed alone first: where --set breaks a rule over several fields, the message must not name --seed.
    start = apply(start, [Override("seed", options.seed, f"--seed {options.seed}")])
    return apply(start, [Override.parse(text) for text in options.overrides])


def run(options: argparse.Namespace) -> int:
    """Train or continue an experiment, or print its result where it is done."""
    from assay.experiment import Runtime
    from assay.overrides import Override, apply
    from assay.resolve import resolve
    from assay.store import records

    places = places_of(options)
    experiment = experiment_of(options)
    overrides = [Override.parse(text, flag="--runtime") for text in options.runtime]
    runtime = apply(Runtime(), overrides)
    store = store_of(options)
    resolved = resolve(experiment, places)
    state = records.state(store, resolved.key)
    if state.name == "failed" and not state.is_damaged and not options.retry:
        raise UserError(
            f"experiment {resolved.key} failed before: {state.detail}. Add --retry to train it again, or change it."
        )
    if state.name == "failed" and os.environ.get("RANK", "0") == "0":
        records.retry(store, resolved.key)
    return _train(resolved, store, places, runtime, out=options.out)


def _train(resolved: Resolved, store: Store, places: Places, runtime: Runtime, *, out: str) -> int:
    from assay.commands.show import summary
    from assay.store import records
    from assay.training.distributed import process_group
    from assay.training.session import SessionOptions, train

    print_on_rank0 = print_line if os.environ.get("RANK", "0") == "0" else _print_nothing
    is_done = records.read_json(store, resolved.key, records.RESULT) is not None
    heading = f"experiment {resolved.key} in {store.place(resolved.key)}"
    if is_done:
        print_on_rank0(f"{heading}: is done already")
    with process_group(runtime), stop_on_signals() as stop_request:
        result = train(
            resolved,
            store,
            places=places,
            runtime=runtime,
            stop=stop_request.is_set,
            options=SessionOptions(print_line=print_on_rank0, heading=heading, run="train"),
        )
    if result is None:
        print_on_rank0(f"stopped, with a checkpoint. The same command continues: {_same_command()}")
        # A rank may be stopped by a signal that only another rank received.
        return 128 + (stop_request.signal or signal.SIGINT)
    print_on_rank0(summary(resolved.document(), result))
    print_on_rank0("more: " + command_line(["python", "-m", "assay", "show", resolved.key, "--out", out]))
    return 0


def _print_nothing(text: str) -> None:
    """Print nothing: rank 0 prints for all ranks."""


def _same_command() -> str:
    """Return the command that was given; with torchrun where it started several ranks on this machine alone."""
    ranks = os.environ.get("WORLD_SIZE", "1")
    torchrun = ranks != "1" and ranks == os.environ.get("LOCAL_WORLD_SIZE")
    program = ["torchrun", "--nproc-per-node", ranks] if torchrun else ["python"]
    return command_line([*program, "-m", "assay", *sys.argv[1:]])
