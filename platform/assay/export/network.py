"""The official network of a finished experiment, from the store alone: no data, lists or pre-trained files."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from typing import Any

import torch

from assay.errors import AssayError, UserError
from assay.experiment import Experiment
from assay.method import Method
from assay.nets.network import Network, build_network
from assay.nets.spec import Net
from assay.store import records
from assay.store.store import Store
from assay.training.model import DTYPES, load_own_state
from assay.training.result import stored_weights
from assay.values import walk


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished experiment and its official network."""

    key: str
    experiment: Experiment
    result: dict[str, Any]
    network: Network  # on the CPU, in evaluation mode


def load_trained(store: Store, key: str) -> Trained:
    """Return a finished experiment with its official network and stored weights."""
    state = records.state(store, key)
    document, result = (records.read_json(store, key, name) for name in (records.EXPERIMENT, records.RESULT))
    if result is None or document is None:
        detail = f" ({state.detail})" if state.detail else ""
        raise UserError(f"experiment {key} is {state.name}{detail}; only a finished experiment can be exported.")
    weights = stored_weights(store)(key)
    if hashlib.sha256(weights).hexdigest() != result["weights_sha256"]:
        raise AssayError(
            f"the weights in {store.place(key)} are not those that its result names; train the experiment again."
        )
    experiment = Experiment.from_document(document, key)
    network = _network(experiment, torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True), key)
    return Trained(key=key, experiment=experiment, result=result, network=network)


def _network(experiment: Experiment, state: dict[str, torch.Tensor], key: str) -> Network:
    method = experiment.method
    assert isinstance(method, Method)
    nets = method.networks(_UntrainedNetworks(experiment)).to(DTYPES[experiment.recipe.precision])
    try:
        load_own_state(nets, state)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the weights of {key} do not fit the networks that {method.name} has in this version ({error}); export the"
            " experiment with the version that trained it."
        ) from error
    official = next(iter(method.predictors(nets).values()))
    if not isinstance(official, Network):
        raise UserError(f"{method.name} predicts with more than one network, which cannot be exported.")
    return official.eval()


@dataclasses.dataclass(frozen=True)
class _UntrainedNetworks:
    """A factory of an experiment's networks with arbitrary weights; the stored weights are loaded afterwards."""

    experiment: Experiment

    def __call__(self, net: Net | None = None) -> Network:
        return build_network(net or self.experiment.net, self.experiment.data.source.num_classes())

    def trained(self, field: str) -> Network:
        """Return a network in place of a trained input; the exported network never calls it."""
        inner = dict(walk(self.experiment.method))[field]
        assert isinstance(inner, Experiment) and isinstance(inner.method, Method)
        network = next(iter(inner.method.predictors(inner.method.networks(_UntrainedNetworks(inner))).values()))
        assert isinstance(network, Network)
        network.requires_grad_(False)
        network.is_input = True
        return network
