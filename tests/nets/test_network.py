"""Networks: sizes of logits, seeds, and heads."""

from __future__ import annotations

import pytest
import torch

from assay.nets.heads import resize_like
from assay.nets.network import build_network
from assay.nets.spec import DeepLabV2, DeepLabV3Plus, Encoder, Net, PSPNet

HEADS = [
    DeepLabV2(atrous_rates=(1, 2), branches=2),
    DeepLabV3Plus(channels=16, low_level_channels=8, atrous_rates=(1, 2), separable=False),
    DeepLabV3Plus(channels=16, low_level_channels=8, atrous_rates=(1, 2), separable=True),
    DeepLabV3Plus(channels=16, low_level_channels=8, atrous_rates=(1, 2), projection=3, classifier_std=0.01),
    DeepLabV3Plus(
        channels=16,
        low_level_channels=8,
        atrous_rates=(1, 2),
        plain_projections=True,
        classifier_bias=False,
        classifier_std=0.1,
    ),
    PSPNet(channels=16),
]


def tiny(head, seed=0):
    net = Net(encoder=Encoder(arch="tiny", width=8), head=head)
    return build_network(net, 5, weights=None, seed=seed)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("head", HEADS)
def test_logits_have_the_size_of_odd_images_and_every_parameter_learns(head):
    network = tiny(head)
    logits = network(torch.randn(2, 3, 35, 27))
    assert logits.shape == (2, 5, 35, 27)
    logits.square().sum().backward()
    assert all(each.grad is not None for each in network.parameters())


@pytest.mark.parametrize("head", HEADS)
def test_forward_resizes_the_classified_features_to_the_size_of_the_images(head):
    network = tiny(head).eval()
    images = torch.randn(2, 3, 32, 32)
    features = network.features(images)
    assert features.shape[1] == network.head.feature_channels
    expected = torch.nn.functional.interpolate(network.classify(features), size=(32, 32), mode="bilinear")
    torch.testing.assert_close(network(images), expected)


def test_weights_depend_on_the_seed_alone():
    first = tiny(HEADS[1], seed=3)
    torch.rand(7)
    assert same(first, tiny(HEADS[1], seed=3))
    assert not same(first, tiny(HEADS[1], seed=4))


def test_building_does_not_change_torchs_random_state():
    before = torch.get_rng_state()
    tiny(HEADS[1])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("branches", [2, 4])
def test_deeplabv2_sums_as_many_branches_as_described(branches):
    network = tiny(DeepLabV2(branches=branches)).eval()
    features = torch.randn(1, network.head.feature_channels, 8, 8)
    parts = [branch(features) for branch in network.head.classifier.branches]
    assert [branch.dilation[0] for branch in network.head.classifier.branches] == [6, 12, 18, 24][:branches]
    torch.testing.assert_close(network.classify(features), sum(parts))


@pytest.mark.parametrize(
    ("arch", "stride", "low", "millions"),
    [("wide_resnet50_2", 16, 48, 16.84), ("resnet18", 16, 48, 5.43), ("mobilenetv2_100", 32, 24, 3.94)],
)
def test_mgds_heads_have_the_sizes_of_its_code(arch, stride, low, millions):
    spec = Net(
        encoder=Encoder(arch=arch, output_stride=stride),
        head=DeepLabV3Plus(separable=False, low_level_channels=low),
    )
    with torch.device("meta"):
        network = build_network(spec, 21, weights=None, seed=0)
    head = sum(each.numel() for each in network.head.parameters())
    classifier = sum(each.numel() for each in network.head.classifier.parameters())
    assert (head - classifier) / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize(("projection", "millions"), [(1, 3.19), (3, 5.81)])
def test_mkds_heads_have_the_sizes_of_its_paper_and_of_its_code(projection, millions):
    spec = Net(encoder=Encoder(arch="resnet101"), head=DeepLabV3Plus(projection=projection))
    with torch.device("meta"):
        network = build_network(spec, 21, weights=None, seed=0)
    assert network.encoder.channels == (256, 2048)
    # The whole head counts, with its classifier of 21 classes.
    assert sum(each.numel() for each in network.head.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


def test_classifier_std_is_the_deviation_of_the_classifiers_weights_and_changes_nothing_else():
    head = DeepLabV3Plus(channels=64, low_level_channels=8, atrous_rates=(1, 2))
    plain, normal = tiny(head), tiny(head.replace(classifier_std=0.01))
    weight, bias = normal.classifier.weight, normal.classifier.bias
    assert weight.std().item() == pytest.approx(0.01, rel=0.2) and weight.mean().abs() < 0.002
    assert weight.abs().max() > 0.02  # a uniform distribution of this deviation ends at 0.0173
    assert torch.equal(bias, torch.zeros_like(bias))
    for (name, one), other in zip(plain.named_parameters(), normal.parameters(), strict=True):
        assert torch.equal(one, other) != name.startswith("head.classifier"), name


def test_aligned_corners_keep_the_corners_of_the_classified_features():
    network = tiny(HEADS[1].replace(align_corners=True)).eval()
    images = torch.randn(2, 3, 32, 32)
    classified = network.classify(network.features(images))
    logits = network(images)
    assert classified.shape[-2:] == (16, 16)
    torch.testing.assert_close(logits[..., ::31, ::31], classified[..., ::15, ::15])
    context = torch.arange(4.0).view(1, 1, 1, 4)
    resized = resize_like(context, torch.empty(1, 1, 1, 7), align_corners=True)
    torch.testing.assert_close(resized.flatten(), torch.arange(0, 3.5, 0.5))


def test_plain_projections_are_convolutions_alone():
    head = tiny(HEADS[4]).head
    assert isinstance(head.project, torch.nn.Conv2d) and isinstance(head.reduce, torch.nn.Conv2d)
    assert head.project.bias is None and head.reduce.bias is None and head.classifier.bias is None
