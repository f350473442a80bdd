"""The sizes of networks in results where one process trains many experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, small

from assay.nets.flops import multiply_adds, parameters
from assay.nets.network import build_network
from assay.places import Places
from assay.resolve import resolve
from assay.store.local import LocalStore
from assay.training import result as result_module
from assay.training.session import SessionOptions, train


def cost(folder: Path, **changes: object) -> dict[str, Any]:
    """Return the sizes of the network of a short training, after comparing them with those of a new network."""
    experiment = small(recipe__steps=2, **changes)
    result = train(resolve(experiment, Places()), LocalStore(folder), places=Places(), runtime=QUIET)
    assert result is not None
    with torch.device("meta"):
        network = build_network(experiment.net, len(experiment.data.source.classes()))
    height, width = experiment.recipe.augment.crop
    assert result["cost"]["student"] == {
        "parameters": parameters(network),
        "multiply_adds": multiply_adds(network, height, width),
        "encoder": {
            "parameters": parameters(network.encoder),
            "multiply_adds": multiply_adds(network.encoder, height, width),
        },
    }
    return dict(result["cost"]["student"])


def test_sizes_are_those_of_each_experiment_and_equal_networks_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = cost(tmp_path, net__encoder__width=4)
    wide = cost(tmp_path, net__encoder__width=8)
    cropped = cost(tmp_path, net__encoder__width=4, recipe__augment__crop=(8, 16))
    assert narrow["parameters"] == cropped["parameters"] < wide["parameters"]
    assert cropped["multiply_adds"] < narrow["multiply_adds"] < wide["multiply_adds"]

    monkeypatch.delattr(result_module, "multiply_adds")  # a second count fails
    assert cost(tmp_path, net__encoder__width=4, seed=1) == narrow


@pytest.mark.parametrize(
    ("method", "changes", "is_noted"),
    [
        ("cps", {"recipe__augment__strong": "randaugment"}, True),
        ("supervised", {"recipe__augment__strong__jitter": 0.1}, True),
        ("cps", {}, False),
        ("cps", {"recipe__augment__strong": "photometric"}, False),
        ("mkd", {"recipe__augment__strong__jitter": 0.1}, False),
    ],
)
def test_strong_views_that_are_changed_and_not_read_are_noted(
    method: str, changes: dict[str, Any], is_noted: bool, tmp_path: Path
) -> None:
    lines: list[str] = []
    resolved = resolve(small(method, recipe__steps=1, **changes), Places())
    options = SessionOptions(print_line=lines.append)
    result = train(resolved, LocalStore(tmp_path), places=Places(), runtime=QUIET, options=options)
    assert result is not None
    note = f"recipe.augment.strong has no effect with method={method}, which reads no strong views"
    assert result["notes"] == [note] * is_noted
    assert [line for line in lines if line.startswith("note: ")] == [f"note: {note}"] * is_noted
    plain = resolve(small(method, recipe__steps=1), Places())
    assert (resolved.key == plain.key) == (method != "mkd")
