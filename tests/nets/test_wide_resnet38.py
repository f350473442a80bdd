"""WideResNet-38: its size, its strides and dilations, its low-level features, and the published file's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from assay.errors import UserError
from assay.nets import wide_resnet38
from assay.nets.encoders import build_encoder, load_weights
from assay.nets.flops import multiply_adds, parameters
from assay.nets.network import build_network
from assay.nets.spec import DeepLabV3Plus, Encoder, Net
from assay.nets.weights import WeightsMissing, find_weights
from assay.nets.wide_resnet38 import PreActivationBlock, Stage, WideResNet38
from assay.places import Places

SPEC = Encoder(arch="wide_resnet38", output_stride=8)
# The head of Zhu et al.'s code (branch sdcnet, network/deepv3.py: DeepWV3Plus).
HEAD = DeepLabV3Plus(
    atrous_rates=(12, 24, 36), separable=False, plain_projections=True, classifier_bias=False, align_corners=True
)
# The convolutions of sdcnet's network/wider_resnet.py, written out: (inputs, outputs, kernel) of each stage's blocks.
CONVOLUTIONS = [
    (3, 64, 3),
    *[(64, 128, 3), (128, 128, 3), (64, 128, 1), *[(128, 128, 3)] * 4],
    *[(128, 256, 3), (256, 256, 3), (128, 256, 1), *[(256, 256, 3)] * 4],
    *[(256, 512, 3), (512, 512, 3), (256, 512, 1), *[(512, 512, 3)] * 10],
    *[(512, 512, 3), (512, 1024, 3), (512, 1024, 1), *[(1024, 512, 3), (512, 1024, 3)] * 2],
    *[(1024, 512, 1), (512, 1024, 3), (1024, 2048, 1), (1024, 2048, 1)],
    *[(2048, 1024, 1), (1024, 2048, 3), (2048, 4096, 1), (2048, 4096, 1)],
]
# Batch norms: one before each convolution but the first one and the projections.
NORMS = [
    *[64, *[128] * 5],
    *[128, *[256] * 5],
    *[256, *[512] * 11],
    *[512, 512, *[1024, 512] * 2],
    *[1024, 512, 1024],
    *[2048, 1024, 2048],
]


def on_meta(spec: Encoder) -> nn.Module:
    with torch.device("meta"):
        return build_encoder(spec)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the network narrow, with all its stages, for tests that need numbers."""
    stages = tuple(
        Stage(stage.blocks, tuple(channels // 32 for channels in stage.channels), stage.dropout)
        for stage in wide_resnet38.STAGES
    )
    monkeypatch.setattr(wide_resnet38, "STAGES", stages)
    monkeypatch.setattr(wide_resnet38, "STEM_CHANNELS", 4)


def test_the_encoder_has_the_published_layers() -> None:
    convolutions = sum(inputs * outputs * kernel**2 for inputs, outputs, kernel in CONVOLUTIONS)
    assert parameters(on_meta(SPEC)) == convolutions + 2 * sum(NORMS) == 105_062_720


def test_with_zhus_head_it_has_137_million_parameters() -> None:
    with torch.device("meta"):
        network = build_network(Net(encoder=SPEC, head=HEAD), 19)
    aspp = 4096 * 256 * 2 + 3 * 9 * 4096 * 256 + 5 * 2 * 256
    decoder = 1280 * 256 + 128 * 48 + 9 * (304 + 256) * 256 + 2 * 2 * 256 + 256 * 19
    assert parameters(network) == 105_062_720 + aspp + decoder == 137_103_936


def test_flops_are_counted_layer_by_layer() -> None:
    sides = {stage: 64 // (2 if stage < 2 else 4 if stage < 3 else 8) for stage in range(7)} | {0: 64}
    ends = (1, 8, 15, 28, 35, 39, 43)  # of the stages in CONVOLUTIONS
    convolutions = sum(
        inputs * outputs * kernel**2 * sides[next(stage for stage, end in enumerate(ends) if index < end)] ** 2
        for index, (inputs, outputs, kernel) in enumerate(CONVOLUTIONS)
    )
    # A block's first batch norm has the size of the block's input, which is the stage's but in the first block.
    starts = {0: 32, 6: 16, 12: 16, 24: 8, 30: 8, 33: 8}
    sizes = [*[32] * 6, *[16] * 6, *[8] * 24]
    sizes = [starts.get(index, size) for index, size in enumerate(sizes)]
    norms = sum(2 * channels * size**2 for channels, size in zip(NORMS, sizes, strict=True))
    assert multiply_adds(on_meta(SPEC), 64, 64) == convolutions + norms


@pytest.mark.parametrize(
    ("stride", "dilations"), [(8, (1, 1, 1, 2, 4, 4)), (16, (1, 1, 1, 1, 2, 2)), (32, (1, 1, 1, 1, 1, 1))]
)
def test_output_stride_and_dilations(stride: int, dilations: tuple[int, ...]) -> None:
    encoder = on_meta(Encoder(arch="wide_resnet38", output_stride=stride)).eval()
    low, high = encoder(torch.empty(1, 3, 64, 96, device="meta"))
    assert low.shape == (1, 128, 32, 48), "low-level features are the second stage's output, at stride 2"
    assert high.shape == (1, 4096, 64 // stride, 96 // stride)
    assert encoder.channels == (128, 4096)
    for stage, dilation in enumerate(dilations, start=2):
        layers = getattr(encoder, f"mod{stage}").modules()
        rates = {layer.dilation for layer in layers if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)}
        assert rates == {(dilation, dilation)}, stage


def test_dropout_stands_before_the_last_convolution_of_the_last_two_stages() -> None:
    encoder = on_meta(SPEC)
    found = {name: layer.p for name, layer in encoder.named_modules() if isinstance(layer, nn.Dropout2d)}
    assert found == {"mod6.block1.convs.dropout": 0.3, "mod7.block1.convs.dropout": 0.5}
    names = [name for name, _ in encoder.mod6.block1.convs.named_children()]
    assert names == ["conv1", "bn2", "conv2", "bn3", "dropout", "conv3"]


def test_a_block_adds_its_convolutions_to_its_input_or_to_the_projection_of_the_activated_input() -> None:
    features = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    for stage, stride in ((Stage(1, (4, 4)), 1), (Stage(1, (4, 8)), 2), (Stage(1, (4, 6, 8)), 1)):
        block = PreActivationBlock(4, stage, stride=stride, dilation=1).eval()
        given = features.clone()
        activated = torch.relu(block.bn1[0](given))
        hidden = activated
        for layer in block.convs:
            hidden = layer(hidden)
        shortcut = given if block.proj_conv is None else block.proj_conv(activated)
        torch.testing.assert_close(block(given), hidden + shortcut)
        assert torch.equal(given, features), "ReLU in place must not change the block's input"


def published_file(folder: Path, encoder: nn.Module, **changes: torch.Tensor) -> Path:
    """Write a file of the published layout: a checkpoint of DataParallel with the classifier of ImageNet."""
    channels = encoder.channels[1]
    state = {name: torch.randn_like(value.float()).to(value.dtype) for name, value in encoder.state_dict().items()}
    state |= {f"bn_out.0.{name}": torch.ones(channels) for name in ("weight", "bias", "running_mean", "running_var")}
    state |= {"classifier.fc.weight": torch.zeros(1000, channels), "classifier.fc.bias": torch.zeros(1000)}
    checkpoint = {"state_dict": {f"module.{name}": value for name, value in (state | changes).items()}, "epoch": 90}
    torch.save(checkpoint, folder / "wider_resnet38.pth.tar")
    return folder / "wider_resnet38.pth.tar"


@pytest.mark.usefixtures("small")
def test_the_published_layout_fits_whole_and_gives_the_same_features(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = build_encoder(SPEC)
    path = published_file(tmp_path, source)
    assert {"mod1.conv1.weight", "mod2.block1.bn1.0.running_var", "mod4.block1.proj_conv.weight"} <= set(
        source.state_dict()
    ), "names of sdcnet's network/wider_resnet.py"
    encoder = build_encoder(SPEC)
    assert load_weights(encoder, path) == ()
    stored = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[f"module.{name}"]) for name, value in encoder.state_dict().items())


@pytest.mark.usefixtures("small")
def test_a_file_with_a_tensor_of_another_network_is_refused(tmp_path: Path) -> None:
    other = {"mod5.block4.convs.conv1.weight": torch.zeros(16, 32, 3, 3)}
    path = published_file(tmp_path, build_encoder(SPEC), **other)
    with pytest.raises(UserError, match="mod5"):
        load_weights(build_encoder(SPEC), path)


def test_the_published_file_is_found_by_its_name(tmp_path: Path) -> None:
    spec = SPEC.replace(weights="imagenet")
    with pytest.raises(WeightsMissing) as caught:
        find_weights(spec, Places(weights=tmp_path))
    for part in ("wider_resnet38.pth.tar", "sdcnet", str(tmp_path), "--weights", "net.encoder.weights=none"):
        assert part in str(caught.value)
    (tmp_path / "wider_resnet38.pth.tar").touch()
    assert find_weights(spec, Places(weights=tmp_path)) == tmp_path / "wider_resnet38.pth.tar"


@pytest.mark.usefixtures("small")
def test_every_parameter_of_encoder_and_head_learns() -> None:
    head = HEAD.replace(channels=8, low_level_channels=4)
    network = build_network(Net(encoder=SPEC, head=head), 5)
    logits = network(torch.randn(2, 3, 33, 41))
    assert logits.shape == (2, 5, 33, 41)
    logits.square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in network.parameters())


def test_only_the_output_stride_and_the_weights_describe_the_encoder() -> None:
    assert SPEC.unused() == {"stem", "stem_width", "multi_grid", "width"}
    assert isinstance(on_meta(SPEC), WideResNet38)
