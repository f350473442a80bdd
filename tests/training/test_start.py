"""Experiments that start from the network of another one."""

from __future__ import annotations

import io

import pytest
import torch
from helpers import small

from assay.errors import UserError
from assay.places import Places
from assay.resolve import Resolved, resolve
from assay.training.model import build_networks, no_stored_weights, own_state

WORLD = {"data__source__world": 1}  # with other classes


def stored(resolved: Resolved) -> dict[str, bytes]:
    """Return the weights of an experiment as if it were finished, with other values than at its start."""
    nets = build_networks(resolved, Places(), no_stored_weights)
    with torch.no_grad():
        for value in [*nets.parameters(), *nets.buffers()]:
            value.add_(1)
    file = io.BytesIO()
    torch.save(own_state(nets), file)
    return {resolved.key: file.getvalue()}


def started(method: str = "supervised", **changes: object) -> tuple[torch.nn.ModuleDict, torch.nn.Module]:
    """Return the networks of an experiment with `start`, and the network that it starts from."""
    inner = small("supervised", **changes)
    outer = resolve(small(method).replace(start=inner), Places())
    weights = stored(outer.inputs["start"])
    nets = build_networks(outer, Places(), weights.__getitem__)
    source = build_networks(outer.inputs["start"], Places(), no_stored_weights)
    source.load_state_dict(torch.load(io.BytesIO(weights[outer.inputs["start"].key]), weights_only=True))
    return nets, source["student"]


def differing(one: torch.nn.Module, other: torch.nn.Module) -> set[str]:
    state = other.state_dict()
    return {name for name, value in one.state_dict().items() if not torch.equal(value, state[name])}


def test_weights_and_statistics_are_copied_and_train_on() -> None:
    nets, source = started(seed=7)
    assert differing(nets["student"], source) == set()
    assert all(parameter.requires_grad for parameter in nets["student"].parameters())


def test_the_classifier_of_other_classes_is_a_new_one() -> None:
    nets, source = started(**WORLD)
    assert differing(nets["student"], source) == {"head.classifier.weight", "head.classifier.bias"}
    fresh = build_networks(resolve(small("supervised"), Places()), Places(), no_stored_weights)["student"]
    assert torch.equal(nets["student"].classifier.weight, fresh.classifier.weight)


def test_all_networks_of_a_method_start_from_it() -> None:
    nets, source = started("cps", **WORLD)
    assert set(nets) == {"student1", "student2"}
    assert all(differing(net, source) == {"head.classifier.weight", "head.classifier.bias"} for net in nets.values())
    assert differing(nets["student1"], nets["student2"]), "each has a classifier of its own"


def test_another_network_is_refused() -> None:
    with pytest.raises(UserError, match="start must have the network of this experiment"):
        started(net__encoder__width=8)


def test_an_experiment_without_start_keeps_its_key() -> None:
    plain = small("supervised")
    assert "start" not in resolve(plain, Places()).identity
    keys = {resolve(plain.replace(start=start), Places()).key for start in (None, plain, small("cps"))}
    assert len(keys) == 3
