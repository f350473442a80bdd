"""The plan as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from assay.store import records
from assay.store.store import Store
from assay.study.cells import Cell
from assay.study.display import duration
from assay.study.plan import Node, Plan
from assay.study.tables import Profile

SHOWN = 12  # experiments that are listed one by one


def print_plan(
    plan: Plan,
    cells: Sequence[Cell],
    profile: Profile,
    store: Store,
    *,
    gangs: int | None,
    workers: int,
    probed: Mapping[str, float],
    real: str | None,
    say: Callable[[str], None],
) -> None:
    """What would be trained, what is there already, and what it takes."""
    say(f"profile {profile.name}: {profile.note}")
    if profile.differs and real is not None:
        say(f"  for the paper's own data and schedule: --profile {real}")
    shared = sum(node.cells > 1 for node in plan.nodes.values())
    inputs = sum(node.cells == 0 for node in plan.nodes.values())
    say(
        f"{len(cells)} cells are {len(plan.nodes)} experiments ({shared} shared by several cells, {inputs} only trained"
        f" for others), in {store.describe()}"
    )
    counts = {name: len(plan.in_state(name)) for name in ("done", "running", "interrupted", "failed", "absent")}
    words = {"absent": "to train", "interrupted": "to continue", "running": "running elsewhere"}
    if plan.nodes:
        say("  " + ", ".join(f"{count} {words.get(name, name)}" for name, count in counts.items() if count))
    blocked = plan.schedule().keys("blocked")
    if blocked:
        say(f"  {len(blocked)} blocked, since what they need failed; --retry-failed trains that again")
    for why, count in plan.unresolved.items():
        say(f"  {count} cells unresolved here: {why}")
    _print_nodes(plan, say)
    if plan.to_run:
        at_once = gangs or 1
        where = "this process" if gangs == 0 else f"{gangs or 'as many as fit:'} gangs of {workers} workers"
        say(f"runs in {where}; {_cost(plan, store, at_once, workers, probed)}")


def _print_nodes(plan: Plan, say: Callable[[str], None]) -> None:
    todo = plan.to_run
    for node in todo[:SHOWN]:
        experiment = node.resolved.experiment
        needs = [each.key for each in node.resolved.inputs.values()]
        say(
            f"  {node.key}  {experiment.method.name:14} seed {experiment.seed}  {experiment.recipe.steps} steps"
            f"  {node.cells} cells" + (f"  after {', '.join(needs)}" if needs else "")
        )
    if len(todo) > SHOWN:
        say(f"  and {len(todo) - SHOWN} more")


def shape(node: Node) -> tuple[object, ...]:
    """What decides how long a step takes and how much a checkpoint weighs; seeds and weights do not."""
    experiment = node.resolved.experiment
    recipe = experiment.recipe
    return (
        experiment.method.name,
        experiment.net,
        recipe.augment.crop,
        recipe.labeled_batch,
        recipe.unlabeled_batch,
        recipe.precision,
    )


def _cost(plan: Plan, store: Store, at_once: int, workers: int, probed: Mapping[str, float]) -> str:
    """Time and disk, from finished experiments of the same shape or from a probe; unknown where there is neither."""
    speed: dict[tuple[object, ...], float] = {}
    size: dict[tuple[object, ...], int] = {}
    for node in plan.in_state("done"):
        if shape(node) in speed:
            continue
        result = records.read_json(store, node.key, records.RESULT)
        if result is not None:
            speed[shape(node)] = result["seconds"] / max(result["steps"], 1)
            size[shape(node)] = sum(len(store.read(node.key, name) or b"") for name in store.names(node.key))
    per_step = [probed.get(node.key, speed.get(shape(node))) for node in plan.to_run]
    steps = [node.resolved.experiment.recipe.steps for node in plan.to_run]
    known = [each * count for each, count in zip(per_step, steps, strict=True) if each is not None]
    if not known:
        return "time unknown (nothing of this shape was trained yet; --plan --probe measures)"
    said = f"about {duration(sum(known) / at_once)}, {duration(sum(known) * workers)} of device time"
    disk = [size[shape(node)] for node in plan.to_run if shape(node) in size]
    if disk:
        said += f", {sum(disk) / 2**20:.0f} MB to keep"
    unknown = len(plan.to_run) - len(known)
    return said + (f"; {unknown} experiments of unknown length beside these" if unknown else "")
