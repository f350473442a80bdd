"""Encoders: strides, dilation, and loading of weights."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import save_file

from assay.errors import UserError
from assay.nets.encoders import SameConv2d, build_encoder, load_weights
from assay.nets.spec import Encoder

DEEP = Encoder(arch="resnet18", stem="deep", stem_width=32)


def plain_resnet18_file(tmp_path):
    state = build_encoder(Encoder(arch="resnet18")).body.state_dict()
    state |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    save_file({name: each.contiguous() for name, each in state.items()}, tmp_path / "r18.safetensors")
    return tmp_path / "r18.safetensors", state


@pytest.mark.parametrize("arch", ["resnet18", "mobilenetv2_100", "xception65", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_encoder_has_the_given_output_stride(arch, stride):
    with torch.device("meta"):
        encoder = build_encoder(Encoder(arch=arch, output_stride=stride)).eval()
        low, high = encoder(torch.empty(1, 3, 64, 96))
    assert low.shape[-2:] == (16, 24)
    assert high.shape[-2:] == (64 // stride, 96 // stride)
    assert (low.shape[1], high.shape[1]) == encoder.channels


def test_the_tiny_encoder_has_strides_two_and_four():
    encoder = build_encoder(Encoder(arch="tiny", width=8))
    low, high = encoder(torch.randn(2, 3, 32, 32))
    assert low.shape == (2, encoder.channels[0], 16, 16)
    assert high.shape == (2, encoder.channels[1], 8, 8)


def test_multi_grid_dilates_the_last_stage_block_by_block():
    with torch.device("meta"):
        body = build_encoder(Encoder(arch="resnet50", output_stride=16, multi_grid=(1, 2, 4))).body
    assert [block.conv2.dilation for block in body.layer4] == [(2, 2), (4, 4), (8, 8)]
    assert {block.conv2.dilation for block in body.layer3} == {(1, 1)}


@pytest.mark.parametrize(
    "spec",
    [
        Encoder(arch="resnet81"),
        Encoder(arch="vit_tiny_patch16_224"),
        Encoder(arch="mobilenetv2_100", stem="deep"),
        Encoder(arch="resnet18", multi_grid=(1, 2, 4)),
    ],
)
def test_an_encoder_that_timm_cannot_build_is_a_users_mistake(spec):
    with pytest.raises(UserError, match=r"net\.encoder|cannot give"):
        build_encoder(spec)


def test_a_copy_of_an_encoder_with_hooks_returns_features_of_its_own_weights():
    encoder = build_encoder(Encoder(arch="xception65")).eval()
    zeroed = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in zeroed.parameters():
            parameter.zero_()
        assert encoder(torch.ones(1, 3, 32, 32))[0].abs().sum() > 0
        assert zeroed(torch.ones(1, 3, 32, 32))[0].abs().sum() == 0


def test_the_parameters_that_stay_random_are_those_of_the_deep_stem(tmp_path):
    path, state = plain_resnet18_file(tmp_path)
    encoder = build_encoder(DEEP)
    stem = {name for name, _ in encoder.body.named_parameters() if name.startswith("conv1.")}
    assert set(load_weights(encoder, path)) == stem
    assert torch.equal(encoder.body.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def test_the_file_of_a_smaller_network_is_refused(tmp_path):
    path, _ = plain_resnet18_file(tmp_path)
    with pytest.raises(UserError, match="layer"):
        load_weights(build_encoder(Encoder(arch="resnet50")), path)


def test_a_file_without_weights_is_refused(tmp_path):
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(UserError, match=r"text\.pth"):
        load_weights(build_encoder(DEEP), tmp_path / "text.pth")


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_equals_timms(kernel, stride, dilation):
    from timm.layers import Conv2dSame

    timms = Conv2dSame(2, 3, kernel, stride=stride, dilation=dilation)
    ours = SameConv2d(2, 3, kernel, stride=stride, dilation=dilation)
    ours.load_state_dict(timms.state_dict())
    for size in ((8, 9), (13, 15), (1, 7)):
        images = torch.randn(2, 2, *size)
        assert torch.equal(ours(images), timms(images))


def test_no_layer_keeps_timms_same_padding():
    from timm.layers import Conv2dSame

    encoder = copy.deepcopy(build_encoder(Encoder(arch="tf_efficientnet_lite0")))
    assert not any(isinstance(module, Conv2dSame) for module in encoder.modules())
    assert any(isinstance(module, SameConv2d) for module in encoder.modules())
