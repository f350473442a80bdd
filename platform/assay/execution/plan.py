"""The plan of a run: every experiment with its state, its inputs, and the cells that share it.

Equal experiments are one node, whichever cells, tables or studies name them. An experiment inside another one, such
as a teacher, is a node of its own.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from assay.disambiguate import distinguishing_texts, flatten
from assay.errors import UserError
from assay.execution.schedule import Task, TaskSchedule
from assay.identity import identity_of, key_of
from assay.places import Places
from assay.resolve import Resolved, Resolver
from assay.store import records
from assay.store.claims import Observer
from assay.store.store import Store
from assay.study.cells import Cell


@dataclasses.dataclass
class Node:
    """One experiment of the plan."""

    key: str
    resolved: Resolved
    state: records.ExperimentState
    cells: int = 0  # the number of cells that show it
    needed_by: int = 0  # the number of experiments of the plan that need it
    shown_in: str = ""  # row, column and seed of the first cell that shows it
    difference: str = ""  # from other experiments of the same description that no cell shows

    @property
    def display_name(self) -> str:
        """Its place in the tables; for an input that no cell shows, its description."""
        experiment = self.resolved.experiment
        data = experiment.data
        description = f"{experiment.method.name} {data.source.name} {data.split.labeled} seed {experiment.seed}"
        return self.shown_in or ", ".join(filter(None, (description, self.difference)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell with its node, or with the reason why it has none."""

    cell: Cell
    node: Node | None = None
    problem: str = ""

    @property
    def key(self) -> str | None:
        """The key of its experiment, where that could be resolved."""
        return None if self.node is None else self.node.key


@dataclasses.dataclass
class Plan:
    """The experiments of some cells; inputs stand before the experiments that need them."""

    nodes: dict[str, Node]
    cells: list[PlannedCell] = dataclasses.field(default_factory=list)
    until: dict[str, int] = dataclasses.field(default_factory=dict)  # the step at which a node pauses; else its end
    paused: set[str] = dataclasses.field(default_factory=set)  # nodes that are not to be trained any further for now

    @property
    def unresolved(self) -> Counter[str]:
        """The reasons why cells could not be resolved here, with the number of cells."""
        return Counter(planned.problem for planned in self.cells if planned.problem)

    def in_state(self, *names: str) -> list[Node]:
        """Return the nodes in one of these states."""
        return [node for node in self.nodes.values() if node.state.name in names]

    @property
    def blocked(self) -> list[Node]:
        """The nodes that need a failed one."""
        if not self.in_state("failed"):
            return []
        return [self.nodes[key] for key in self.schedule().keys("blocked")]

    @property
    def orphaned(self) -> set[str]:
        """The unfinished inputs that only finished experiments need: a teacher removed after its students ended."""
        needed: set[str] = set()
        orphans: set[str] = set()
        for key, node in reversed(self.nodes.items()):  # an experiment stands after its inputs
            if node.needed_by and not node.cells and key not in needed:
                if node.state.name in ("absent", "interrupted"):
                    orphans.add(key)
            elif node.state.name != "done":
                needed |= {inner.key for inner in node.resolved.inputs.values()}
        return orphans

    @property
    def to_run(self) -> list[Node]:
        """The unfinished nodes but for failed, blocked and orphaned ones."""
        left_alone = {node.key for node in self.blocked} | self.orphaned
        return [
            node
            for node in self.nodes.values()
            if node.state.name not in ("done", "failed") and node.key not in left_alone
        ]

    @property
    def unshared_trainings(self) -> int:
        """The number of trainings if every cell were trained with inputs of its own."""
        below: dict[str, frozenset[str]] = {}
        for key, node in self.nodes.items():  # inputs stand before the experiments that need them
            inner = [each.key for each in node.resolved.inputs.values()]
            below[key] = frozenset(inner).union(*(below[each] for each in inner))
        return sum(1 + len(below[planned.key]) for planned in self.cells if planned.key is not None)

    def tasks(self) -> list[Task]:
        """Return all experiments as tasks; those whose process crashed come last, since they may crash it again."""
        in_order = sorted(self.nodes.values(), key=lambda node: node.state.crashes_in_a_row)
        return [self.task(node.key) for node in in_order]

    def task(self, key: str) -> Task:
        """Return one node as a task."""
        needs = tuple(inner.key for inner in self.nodes[key].resolved.inputs.values())
        return Task(key=key, needs=needs, until=self.until.get(key))

    def schedule(self) -> TaskSchedule:
        """Return the work that is left."""
        return TaskSchedule(
            self.tasks(),
            done=[node.key for node in self.in_state("done")],
            failed={node.key: node.state.detail for node in self.in_state("failed")},
            lost=self.lost(),
            paused=self.paused | self.orphaned,
        )

    def lost(self) -> dict[str, int]:
        """Return the crashes in a row of each unfinished experiment's process."""
        return {node.key: node.state.crashes_in_a_row for node in self.nodes.values() if node.state.crashes_in_a_row}


def make_plan(cells: Sequence[Cell], store: Store, places: Places, *, resolved: Iterable[Resolved] = ()) -> Plan:
    """Resolve every cell and read its state from the store.

    resolved: experiments that other machines resolved, since this one does not have their data or lists
    """
    resolver = Resolver(places)
    for each in resolved:
        resolver.add(each)
    stored = set(store.keys())
    observer = Observer()
    plan = Plan(nodes={})
    for cell in cells:
        node, problem = None, cell.blocked_by
        if not problem:
            try:
                node = _add_cell(plan, cell, resolver, lambda key: _state(store, stored, key, observer))
            except UserError as error:  # data, lists or weights that are not here, or not what they should be
                problem = str(error)
        plan.cells.append(PlannedCell(cell=cell, node=node, problem=problem))
    _describe_differences(plan.nodes.values())
    return plan


def _add_cell(plan: Plan, cell: Cell, resolver: Resolver, state: Callable[[str], records.ExperimentState]) -> Node:
    resolved = resolver.resolve(cell.experiment)
    add_experiment(plan, resolved, state)
    node = plan.nodes[resolved.key]
    node.cells += 1
    node.shown_in = node.shown_in or f"{cell.row} | {cell.column} | seed {cell.seed}"
    return node


def _describe_differences(nodes: Iterable[Node]) -> None:
    """Set the difference of nodes that have the same display name: two teachers differ by their encoders."""
    by_name: dict[str, list[Node]] = {}
    for node in nodes:
        if not node.shown_in:
            by_name.setdefault(node.display_name, []).append(node)
    for group in by_name.values():
        if len(group) > 1:
            texts = distinguishing_texts([flatten(node.resolved.experiment.to_json()) for node in group])
            for node, text in zip(group, texts, strict=True):
                node.difference = text


def _state(store: Store, stored: set[str], key: str, observer: Observer) -> records.ExperimentState:
    return records.state(store, key, observer=observer) if key in stored else records.ExperimentState("absent")


def add_experiment(plan: Plan, resolved: Resolved, state: Callable[[str], records.ExperimentState]) -> None:
    """Add an experiment after its inputs; a node that is there already stays."""
    if resolved.key in plan.nodes:
        return
    for inner in {each.key: each for each in resolved.inputs.values()}.values():  # a teacher may be named twice
        add_experiment(plan, inner, state)
        plan.nodes[inner.key].needed_by += 1
    plan.nodes[resolved.key] = Node(key=resolved.key, resolved=resolved, state=state(resolved.key))


def workers_begun(plan: Plan, store: Store) -> set[int]:
    """Return the numbers of workers with which the unfinished trainings began.

    A number counts where a checkpoint was left; where no training left one, the numbers of the last attempts count.
    """
    begun = [node.key for node in plan.to_run if node.state.name in ("interrupted", "running")]
    with_checkpoint = {records.workers_before(store, key) for key in begun} - {None}
    numbers = with_checkpoint or {records.workers_last(store, key) for key in begun}
    return {number for number in numbers if number is not None}


def with_state(plan: Plan, state: Literal["absent", "interrupted"], keys: Iterable[str]) -> Plan:
    """Return the plan as it would be with these keys in this state; running experiments keep theirs."""
    chosen = {key for key in keys if plan.nodes[key].state.name != "running"}
    return _with_states(plan, dict.fromkeys(chosen, records.ExperimentState(state)))


def refresh(plan: Plan, store: Store) -> Plan:
    """Return the same experiments with their present states."""
    observer = Observer()
    return _with_states(plan, {key: records.state(store, key, observer=observer) for key in plan.nodes})


def _with_states(plan: Plan, states: Mapping[str, records.ExperimentState]) -> Plan:
    nodes = {key: dataclasses.replace(node, state=states.get(key, node.state)) for key, node in plan.nodes.items()}
    cells = [
        planned if planned.node is None else dataclasses.replace(planned, node=nodes[planned.node.key])
        for planned in plan.cells
    ]
    return dataclasses.replace(plan, nodes=nodes, cells=cells)


def seedless_key(resolved: Resolved) -> str:
    """Return a key without the seeds of an experiment and its inputs: equal for all seeds of a cell."""
    identity = identity_of(resolved.experiment, resolved.fingerprints, lambda path: seedless_key(resolved.inputs[path]))
    return key_of({name: content for name, content in identity.items() if name != "seed"})
