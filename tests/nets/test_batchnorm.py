"""Batch norm over ranks, against torch's batch norm."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from forks import on_two_ranks
from timm.layers import BatchNormAct2d as TimmBatchNormAct2d
from torch import nn

from assay.errors import UserError
from assay.nets.batchnorm import replace_batch_norm
from assay.nets.spec import BatchNorm


def layers(spec=None):
    """Return two batch norms of ours, and torch's with equal weights."""
    torch.manual_seed(0)
    ours = nn.Sequential(nn.BatchNorm2d(3), TimmBatchNormAct2d(3))
    for layer in ours:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    torchs = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.ReLU())
    torchs.load_state_dict(ours.state_dict())
    replace_batch_norm(ours, spec or BatchNorm())
    return ours, torchs


def test_one_process_computes_the_results_of_torch():
    ours, torchs = layers()
    images = torch.randn(4, 3, 5, 5) + 10
    torch.testing.assert_close(ours(images), torchs(images))
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())
    torch.testing.assert_close(ours.eval()(images), torchs.eval()(images))


def test_momentum_and_eps_come_from_the_description():
    ours, _ = layers(BatchNorm(momentum=0.25, eps=1e-2))
    assert {(layer.momentum, layer.eps) for layer in ours} == {(0.25, 1e-2)}


def test_frozen_layers_keep_statistics_scale_and_shift():
    frozen, _ = layers(BatchNorm(frozen=True))
    frozen.train()
    before = {name: each.clone() for name, each in frozen.state_dict().items()}
    frozen(torch.randn(4, 3, 5, 5))
    torch.testing.assert_close(frozen.state_dict(), before, rtol=0, atol=0)
    assert not any(each.requires_grad for each in frozen.parameters())


def test_one_value_per_channel_is_refused_with_the_name_of_the_layer():
    outer = nn.ModuleDict({"head": layers()[1][:1]})
    replace_batch_norm(outer, BatchNorm())
    with pytest.raises(UserError, match=r"head\.0"):
        outer["head"](torch.randn(1, 3, 1, 1))


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64) + 1e3


def outputs_and_gradients(module, images):
    images = images.clone().requires_grad_(True)
    output = module(images)
    (output.sin() * output).sum().backward()
    gradients = [each.grad for each in module.parameters()]
    return output.detach(), images.grad, gradients, dict(module.state_dict())


def one_rank(folder):
    rank = dist.get_rank()
    module = layers()[0].double()
    torch.save(outputs_and_gradients(module, batch()[2 * rank : 2 * rank + 2]), f"{folder}/{rank}.pt")


def test_two_ranks_compute_the_results_of_one_process_on_the_whole_batch(tmp_path):
    on_two_ranks(one_rank, str(tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    output, images, gradients, state = outputs_and_gradients(layers()[0].double(), batch())
    exact = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(torch.cat([first[0], second[0]]), output, **exact)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), images, **exact)
    summed = [one + other for one, other in zip(first[2], second[2], strict=True)]
    torch.testing.assert_close(summed, gradients, **exact)
    torch.testing.assert_close(first[3], state, **exact)
    torch.testing.assert_close(second[3], state, **exact)
