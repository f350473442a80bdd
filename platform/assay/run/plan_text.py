"""The plan as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from assay.execution.costs import TrainingCost, cost_kind, costs_in
from assay.execution.plan import Node, Plan
from assay.run.launcher import Placement
from assay.store import records
from assay.store.store import Store
from assay.study.equal_rows import RowsMadeEqual
from assay.study.tables import Profile
from assay.wording import count, duration

SHOWN = 12  # experiments that are listed one by one
REASONS = 3  # missing lists, data or weights that are listed one by one

PrintLine = Callable[[str], None]


def print_plan(
    plan: Plan,
    profile: Profile,
    store: Store,
    *,
    placement: Placement,
    quoted: Sequence[str],
    equal_rows: Sequence[RowsMadeEqual],
    probed: Mapping[str, float],
    paper_profile: str | None,
    print_line: PrintLine,
) -> None:
    """Print the experiments to train, those that are done, and the cost of the rest.

    quoted: tables that the profile does not train, with their columns where only some are not trained
    equal_rows: rows that --set made the same trainings
    probed: measured seconds per step, by key
    paper_profile: the profile with the paper's own data and schedule
    """
    print_line(f"profile {profile.name}: {profile.note}")
    if profile.not_comparable:
        print_line(f"  differs from the paper: {profile.not_comparable}")
    if profile.not_comparable and paper_profile is not None:
        print_line(f"  for the paper's own data and schedule: --profile {paper_profile}")
    _print_cells(plan, store, print_line)
    for rows in equal_rows:
        print_line(f"  note: {rows.text()}")
    _print_states(plan, print_line)
    for node, number in Counter(each.resolved.resolved_on for each in plan.nodes.values()).items():
        if node:
            print_line(
                f"  {count(number, 'experiment')} resolved on node {node}: this machine lacks their data or lists"
            )
    if quoted:
        print_line(f"  only quoted: {'; '.join(quoted)}: not trained in this profile")
    todo = plan.to_run
    _print_nodes(todo, print_line)
    _print_other_workers(todo, store, placement, print_line)
    if todo and placement.note:
        print_line(f"  {placement.note}")
    if todo:
        print_line(f"runs in {placement.describe()}; {_cost(todo, store, placement, probed)}")


def _print_cells(plan: Plan, store: Store, print_line: PrintLine) -> None:
    """Print the number of experiments of the cells, and the cells that are blocked or could not be resolved."""
    cells = count(len(plan.cells), "cell")
    blocked = {planned.cell.blocked_by for planned in plan.cells}
    if not plan.nodes and len(plan.unresolved) == 1:
        (reason,) = plan.unresolved
        print_line(f"{cells}, {'all blocked' if reason in blocked else 'none resolved here'}: {reason}")
        return
    shared = sum(node.cells > 1 for node in plan.nodes.values())
    inputs = sum(node.cells == 0 for node in plan.nodes.values())
    if plan.nodes:
        print_line(
            f"{cells} {'is' if len(plan.cells) == 1 else 'are'} {count(len(plan.nodes), 'experiment')}"
            f"{_sharing(shared, inputs)}, in {store.describe()}"
        )
    else:
        print_line(f"{cells}, none resolved here:")
    trainings, unshared = len(plan.nodes), plan.unshared_trainings
    if unshared > trainings:
        times = f"{unshared / trainings:.1f} x"
        print_line(
            f"  {count(trainings, 'training')}; each cell with inputs of its own would take {unshared} ({times})"
        )
    for reason, number in plan.unresolved.items():
        if reason in blocked:
            print_line(f"  {count(number, 'cell')} blocked: {reason}")
    unresolved = [(reason, number) for reason, number in plan.unresolved.items() if reason not in blocked]
    for reason, number in unresolved[:REASONS]:
        print_line(f"  {count(number, 'cell')} unresolved here: {reason}")
    if len(unresolved) > REASONS:
        cells = count(sum(number for _, number in unresolved[REASONS:]), "more cell")
        print_line(f"  {cells} unresolved here for such reasons; python -m assay doctor names them all")


def _sharing(shared: int, inputs: int) -> str:
    """Return in brackets how experiments serve several cells; nothing where each serves one."""
    parts = [f"{shared} shared by several cells"] * (shared > 0) + [f"{inputs} only trained for others"] * (inputs > 0)
    return f" ({', '.join(parts)})" if parts else ""


def _print_states(plan: Plan, print_line: PrintLine) -> None:
    """Print the number of experiments in each state; each experiment is counted once."""
    blocked_nodes = plan.blocked
    blocked, orphans = {node.key for node in blocked_nodes}, plan.orphaned
    names = ("done", "running", "interrupted", "failed", "absent")
    counts = {name: sum(node.key not in blocked | orphans for node in plan.in_state(name)) for name in names}
    counts |= {"blocked": len(blocked), "not needed any more": len(orphans)}
    words = {"absent": "to train", "interrupted": "to continue", "running": "running elsewhere"}
    parts = [f"{number} {words.get(name, name)}" for name, number in counts.items() if number]
    if parts:
        print_line("  " + ", ".join(parts))
    if blocked:
        print_line("  a blocked experiment needs a failed one; --retry-failed trains failed ones again")
        _print_blocked(plan, blocked_nodes, print_line)


def _print_blocked(plan: Plan, blocked: Sequence[Node], print_line: PrintLine) -> None:
    """Print blocked experiments with the unfinished inputs that they need."""
    width = max(len(node.display_name) for node in blocked[:SHOWN])
    for node in blocked[:SHOWN]:
        inputs = (plan.nodes[inner.key] for inner in node.resolved.inputs.values())
        names = [f"{inner.key} ({inner.display_name})" for inner in inputs if inner.state.name != "done"]
        print_line(f"  {node.key}  {node.display_name:{width}}  blocked: needs {', '.join(dict.fromkeys(names))}")
    if len(blocked) > SHOWN:
        print_line(f"  and {len(blocked) - SHOWN} more blocked")


def _print_nodes(todo: Sequence[Node], print_line: PrintLine) -> None:
    width = max((len(node.display_name) for node in todo[:SHOWN]), default=0)
    for node in todo[:SHOWN]:
        steps = node.resolved.experiment.recipe.steps
        needs = [inner.key for inner in node.resolved.inputs.values()]
        print_line(
            f"  {node.key}  {node.display_name:{width}}  {steps} steps  {count(node.cells, 'cell')}"
            + (f"  after {', '.join(needs)}" if needs else "")
        )
    if len(todo) > SHOWN:
        print_line(f"  and {len(todo) - SHOWN} more")


def _print_other_workers(todo: Sequence[Node], store: Store, placement: Placement, print_line: PrintLine) -> None:
    """Print which trainings continue with another number of workers than before, which moves their last bits."""
    now = placement.workers if placement.gangs else 1
    for node in todo:
        before = records.workers_before(store, node.key) if node.state.name == "interrupted" else None
        if before not in (None, now):
            print_line(f"  {node.key}  {records.workers_changed_note(before, now)}")


def _cost(todo: Sequence[Node], store: Store, placement: Placement, probed: Mapping[str, float]) -> str:
    """Return time and disk, from a probe or from finished experiments of the same kind."""
    kinds = [cost_kind(node.resolved.experiment) for node in todo]
    stored = costs_in(store, set(kinds))
    costs = [stored.get(kind, TrainingCost()) for kind in kinds]
    per_step = [probed.get(node.key, cost.seconds_per_step) for node, cost in zip(todo, costs, strict=True)]
    steps = [node.resolved.experiment.recipe.steps for node in todo]
    seconds = [each * number for each, number in zip(per_step, steps, strict=True) if each is not None]
    if not seconds:
        return "time unknown (no experiment of this kind is finished yet; --plan --probe measures)"
    wall, device = sum(seconds) / max(placement.gangs, 1), sum(seconds) * placement.workers
    parts = [f"about {duration(wall)}, {duration(device)} of device time"]
    disk = [cost.bytes_kept for cost in costs if cost.bytes_kept is not None]
    if disk:
        parts.append(f"{sum(disk) / 2**20:.0f} MB to keep")
    unknown = len(todo) - len(seconds)
    more = f"; {count(unknown, 'experiment')} of unknown length beside these" if unknown else ""
    return ", ".join(parts) + more
