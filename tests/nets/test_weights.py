"""Weights of encoders: the files that are found, and their hashes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from assay.nets.spec import Encoder
from assay.nets.weights import PRETRAINED, WeightsMissing, file_hash, find_weights, weights_hash
from assay.places import Places


@pytest.fixture(autouse=True)
def no_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging_face"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.parametrize("name", sorted(set(PRETRAINED.values())))
def test_timm_publishes_every_set_of_weights_in_the_table(name):
    import timm

    assert name in timm.list_pretrained()


def test_random_weights_have_no_file(tmp_path):
    assert find_weights(Encoder(weights="none"), Places(weights=tmp_path)) is None


def test_imagenet_weights_are_found_under_timms_name(tmp_path):
    path = tmp_path / "resnet50s.gluon_in1k.safetensors"
    path.touch()
    encoder = Encoder(arch="resnet50", stem="deep", stem_width=64, weights="imagenet")
    assert find_weights(encoder, Places(weights=tmp_path)) == path


def test_the_hugging_face_cache_is_searched(tmp_path):
    folder = tmp_path / "hugging_face/hub/models--timm--resnet50.tv_in1k/snapshots/0"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    assert find_weights(Encoder(weights="imagenet"), Places(weights=tmp_path)) == folder / "model.safetensors"


def in_torch_hub(tmp_path, name):
    path = tmp_path / "torch/hub/checkpoints" / name
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_the_cache_of_torch_hub_is_searched_for_the_file_that_timm_would_download(tmp_path):
    import timm.models

    name = timm.models.get_pretrained_cfg("resnet50.tv_in1k").url.split("/")[-1]
    path = in_torch_hub(tmp_path, name)
    assert find_weights(Encoder(weights="imagenet"), Places(weights=tmp_path)) == path
    with pytest.raises(WeightsMissing):
        find_weights(Encoder(arch="resnet18", weights="imagenet"), Places(weights=tmp_path))


def test_a_file_in_the_folder_of_weights_has_priority_over_the_caches(tmp_path):
    in_torch_hub(tmp_path, "resnet50-0676ba61.pth")
    path = tmp_path / "resnet50.tv_in1k.pth"
    path.touch()
    assert find_weights(Encoder(weights="imagenet"), Places(weights=tmp_path)) == path


def test_weights_that_timm_publishes_without_an_address_are_missing(tmp_path):
    in_torch_hub(tmp_path, "xception65.pth")
    with pytest.raises(WeightsMissing):
        find_weights(Encoder(arch="xception65", weights="imagenet"), Places(weights=tmp_path))


def test_missing_weights_are_reported_with_name_folder_and_alternative(tmp_path):
    with pytest.raises(WeightsMissing) as caught:
        find_weights(Encoder(arch="resnet18", weights="imagenet"), Places(weights=tmp_path))
    for part in ("resnet18.tv_in1k.safetensors", str(tmp_path), "net.encoder.weights=none"):
        assert part in str(caught.value)


@pytest.mark.parametrize("weights", ["imagenet", "nowhere.pth"])
def test_unknown_weights_are_refused(weights, tmp_path):
    encoder = Encoder(arch="resnet50", stem="deep", stem_width=48, weights=weights)
    with pytest.raises(WeightsMissing):
        find_weights(encoder, Places(weights=tmp_path))


def test_a_file_that_was_written_again_gets_a_new_hash(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    first = file_hash(path)
    path.write_bytes(b"new")
    os.utime(path, ns=(1, 1))
    assert file_hash(path) != first


def test_the_key_of_an_encoder_holds_the_hash_of_its_weights(tmp_path):
    (tmp_path / "mine.pth").write_bytes(b"some weights")
    places = Places(weights=tmp_path)
    assert weights_hash(Encoder(weights="none"), places) is None
    assert weights_hash(Encoder(weights="mine.pth"), places) == hashlib.sha256(b"some weights").hexdigest()


@pytest.mark.parametrize("downloaded", [False, True])
def test_an_empty_cache_of_torch_hub_is_found_empty_without_torch(tmp_path, downloaded):
    if downloaded:
        in_torch_hub(tmp_path, "resnet50-0676ba61.pth")
    program = (
        "import sys\nfrom pathlib import Path\nfrom assay.nets.spec import Encoder\nfrom assay.nets import weights\n"
        f"places = weights.Places(weights=Path({str(tmp_path)!r}))\n"
        "try: weights.find_weights(Encoder(arch='resnet50', weights='imagenet'), places)\n"
        "except weights.WeightsMissing: pass\n"
        "print(sorted({'torch', 'timm'} & set(sys.modules)))"
    )
    environment = {**os.environ, "TORCH_HOME": str(tmp_path / "torch"), "HF_HOME": str(tmp_path / "hugging_face")}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == str(["timm", "torch"] if downloaded else [])
