"""What a run would do: every experiment with its state, what it needs, and how many cells share it.

Equal experiments are one node, whichever cells, tables or studies name them; what stands inside another one is a
node of its own.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from assay.disambiguate import apart, flat
from assay.errors import UserError
from assay.execution.schedule import Schedule, Task
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
    cells: int = 0  # how many cells show it
    needed_by: int = 0  # how many experiments of the plan need it
    shown_in: str = ""  # row, column and seed of the first cell that shows it
    apart: str = ""  # what sets it apart from others that no cell shows

    @property
    def display_name(self) -> str:
        """What a person knows it by: its place in the tables, or what it is where it is only somebody's input."""
        experiment = self.resolved.experiment
        data = experiment.data
        plain = f"{experiment.method.name} {data.source.name} {data.split.labeled} seed {experiment.seed}"
        return self.shown_in or ", ".join(filter(None, (plain, self.apart)))


@dataclasses.dataclass
class Plan:
    """The experiments of some cells, inputs before what needs them."""

    nodes: dict[str, Node]
    keys: list[str | None]  # of each cell, None where it could not be resolved here
    problems: list[str]  # of each cell, why it could not be resolved; empty where it could
    until: dict[str, int] = dataclasses.field(default_factory=dict)  # where a node is to pause; to its end if not named
    paused: set[str] = dataclasses.field(default_factory=set)  # nodes that nobody wants trained any further, for now

    @property
    def unresolved(self) -> Counter[str]:
        """Why cells could not be resolved here, and how many."""
        return Counter(filter(None, self.problems))

    def in_state(self, *names: str) -> list[Node]:
        """The nodes in one of these states."""
        return [node for node in self.nodes.values() if node.state.name in names]

    @property
    def blocked(self) -> list[Node]:
        """What cannot be trained, since something that it needs failed."""
        if not self.in_state("failed"):
            return []
        return [self.nodes[key] for key in self.schedule().keys("blocked")]

    @property
    def orphaned(self) -> set[str]:
        """What nothing shows and only finished experiments need: a teacher removed after its students."""
        needed: set[str] = set()
        found: set[str] = set()
        for key, node in reversed(self.nodes.items()):  # what needs others stands after them
            if node.needed_by and not node.cells and key not in needed:
                if node.state.name in ("absent", "interrupted"):
                    found.add(key)
            elif node.state.name != "done":
                needed |= {each.key for each in node.resolved.inputs.values()}
        return found

    @property
    def to_run(self) -> list[Node]:
        """What is not finished; failed ones are left alone, and so is what they block."""
        left_alone = {node.key for node in self.blocked} | self.orphaned
        return [
            node
            for node in self.nodes.values()
            if node.state.name not in ("done", "failed") and node.key not in left_alone
        ]

    @property
    def unshared_trainings(self) -> int:
        """How many trainings it would take if every cell were trained with inputs of its own: the naive way."""
        below: dict[str, frozenset[str]] = {}
        for key, node in self.nodes.items():  # inputs stand before what needs them
            inner = [each.key for each in node.resolved.inputs.values()]
            below[key] = frozenset(inner).union(*(below[each] for each in inner))
        return sum(1 + len(below[key]) for key in self.keys if key is not None)

    def tasks(self) -> list[Task]:
        """All experiments as tasks; those whose process ended without a word come last: they may do it again."""
        return [
            self.task(key) for key, _ in sorted(self.nodes.items(), key=lambda each: each[1].state.crashes_in_a_row)
        ]

    def task(self, key: str) -> Task:
        """One node as a task."""
        needs = tuple(each.key for each in self.nodes[key].resolved.inputs.values())
        return Task(key=key, needs=needs, until=self.until.get(key))

    def schedule(self) -> Schedule:
        """The work that the plan leaves."""
        return Schedule(
            self.tasks(),
            done=[node.key for node in self.in_state("done")],
            failed={node.key: node.state.detail for node in self.in_state("failed")},
            lost=self.lost(),
            paused=self.paused | self.orphaned,
        )

    def lost(self) -> dict[str, int]:
        """How often in a row the process of an unfinished experiment ended without a word."""
        return {node.key: node.state.crashes_in_a_row for node in self.nodes.values() if node.state.crashes_in_a_row}


def make_plan(cells: Sequence[Cell], store: Store, places: Places, *, found: Iterable[Resolved] = ()) -> Plan:
    """Resolve every cell and look into the store.

    found: what other machines resolved, where this one does not see what is named
    """
    resolver = Resolver(places)
    for each in found:
        resolver.adopt(each)
    stored = set(store.keys())
    observer = Observer()
    plan = Plan(nodes={}, keys=[], problems=[])
    for cell in cells:
        if cell.blocked_by:
            plan.problems.append(cell.blocked_by)
            plan.keys.append(None)
            continue
        try:
            resolved = resolver.resolve(cell.experiment)
        except UserError as error:  # data, lists or weights that are not here, or not what they should be
            plan.problems.append(str(error))
            plan.keys.append(None)
            continue
        add_experiment(plan, resolved, lambda key: _state(store, stored, key, observer))
        node = plan.nodes[resolved.key]
        node.cells += 1
        node.shown_in = node.shown_in or f"{cell.row} | {cell.column} | seed {cell.seed}"
        plan.keys.append(resolved.key)
        plan.problems.append("")
    _tell_apart(plan.nodes.values())
    return plan


def _tell_apart(nodes: Iterable[Node]) -> None:
    """Say of what no cell shows how it differs from what is called the same: two teachers by their encoders."""
    same: dict[str, list[Node]] = {}
    for node in nodes:
        if not node.shown_in:
            same.setdefault(node.display_name, []).append(node)
    for group in same.values():
        told = apart([flat(node.resolved.experiment.to_json()) for node in group]) if len(group) > 1 else [""]
        for node, text in zip(group, told, strict=True):
            node.apart = text


def _state(store: Store, stored: set[str], key: str, observer: Observer) -> records.ExperimentState:
    return records.state(store, key, observer=observer) if key in stored else records.ExperimentState("absent")


def add_experiment(plan: Plan, resolved: Resolved, state: Callable[[str], records.ExperimentState]) -> None:
    """Add an experiment, and before it everything that it needs; what is there already stays."""
    if resolved.key in plan.nodes:
        return
    for inner in {each.key: each for each in resolved.inputs.values()}.values():  # a teacher may be named twice
        add_experiment(plan, inner, state)
        plan.nodes[inner.key].needed_by += 1
    plan.nodes[resolved.key] = Node(key=resolved.key, resolved=resolved, state=state(resolved.key))


def workers_begun(plan: Plan, store: Store) -> set[int]:
    """The numbers of workers that what is left was begun with; where nothing has a checkpoint, was last tried with."""
    begun = [node.key for node in plan.to_run if node.state.name in ("interrupted", "running")]
    with_checkpoint = {records.workers_before(store, key) for key in begun} - {None}
    found = with_checkpoint or {records.workers_last(store, key) for key in begun}
    return {number for number in found if number is not None}


def with_state(plan: Plan, state: Literal["absent", "interrupted"], keys: Iterable[str]) -> Plan:
    """The plan as it would be with the keys in this state; what is being trained now stays."""
    chosen = {key for key in keys if plan.nodes[key].state.name != "running"}
    changed = records.ExperimentState(state)
    nodes = {
        key: dataclasses.replace(node, state=changed) if key in chosen else node for key, node in plan.nodes.items()
    }
    return dataclasses.replace(plan, nodes=nodes)


def seedless_key(resolved: Resolved) -> str:
    """What an experiment trains, whatever its seed and those of the experiments inside it: equal for a cell's seeds."""
    identity = identity_of(resolved.experiment, resolved.fingerprints, lambda path: seedless_key(resolved.inputs[path]))
    return key_of({name: content for name, content in identity.items() if name != "seed"})


def refresh(plan: Plan, store: Store) -> Plan:
    """The same experiments, with the states that they have now."""
    observer = Observer()
    nodes = {
        key: dataclasses.replace(node, state=records.state(store, key, observer=observer))
        for key, node in plan.nodes.items()
    }
    return dataclasses.replace(plan, nodes=nodes)
