"""Parameter groups and rates."""

from __future__ import annotations

import pytest
import torch

from assay.nets.network import build_network
from assay.nets.spec import Encoder, Net
from assay.recipe import SGD, Adam, Restart, Schedule
from assay.training.optimizer import make_optimizer, parameter_groups, rate_factor, set_rate

NET = Net(encoder=Encoder(arch="tiny", width=4))


def test_encoder_and_head_have_their_rates_and_norms_and_biases_no_decay() -> None:
    network = build_network(NET, 3)
    groups = parameter_groups(network, SGD(lr=0.01, head_lr=0.1, weight_decay=0.5))
    settings = {}
    for group in groups:
        for parameter in group["params"]:
            settings[id(parameter)] = (group["lr"], group["weight_decay"])
    for name, parameter in network.named_parameters():
        rate = 0.01 if name.startswith("encoder") else 0.1
        assert settings[id(parameter)] == (rate, 0.5 if parameter.ndim > 1 else 0.0), name


def test_what_is_not_trained_is_in_no_group() -> None:
    network = build_network(NET, 3)
    network.encoder.requires_grad_(False)
    trained = {id(parameter) for group in parameter_groups(network, Adam()) for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in network.head.parameters()}


@pytest.mark.parametrize("spec", [SGD(), Adam()])
def test_the_rate_falls_by_the_polynomial(spec: SGD | Adam) -> None:
    optimizer = make_optimizer(build_network(NET, 3), spec, device=torch.device("cpu"))
    set_rate(optimizer, Schedule(power=0.9), 25, 100)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(spec.lr * 0.75**0.9)


def test_power_0_is_constant_and_warm_up_rises_linearly() -> None:
    assert [rate_factor(Schedule(power=0), step, 10) for step in (0, 9)] == [1, 1]
    rising = [rate_factor(Schedule(power=0, warmup_steps=3), step, 10) for step in range(5)]
    assert rising == [0.25, 0.5, 0.75, 1, 1]


def scl_poly(epoch: int) -> float:
    """Return the factor of sdcnet's optimizer.py with --poly_exp 1.0, --repoly 1.5, --max_epoch 175, restart at 100."""
    if epoch < 100:
        return (1 - epoch / 175) ** 1.0
    return (1 - (epoch - 100) / (175 - 100)) ** 1.5


def test_a_restart_gives_the_rates_of_scl_poly() -> None:
    schedule = Schedule(power=1.0, restart=Restart(at=100 / 175, power=1.5))
    factors = [rate_factor(schedule, epoch, 175) for epoch in range(175)]
    assert factors == pytest.approx([scl_poly(epoch) for epoch in range(175)])
    assert factors[100] == 1 and factors[99] < 0.5


def test_a_restart_at_the_last_step_has_a_rate() -> None:
    assert rate_factor(Schedule(restart=Restart(at=0.99)), 9, 10) > 0
