"""A method's networks, and its loss as one module, to which DDP, autocast and torch.compile are applied."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from assay.collectives import world_size
from assay.data.batch import Batch
from assay.data.draws import torch_seed
from assay.errors import UserError
from assay.experiment import Experiment, Runtime
from assay.method import Losses, Method, Step
from assay.nets.encoders import normalization_of
from assay.nets.network import Network, build_network
from assay.nets.spec import Net
from assay.nets.weights import find_weights
from assay.places import Places
from assay.resolve import Resolved

DTYPES = {"float32": torch.float32, "bf16": torch.float32, "float64": torch.float64}  # of weights and images


class LossModule(nn.Module):
    """A module whose forward is the method's loss."""

    def __init__(self, method: Method, nets: nn.ModuleDict) -> None:
        super().__init__()
        self.nets = nets
        self.method = method

    def forward(self, batch: Batch, step: Step) -> Losses:
        return self.method.loss(self.nets, batch, step)


ReadWeights = Callable[[str], bytes]  # key of a finished experiment → its weights.pt


def no_stored_weights(key: str) -> bytes:
    """Raise a UserError: there is no store with trained networks."""
    raise UserError(f"experiment {key} must be trained first, and there is no store with its weights.")


@dataclasses.dataclass
class NetworkFactory:
    """A factory of one experiment's networks. Each call has its own random stream, by the number of the call."""

    resolved: Resolved
    places: Places
    read_weights: ReadWeights
    calls: int = 0

    def __call__(self, net: Net | None = None) -> Network:
        experiment = self.resolved.experiment
        spec = net or experiment.net
        seed = torch_seed(experiment.seed, "network", self.calls)
        self.calls += 1
        network = build_network(
            spec, experiment.data.source.num_classes(), weights=find_weights(spec.encoder, self.places), seed=seed
        )
        if experiment.start is not None and spec == experiment.net:
            start_from(network, self._official(self.resolved.inputs["start"]), experiment)
        network.accept(normalization_of(experiment.net.encoder))
        return network

    def trained(self, field: str) -> Network:
        official = self._official(input_of(self.resolved, field))
        official.requires_grad_(False)
        official.is_input = True
        official.accept(normalization_of(self.resolved.experiment.net.encoder))
        return official

    def _official(self, inner: Resolved) -> Network:
        """Return the official network of a finished experiment."""
        method = inner.experiment.method
        assert isinstance(method, Method)
        official = next(iter(method.predictors(trained_networks(inner, self.places, self.read_weights)).values()))
        assert isinstance(official, Network)
        return official


def start_from(network: Network, trained: Network, experiment: Experiment) -> None:
    """Copy a trained network's weights into a new one; its classifier only if both have the same classes.

    Raise a UserError where the two differ in another layer.
    """
    assert experiment.start is not None
    classes = [each.data.source.classes() for each in (experiment, experiment.start)]
    state, new = trained.state_dict(), network.state_dict()
    if classes[0] != classes[1]:
        prefix = "head.classifier."
        state = {name: new[name] if name.startswith(prefix) and name in new else value for name, value in state.items()}
    shapes = [{name: value.shape for name, value in each.items()} for each in (new, state)]
    if shapes[0] != shapes[1]:
        names = [name for name in new.keys() | state.keys() if shapes[0].get(name) != shapes[1].get(name)]
        raise UserError(
            f"start must have the network of this experiment but for the classifier, and {len(names)} tensors differ,"
            f" the first is {min(names)!r}; give start the same net."
        )
    network.load_state_dict(state)
    network.random_parameters = ()


def build_networks(resolved: Resolved, places: Places, read_weights: ReadWeights) -> nn.ModuleDict:
    """Return the networks of an experiment: new ones as its seed makes them, trained ones from the store."""
    method = resolved.experiment.method
    assert isinstance(method, Method)
    return method.networks(NetworkFactory(resolved, places, read_weights))


def input_of(resolved: Resolved, field: str) -> Resolved:
    """Return the experiment in a field of the method; raise a UserError where it has other classes than `resolved`."""
    inner = resolved.inputs[f"method.{field}"]
    outer_classes, inner_classes = (part.experiment.data.source.classes() for part in (resolved, inner))
    if outer_classes != inner_classes:
        raise UserError(
            f"method.{field} was trained on {len(inner_classes)} classes ({', '.join(inner_classes[:4])}, …) and this"
            f" experiment has {len(outer_classes)} ({', '.join(outer_classes[:4])}, …); give method.{field} data"
            " with the same classes."
        )
    return inner


def trained_networks(resolved: Resolved, places: Places, read_weights: ReadWeights) -> nn.ModuleDict:
    """Return the networks of a finished experiment, as its last step left them."""
    nets = build_networks(resolved, places, read_weights)
    weights = torch.load(io.BytesIO(read_weights(resolved.key)), map_location="cpu", weights_only=True)
    load_own_state(nets, weights)
    return nets


def own_state(nets: nn.ModuleDict) -> dict[str, torch.Tensor]:
    """Return the state of the networks that this experiment made; its trained inputs lie in the store already."""
    inputs = _inputs(nets)
    return {name: value for name, value in nets.state_dict().items() if name.partition(".")[0] not in inputs}


def load_own_state(nets: nn.ModuleDict, state: Mapping[str, torch.Tensor]) -> None:
    """Load a state that `own_state` returned."""
    inputs = _inputs(nets)
    keys = nets.load_state_dict(dict(state), strict=False)
    missing = [name for name in keys.missing_keys if name.partition(".")[0] not in inputs]
    if missing or keys.unexpected_keys:
        raise ValueError(f"stored weights do not fit: missing {missing[:3]}, unexpected {keys.unexpected_keys[:3]}")


def _inputs(nets: nn.ModuleDict) -> frozenset[str]:
    return frozenset(name for name, net in nets.items() if isinstance(net, Network) and net.is_input)


def random_parameters(nets: nn.ModuleDict) -> dict[str, list[str]]:
    """Return, by network, the names of the parameters for which there were no pre-trained weights."""
    return {
        name: list(net.random_parameters)
        for name, net in nets.items()
        if isinstance(net, Network) and net.random_parameters
    }


def prepare_for_training(module: LossModule, runtime: Runtime) -> nn.Module:
    """Return the module that the loop calls: compiled and distributed where the runtime and the ranks need it."""
    inner: nn.Module = torch.compile(module) if runtime.compile else module  # type: ignore[assignment]
    if world_size() == 1:
        return inner
    # Only a method that declares idle networks may leave parameters without a gradient; searching for them costs time.
    may_idle = type(module.method).idle is not Method.idle
    with warnings.catch_warnings():
        # DDP warns about inputs on another device; this package's inputs are on the device already.
        warnings.simplefilter("ignore", UserWarning)
        return DistributedDataParallel(inner, broadcast_buffers=False, find_unused_parameters=may_idle)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return a context that computes in bf16 where the recipe's precision is bf16."""
    if precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.type, dtype=torch.bfloat16)
