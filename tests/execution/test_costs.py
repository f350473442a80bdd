"""The cost of trainings, read from finished ones."""

from __future__ import annotations

from helpers import small

from assay.execution.costs import cost_kind, costs_in
from assay.experiment import Experiment
from assay.places import Places
from assay.resolve import resolve
from assay.store import records
from assay.store.local import LocalStore


def finish(store: LocalStore, experiment: Experiment, *, seconds: float = 100.0) -> None:
    """Write the records of a finished training that costs are read from."""
    resolved = resolve(experiment, Places())
    records.write_experiment(store, resolved.key, resolved.document())
    store.write(resolved.key, "weights.pt", bytes(2**20))
    records.write_result(store, resolved.key, {"steps": 10, "seconds": seconds})


def test_a_kind_is_read_from_the_store_as_it_is_made_of_the_experiment(store: LocalStore) -> None:
    for method in ("supervised", "cps", "mean_teacher"):
        finish(store, small(method))
    wanted = {cost_kind(small(method, seed=5)) for method in ("supervised", "cps")}
    costs = costs_in(store, wanted)
    assert set(costs) == wanted and {cost.seconds_per_step for cost in costs.values()} == {10.0}


def test_a_damaged_record_costs_nothing_but_itself(store: LocalStore) -> None:
    finish(store, small("cps"))
    store.write("0" * 16, records.EXPERIMENT, b"{")
    store.write("1" * 16, records.EXPERIMENT, b"{}")
    assert len(costs_in(store, {cost_kind(small("cps"))})) == 1
