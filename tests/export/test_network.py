"""The official network is loaded from the store alone, without the files that its training began with."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import QUIET, small

from assay.catalogue import methods_by_name
from assay.data.normalize import IMAGENET, normalize
from assay.errors import UserError
from assay.experiment import Experiment
from assay.export.network import load_trained
from assay.nets.tiny import TinyEncoder
from assay.places import Places
from assay.resolve import resolve
from assay.store.local import LocalStore
from assay.training.session import train

TEACHER = small(seed=7, recipe__steps=2, net__encoder__width=8)
TEACHERS = {"method__teachers": (TEACHER,)}
INSIDE = {"kd": TEACHERS, "cwd": TEACHERS, "mgd": TEACHERS, "pseudo_label": {"method__pseudo": TEACHER}}


def finish(experiment: Experiment, store: LocalStore) -> str:
    resolved = resolve(experiment, Places())
    for each in (*resolved.inputs.values(), resolved):
        train(each, store, places=Places(), runtime=QUIET)
    return resolved.key


@pytest.mark.parametrize("method", sorted(methods_by_name()))
def test_every_methods_official_network_predicts_as_when_its_training_ended(method: str, store: LocalStore) -> None:
    key = finish(small(method, recipe__steps=3, **INSIDE.get(method, {})), store)
    trained = load_trained(store, key)
    data = store.read(key, "panel.npz")
    assert data is not None
    with np.load(io.BytesIO(data)) as panel:
        image, prediction = torch.tensor(panel["image0"]), torch.tensor(panel["prediction0"])
    pixels = normalize(image.permute(2, 0, 1)[None], IMAGENET)
    with torch.no_grad():
        assert torch.equal(trained.network(pixels)[0].argmax(dim=0), prediction.long())


def test_a_file_of_weights_that_training_began_with_may_be_gone(store: LocalStore, tmp_path: Path) -> None:
    began = tmp_path / "began.pt"
    torch.save(TinyEncoder(4).state_dict(), began)
    key = finish(small(recipe__steps=2, net__encoder__weights=str(began)), store)
    began.unlink()
    assert load_trained(store, key).network.num_classes == 6


def test_weights_of_other_networks_than_the_method_has_now_are_refused(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = finish(small(recipe__steps=2), store)
    supervised = methods_by_name()["supervised"]
    monkeypatch.setattr(
        supervised, "networks", lambda self, make: torch.nn.ModuleDict({"student": make(), "another": make()})
    )
    with pytest.raises(UserError, match=rf"the weights of {key} do not fit the networks that supervised has"):
        load_trained(store, key)
