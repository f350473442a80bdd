"""Networks as programs: any images of any size, the same logits, and nothing of this machine in the file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from assay.data.normalize import EFFICIENTNET_LITE, IMAGENET, normalize
from assay.errors import AssayError
from assay.export.program import make_program
from assay.nets.network import Network, build_network
from assay.nets.spec import DeepLabV2, DeepLabV3Plus, Encoder, Net, PSPNet

HEADS = [
    DeepLabV2(atrous_rates=(1, 2), branches=2),
    DeepLabV3Plus(channels=16, low_level_channels=8, atrous_rates=(1, 2)),
    PSPNet(channels=16),
]


def tiny(head: DeepLabV2 | DeepLabV3Plus | PSPNet, encoder: Encoder | None = None) -> Network:
    return build_network(Net(encoder=encoder or Encoder(arch="tiny", width=4), head=head), 5, seed=1).eval()


def run(data: bytes) -> Callable[[torch.Tensor], torch.Tensor]:
    return torch.export.load(io.BytesIO(data)).module()


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
@torch.no_grad()
def test_every_head_is_exported_for_any_number_and_size_of_images(head: DeepLabV2 | DeepLabV3Plus | PSPNet) -> None:
    network = tiny(head)
    program = make_program(network, sides=(32, 32))
    loaded = run(program.data)
    assert program.sides is None
    for shape in ((1, 3, 32, 32), (3, 3, 35, 27), (2, 3, program.smallest, program.smallest), (1, 3, 5, 200)):
        torch.testing.assert_close(
            loaded(images(*shape)), network(normalize(images(*shape), IMAGENET)), rtol=0, atol=1e-5
        )


@torch.no_grad()
def test_an_encoder_of_timms_takes_images_from_one_pixel_more_than_its_stride() -> None:
    network = tiny(HEADS[2], Encoder(arch="resnet18", output_stride=16))
    program = make_program(network, sides=(32, 32))
    assert (program.sides, program.smallest) == (None, 17)
    for shape in ((1, 3, 17, 17), (2, 3, 50, 33)):
        logits = run(program.data)(images(*shape))
        torch.testing.assert_close(logits, network(normalize(images(*shape), IMAGENET)), rtol=0, atol=1e-4)


@torch.no_grad()
def test_the_program_normalises_as_the_network_accepts_images() -> None:
    network = tiny(HEADS[1])
    network.accept(EFFICIENTNET_LITE)
    logits = run(make_program(network, sides=(32, 32)).data)(images(2, 3, 35, 27))
    torch.testing.assert_close(logits, network(normalize(images(2, 3, 35, 27), EFFICIENTNET_LITE)), rtol=0, atol=1e-5)
    assert not torch.allclose(logits, network(normalize(images(2, 3, 35, 27), IMAGENET)), rtol=0, atol=1e-3)


@pytest.mark.long  # padding that depends on the image's size takes minutes to trace
@torch.no_grad()
def test_the_program_normalises_as_the_encoder_expects() -> None:
    network = tiny(HEADS[1], Encoder(arch="tf_efficientnet_lite0", output_stride=16))
    program = make_program(network, sides=(48, 64))
    assert program.sides is None, "padding that depends on the image's size is traced for every size"
    for shape in ((1, 3, 48, 64), (2, 3, 35, 67), (3, 3, program.smallest, program.smallest)):
        expected = network(normalize(images(*shape), EFFICIENTNET_LITE))
        torch.testing.assert_close(run(program.data)(images(*shape)), expected, rtol=0, atol=1e-4)


def test_a_network_in_double_precision_stays_so() -> None:
    program = make_program(tiny(HEADS[0]).double(), sides=(32, 32))
    assert run(program.data)(images(1, 3, 16, 16)).dtype == torch.float64


@torch.no_grad()
def test_a_network_that_cannot_be_traced_for_every_size_is_exported_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny(HEADS[0])
    # An offset for every cell of features, as encoders with position embeddings have.
    offsets, classify = torch.randn(8, 4, 6), network.classify
    monkeypatch.setattr(network, "classify", lambda features: classify(features + offsets))
    program = make_program(network, sides=(16, 24))
    assert program.sides == (16, 24)
    for count in (1, 3):
        torch.testing.assert_close(
            run(program.data)(images(count, 3, 16, 24)), network(normalize(images(count, 3, 16, 24), IMAGENET))
        )


def test_a_network_that_torch_cannot_trace_at_all_is_an_error_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny(HEADS[0])
    monkeypatch.setattr(network, "classify", lambda features: features if features.sum().item() > 0 else -features)
    with pytest.raises(AssayError, match=r"^torch\.export cannot trace tiny with deeplabv2 \(.*\)\.$"):
        make_program(network, sides=(16, 24))


def test_the_file_names_no_file_of_this_machine() -> None:
    root = str(Path(__file__).parent.parent.parent).encode()
    with zipfile.ZipFile(io.BytesIO(make_program(tiny(HEADS[1]), sides=(32, 32)).data)) as archive:
        assert not [name for name in archive.namelist() if root in archive.read(name)]
