"""timm's encoders, reduced to low-level features (stride 4) and last features, and the loading of encoders' weights.

timm is imported only when one of its networks is built. A plan of thousands of trainings builds none and is printed
seconds sooner.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from assay.data.normalize import EFFICIENTNET_LITE, HALF, IMAGENET, Normalization
from assay.errors import UserError
from assay.nets import lite
from assay.nets.spec import WIDE_RESNET38, Encoder
from assay.nets.tiny import TinyEncoder
from assay.nets.wide_resnet38 import WideResNet38, without_classifier
from assay.values import suggestion


class TimmEncoder(nn.Module):
    """A timm network that returns its features of stride 4 and its last features."""

    def __init__(self, spec: Encoder) -> None:
        super().__init__()
        body = _create(spec)
        self.arch = spec.arch
        self.body: nn.Module = body
        _use_exportable_padding(self.body)
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels())
        if spec.multi_grid:
            _set_multi_grid(self.body, spec)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        features: list[torch.Tensor] = self.body(images)
        return features


def normalization_of(spec: Encoder) -> Normalization:
    """Return the normalisation of the images on which an encoder's ImageNet weights were trained.

    It depends on the architecture alone, since random weights are indifferent to it. An architecture that is not named
    here has ImageNet's mean and deviation.
    """
    if lite.ARCH.fullmatch(spec.arch):
        return EFFICIENTNET_LITE
    return HALF if spec.arch == "xception65" else IMAGENET


def build_encoder(spec: Encoder) -> nn.Module:
    """Return an encoder with random weights. Its `channels` are those of its two features."""
    if spec.arch == WIDE_RESNET38:
        return WideResNet38(spec.output_stride)
    return TinyEncoder(spec.width) if spec.arch == "tiny" else TimmEncoder(spec)


def _create(spec: Encoder) -> Any:
    """Return timm's network; raise a UserError with timm's reason if timm cannot build it."""
    import timm

    if not timm.is_model(spec.arch):
        raise UserError(f"net.encoder.arch: timm has no {spec.arch!r}{_similar_archs(spec.arch)}.")
    options = {"stem_type": "deep", "stem_width": spec.stem_width} if spec.stem == "deep" else {}
    try:
        whole = timm.create_model(spec.arch, features_only=True, pretrained=False)
        reductions = whole.feature_info.reduction()
        return timm.create_model(
            spec.arch,
            features_only=True,
            pretrained=False,
            output_stride=spec.output_stride,
            out_indices=(reductions.index(4), len(reductions) - 1),
            **options,
        )
    except (TypeError, ValueError, AssertionError, RuntimeError, NotImplementedError) as error:
        raise UserError(
            f"timm's {spec.arch!r} cannot give features at stride 4 and {spec.output_stride} with a {spec.stem} stem"
            f" ({type(error).__name__}: {error}); choose another net.encoder.arch, output_stride or stem."
        ) from error


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding "same", as timm's Conv2dSame, in whole numbers.

    timm divides and rounds up with `math.ceil`, which a torch.export program for any size of images cannot hold.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = (self._padding(images.shape[2 + axis], axis) for axis in (0, 1))
        padded = functional.pad(images, (width // 2, width - width // 2, height // 2, height - height // 2))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _padding(self, size: int, axis: int) -> int:
        """Return (⌈size / stride⌉ - 1) · stride + reach + 1 - size, where 0 is the least."""
        stride, reach = self.stride[axis], self.dilation[axis] * (self.kernel_size[axis] - 1)
        padding = reach - (size - 1) % stride
        return padding if reach >= stride - 1 else max(padding, 0)  # a condition on sizes only where one is needed


def _use_exportable_padding(body: nn.Module) -> None:
    """Turn timm's Conv2dSame into SameConv2d in place, so that no random number is drawn for new weights."""
    from timm.layers import Conv2dSame

    for module in body.modules():
        if isinstance(module, Conv2dSame):
            module.__class__ = SameConv2d


def _similar_archs(arch: str) -> str:
    import timm

    return suggestion(arch, timm.list_models(f"{arch[:4]}*")[:12])


def _set_multi_grid(body: nn.Module, spec: Encoder) -> None:
    """Set the dilation of each block of the last stage."""
    stage = getattr(body, "layer4", None)
    if stage is None or len(stage) != len(spec.multi_grid):
        blocks = "has no such stage" if stage is None else f"has {len(stage)} blocks there"
        raise UserError(
            f"net.encoder.multi_grid needs a factor for each block of a ResNet's last stage, got {spec.multi_grid};"
            f" {spec.arch!r} {blocks}."
        )
    base = 32 // spec.output_stride
    for block, factor in zip(stage, spec.multi_grid, strict=True):
        for module in block.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.dilation = module.padding = (base * factor, base * factor)


def load_weights(encoder: nn.Module, path: Path) -> tuple[str, ...]:
    """Load the tensors that fit, and return the sorted names of the parameters that stay random.

    A layer of the stem whose shape differs stays random, because publications of the same network differ in the stem.
    Any other difference means that the file belongs to another network.
    """
    body = encoder.body if isinstance(encoder, TimmEncoder) else encoder
    stored = {_canonical_name(name): value for name, value in _renamed(_read(path), encoder, path).items()}
    expected = body.state_dict()
    fitting = {
        name: stored[_canonical_name(name)]
        for name, value in expected.items()
        if _canonical_name(name) in stored and stored[_canonical_name(name)].shape == value.shape
    }
    parameters = dict(body.named_parameters())
    random = sorted(name for name in parameters if name not in fitting)
    unmatched = [name for name in random if not _in_stem(name)] or _unexpected(stored, expected)
    if unmatched:
        raise UserError(
            f"{path} does not fit the encoder: {len(unmatched)} tensors have no counterpart of their shape, the first"
            f" is {unmatched[0]!r}; choose the file of the same network."
        )
    body.load_state_dict(fitting, strict=False)
    return tuple(random)


def _renamed(state: dict[str, torch.Tensor], encoder: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """Return tensors by the encoder's names; raise a UserError for a packaged EfficientNet-Lite in another encoder."""
    if isinstance(encoder, WideResNet38):
        return without_classifier(state)
    if not lite.is_packaged(state):
        return state
    if not isinstance(encoder, TimmEncoder) or not lite.ARCH.fullmatch(encoder.arch):
        arch = encoder.arch if isinstance(encoder, TimmEncoder) else "tiny"
        raise UserError(
            f"{path} holds an EfficientNet-Lite with TensorFlow's padding, and net.encoder.arch is {arch!r}; choose"
            " tf_efficientnet_lite0, or the same network of another size."
        )
    stages: Any = encoder.body.blocks
    return lite.with_timm_names(state, [len(stage) for stage in stages])


def _unexpected(stored: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> list[str]:
    """Return the stored tensors that the encoder lacks in its stages, as in a larger network's file.

    A classifier is not a stage of an encoder, so its tensors are allowed.
    """
    names = {_canonical_name(name) for name in expected}
    stages = {name.split(".")[0] for name in names}
    return sorted(name for name in stored if name not in names and name.split(".")[0] in stages and not _in_stem(name))


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Each format's library raises exceptions of its own; all mean the same to the user.
        raise UserError(f"{path} cannot be read as weights ({type(error).__name__}: {error}).") from error
    return state.get("state_dict", state)


def _canonical_name(name: str) -> str:
    """Undo timm's flattening of some names in networks that return features: stem_0.bn for stem.0.bn."""
    return name.replace("_", ".")


def _in_stem(name: str) -> bool:
    return name.split(".")[0].split("_")[0] in ("conv1", "bn1", "conv", "stem")
