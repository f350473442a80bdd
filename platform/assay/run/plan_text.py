"""The plan as text."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from assay.execution.costs import Cost, costs_in, shape
from assay.execution.display import duration
from assay.execution.plan import Node, Plan
from assay.store import records
from assay.store.store import Store
from assay.study.cells import Cell
from assay.study.tables import Profile

SHOWN = 12  # experiments that are listed one by one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a plan is worked off."""

    gangs: int  # 0: in this process
    workers: int
    on: str = ""  # the machine or cluster, where it was asked
    as_many_as_fit: bool = False  # whether `gangs` stands for as many as there is room for
    note: str = ""  # why so many workers, where nobody asked for them

    def describe(self) -> str:
        """In words."""
        if not self.gangs:
            return "this process"
        gangs = "as many gangs as fit" if self.as_many_as_fit else _count(self.gangs, "gang")
        return f"{gangs} of {_count(self.workers, 'worker')}" + (f" on {self.on}" if self.on else "")


def print_plan(
    plan: Plan,
    cells: Sequence[Cell],
    profile: Profile,
    store: Store,
    *,
    where: Placement,
    quoted: Sequence[str],
    probed: Mapping[str, float],
    real: str | None,
    say: Callable[[str], None],
) -> None:
    """What would be trained, what is there already, and what it takes.

    quoted: tables, with their columns where it is not all, that the profile does not train
    """
    say(f"profile {profile.name}: {profile.note}")
    if profile.not_comparable:
        say(f"  differs from the paper: {profile.not_comparable}")
    if profile.not_comparable and real is not None:
        say(f"  for the paper's own data and schedule: --profile {real}")
    _print_cells(plan, cells, store, say)
    _print_states(plan, say)
    for node, count in Counter(each.resolved.resolved_on for each in plan.nodes.values()).items():
        if node:
            say(f"  {_count(count, 'experiment')} resolved on node {node}: this machine does not see what they name")
    if quoted:
        say(f"  only quoted: {'; '.join(quoted)}: not trained in this profile")
    todo = plan.to_run
    _print_nodes(todo, say)
    _print_other_workers(todo, store, where, say)
    if todo and where.note:
        say(f"  {where.note}")
    if todo:
        say(f"runs in {where.describe()}; {_cost(todo, store, where, probed)}")


def _print_cells(plan: Plan, cells: Sequence[Cell], store: Store, say: Callable[[str], None]) -> None:
    """How many experiments the cells are, and which of them could not be resolved here or lack their data anywhere."""
    lacking = {cell.blocked_by for cell in cells}
    if not plan.nodes and len(plan.unresolved) == 1:
        (why,) = plan.unresolved
        say(f"{_count(len(cells), 'cell')}, {'all blocked' if why in lacking else 'none resolved here'}: {why}")
        return
    shared = sum(node.cells > 1 for node in plan.nodes.values())
    inputs = sum(node.cells == 0 for node in plan.nodes.values())
    if plan.nodes:
        say(
            f"{_count(len(cells), 'cell')} {'is' if len(cells) == 1 else 'are'} {_count(len(plan.nodes), 'experiment')}"
            f" ({shared} shared by several cells, {inputs} only trained for others), in {store.describe()}"
        )
    else:
        say(f"{_count(len(cells), 'cell')}, none resolved here:")
    trainings, naive = len(plan.nodes), plan.unshared_trainings
    if naive > trainings:
        times = f"{naive / trainings:.1f} x"
        say(f"  {_count(trainings, 'training')}; each cell with inputs of its own would take {naive} ({times})")
    for why, count in plan.unresolved.items():
        say(f"  {_count(count, 'cell')} {'blocked' if why in lacking else 'unresolved here'}: {why}")


def _print_states(plan: Plan, say: Callable[[str], None]) -> None:
    """How many experiments are in which state; each is counted once."""
    waiting = plan.blocked
    blocked, idle = {node.key for node in waiting}, plan.orphaned
    names = ("done", "running", "interrupted", "failed", "absent")
    counts = {name: sum(node.key not in blocked | idle for node in plan.in_state(name)) for name in names}
    counts |= {"blocked": len(blocked), "not needed any more": len(idle)}
    words = {"absent": "to train", "interrupted": "to continue", "running": "running elsewhere"}
    said = [f"{count} {words.get(name, name)}" for name, count in counts.items() if count]
    if said:
        say("  " + ", ".join(said))
    if blocked:
        say("  blocked are those that need what failed; --retry-failed trains that again")
        _print_blocked(plan, waiting, say)


def _print_blocked(plan: Plan, blocked: Sequence[Node], say: Callable[[str], None]) -> None:
    """What is blocked by name, and what it needs that is not done."""
    width = max(len(node.display_name) for node in blocked[:SHOWN])
    for node in blocked[:SHOWN]:
        needs = (plan.nodes[each.key] for each in node.resolved.inputs.values())
        named = [f"{each.key} ({each.display_name})" for each in needs if each.state.name != "done"]
        say(f"  {node.key}  {node.display_name:{width}}  blocked: needs {', '.join(dict.fromkeys(named))}")
    if len(blocked) > SHOWN:
        say(f"  and {len(blocked) - SHOWN} more blocked")


def _print_nodes(todo: Sequence[Node], say: Callable[[str], None]) -> None:
    width = max((len(node.display_name) for node in todo[:SHOWN]), default=0)
    for node in todo[:SHOWN]:
        experiment = node.resolved.experiment
        needs = [each.key for each in node.resolved.inputs.values()]
        say(
            f"  {node.key}  {node.display_name:{width}}  {experiment.recipe.steps} steps  {_count(node.cells, 'cell')}"
            + (f"  after {', '.join(needs)}" if needs else "")
        )
    if len(todo) > SHOWN:
        say(f"  and {len(todo) - SHOWN} more")


def _print_other_workers(todo: Sequence[Node], store: Store, where: Placement, say: Callable[[str], None]) -> None:
    """What continues with another number of workers than it was begun with, which moves its last bits."""
    now = where.workers if where.gangs else 1
    for node in todo:
        before = records.workers_before(store, node.key) if node.state.name == "interrupted" else None
        if before not in (None, now):
            say(f"  {node.key}  {records.workers_changed_note(before, now)}")


def _cost(todo: Sequence[Node], store: Store, where: Placement, probed: Mapping[str, float]) -> str:
    """Time and disk, from a probe or from finished experiments of the same shape; unknown where there is neither."""
    kinds = [shape(node.resolved.experiment) for node in todo]
    found = costs_in(store, set(kinds))
    costs = [found.get(kind, Cost()) for kind in kinds]
    per_step = [probed.get(node.key, cost.seconds_per_step) for node, cost in zip(todo, costs, strict=True)]
    steps = [node.resolved.experiment.recipe.steps for node in todo]
    known = [each * count for each, count in zip(per_step, steps, strict=True) if each is not None]
    if not known:
        return "time unknown (nothing of this shape was trained yet; --plan --probe measures)"
    said = f"about {duration(sum(known) / max(where.gangs, 1))}, {duration(sum(known) * where.workers)} of device time"
    disk = [cost.bytes_kept for cost in costs if cost.bytes_kept is not None]
    if disk:
        said += f", {sum(disk) / 2**20:.0f} MB to keep"
    unknown = len(todo) - len(known)
    return said + (f"; {_count(unknown, 'experiment')} of unknown length beside these" if unknown else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
