"""Bringing pre-trained weights into an encoder, and saying which parameters they left random."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from assay.errors import UserError
from assay.nets.encoders import TimmEncoder

STEM = ("conv1", "bn1", "conv_stem", "stem")


class WeightsDoNotFit(UserError):
    """A weights file belongs to another encoder, or cannot be read."""


@torch.no_grad()
def load_weights(encoder: nn.Module, path: Path) -> tuple[str, ...]:
    """Load a classifier's weights into an encoder; the names of the parameters that stayed random, sorted.

    What comes after the encoder's last stage is dropped. Only the stem may stay random (a deep stem has no
    counterpart in most published files); anything else that is missing, too much or of another shape is refused.
    """
    body = encoder.body if isinstance(encoder, TimmEncoder) else encoder
    state = {_flat(name): tensor for name, tensor in read_state(path).items()}
    own = body.state_dict(keep_vars=True)
    fitting = {
        name for name, tensor in own.items() if _flat(name) in state and state[_flat(name)].shape == tensor.shape
    }
    _refuse_strangers(body, own, state, path)
    _refuse_gaps(own, fitting, state, path)
    for name in fitting:
        own[name].copy_(state[_flat(name)])
    loaded = {id(own[name]) for name in fitting}
    return tuple(sorted(name for name, each in encoder.named_parameters() if id(each) not in loaded))


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name: safetensors, or what torch can load without running code."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, _safetensors_error()) as problem:
        raise WeightsDoNotFit(f"The weights file {path} cannot be read: {problem}.") from problem
    for wrapper in ("state_dict", "model"):  # as timm and many training scripts save
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(each, torch.Tensor) for each in content.values()):
        raise WeightsDoNotFit(f"The weights file {path} must hold tensors by name, got a {type(content).__name__}.")
    return dict(content)


def _safetensors_error() -> type[Exception]:
    from safetensors import SafetensorError

    return SafetensorError  # type: ignore[no-any-return]


def _refuse_strangers(
    body: nn.Module, own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], path: Path
) -> None:
    """A tensor that this encoder lacks inside one of its own parts belongs to another, larger encoder."""
    known = {_flat(name) for name in own}
    inside = tuple(f"{_flat(name)}_" for name, _ in body.named_children())
    strangers = [name for name in state if name not in known and name.startswith(inside) and not _in_stem(name)]
    if strangers:
        raise WeightsDoNotFit(
            f"The weights file {path} must belong to this encoder, got {len(strangers)} tensors more than it has, the"
            f" first of them {strangers[0]}: set net.encoder.weights to a file of the same arch and stem."
        )


def _refuse_gaps(
    own: Mapping[str, torch.Tensor], fitting: set[str], state: Mapping[str, torch.Tensor], path: Path
) -> None:
    gaps = [name for name in own if name not in fitting and not _in_stem(name) and "num_batches" not in name]
    if not gaps:
        return
    found = state.get(_flat(gaps[0]))
    what = "is not in it" if found is None else f"has the shape {tuple(found.shape)} there"
    raise WeightsDoNotFit(
        f"The weights file {path} must fit this encoder in all but the stem, got {len(gaps)} tensors that do not, the"
        f" first of them {gaps[0]} of shape {tuple(own[gaps[0]].shape)}, which {what}: set net.encoder.weights to a"
        " file of the same arch and stem width, or to none."
    )


def _in_stem(name: str) -> bool:
    return _flat(name).startswith(tuple(f"{each}_" for each in STEM))


def _flat(name: str) -> str:
    """timm's extractors join some levels of a tensor's name with underscores; this form is the same for all."""
    return name.replace(".", "_")
