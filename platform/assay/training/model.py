"""A method's networks, and its loss as one module: DDP, autocast and compile see one thing."""

from __future__ import annotations

import contextlib
import warnings

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from assay.data.batch import Batch
from assay.data.draws import torch_seed
from assay.experiment import Experiment, Runtime
from assay.method import Losses, Method, Step
from assay.nets.network import Network, build_network
from assay.nets.spec import Net
from assay.nets.weights import find_weights
from assay.places import Places
from assay.ranks import world_size

DTYPES = {"float32": torch.float32, "bf16": torch.float32, "float64": torch.float64}  # of weights and images


class LossModule(nn.Module):
    """Its forward is the method's loss."""

    def __init__(self, method: Method, nets: nn.ModuleDict) -> None:
        super().__init__()
        self.nets = nets
        self.method = method

    def forward(self, batch: Batch, step: Step) -> Losses:
        return self.method.loss(self.nets, batch, step)


def build_networks(experiment: Experiment, method: Method, places: Places) -> nn.ModuleDict:
    """The method's networks; each call of `make` has a random stream of its own, in the order of the calls."""
    calls = 0

    def make(net: Net | None = None) -> Network:
        nonlocal calls
        spec = net or experiment.net
        seed = torch_seed(experiment.seed, "network", calls)
        calls += 1
        return build_network(
            spec, experiment.data.source.num_classes(), weights=find_weights(spec.encoder, places), seed=seed
        )

    return method.networks(make)


def random_parameters(nets: nn.ModuleDict) -> dict[str, list[str]]:
    """By network: the parameters that no pre-trained weights were found for."""
    return {
        name: list(net.random_parameters)
        for name, net in nets.items()
        if isinstance(net, Network) and net.random_parameters
    }


def wrapped(module: LossModule, runtime: Runtime) -> nn.Module:
    """The module as it is called in training: distributed and compiled where asked for."""
    inner: nn.Module = torch.compile(module) if runtime.compile else module  # type: ignore[assignment]
    if world_size() == 1:
        return inner
    # Only a method that declares idle networks may leave parameters without gradient; looking for them costs time.
    may_idle = type(module.method).idle is not Method.idle
    with warnings.catch_warnings():
        # DDP has nothing to say about where this package puts its inputs: they are on the device already.
        warnings.simplefilter("ignore", UserWarning)
        return DistributedDataParallel(inner, broadcast_buffers=False, find_unused_parameters=may_idle)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bf16 where the recipe asks for it."""
    if precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.type, dtype=torch.bfloat16)
