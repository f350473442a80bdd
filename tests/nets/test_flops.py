"""Params and FLOPs of MGD's tables 1 and 3, which count the encoder alone and call multiply-adds FLOPs."""

from __future__ import annotations

import pytest
import torch

from assay.nets.encoders import build_encoder
from assay.nets.flops import multiply_adds, parameters
from assay.nets.spec import Encoder

ROWS = {  # encoder, params_M, flops_G at 512 (table 1), flops_G at 800 (table 3)
    "ResNet-18": (Encoder(arch="resnet18", stem="deep", stem_width=32), 11.19, 17.20, 42.01),
    "ResNet-101": (Encoder(arch="resnet101", stem="deep", stem_width=64), 42.63, 59.13, 144.32),
    "Wide ResNet-34": (Encoder(arch="wide_resnet50_2"), 66.83, 91.12, 222.45),
    "MobileNetV2": (Encoder(arch="mobilenetv2_100", output_stride=32), 1.81, 1.52, 3.73),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_counts_equal_the_published_ones(row):
    spec, params, at_512, at_800 = ROWS[row]
    with torch.device("meta"):
        encoder = build_encoder(spec)
    assert parameters(encoder) / 1e6 == pytest.approx(params, abs=0.02)
    assert multiply_adds(encoder, 512, 512) / 1e9 == pytest.approx(at_512, rel=0.01)
    assert multiply_adds(encoder, 800, 800) / 1e9 == pytest.approx(at_800, rel=0.01)


def test_a_convolution_and_its_batch_norm_give_the_count_made_by_hand():
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8))
    assert multiply_adds(layers, 5, 7) == 5 * 7 * 8 * (27 + 2)


def test_counting_does_not_change_the_network():
    encoder = build_encoder(Encoder(arch="tiny")).train()
    before = {name: each.clone() for name, each in encoder.state_dict().items()}
    multiply_adds(encoder, 32, 32)
    assert encoder.training
    assert not any(module._forward_hooks for module in encoder.modules())
    assert all(torch.equal(each, before[name]) for name, each in encoder.state_dict().items())
