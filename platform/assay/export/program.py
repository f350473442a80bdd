"""A network as a torch.export program. It takes decoded images, normalises them itself, and imports nothing of this.

Images B x 3 x H x W (uint8, RGB) in, logits B x C x H x W out.
"""

from __future__ import annotations

import dataclasses
import io

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from assay.errors import AssayError
from assay.nets.network import Network

_SIDES = (128, 192)  # of the traced images: unequal, so that the tracer derives no rule that holds for squares alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program as a file's bytes, with the sizes of images that it takes."""

    data: bytes
    sides: tuple[int, int] | None  # height and width of every image; None for any sides from `smallest` up
    smallest: int


class NormalizingNetwork(nn.Module):
    """Normalisation and a network as one module. Mean and deviation are buffers, so that they move between devices."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.dtype = next(network.parameters()).dtype
        self.mean = nn.Buffer(torch.tensor(network.normalization.mean).view(3, 1, 1) * 255)
        self.std = nn.Buffer(torch.tensor(network.normalization.std).view(3, 1, 1) * 255)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = (images.to(torch.float32) - self.mean) / self.std
        logits: torch.Tensor = self.network(pixels.to(self.dtype))
        return logits


def make_program(network: Network, *, sides: tuple[int, int]) -> Program:
    """Return a program for images of any size; where the network cannot be traced so, for images of `sides` alone."""
    module = NormalizingNetwork(network).eval()
    batch = {0: Dim.DYNAMIC}
    smallest = _smallest(network)
    try:
        return Program(
            data=_trace(module, _SIDES, batch | {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}), sides=None, smallest=smallest
        )
    except Exception:  # torch's tracer and its writer raise errors of many kinds
        pass
    try:
        return Program(data=_trace(module, sides, batch), sides=sides, smallest=smallest)
    except Exception as error:
        raise AssayError(
            f"torch.export cannot trace {network.spec.encoder.arch} with {network.spec.head.name}"
            f" ({type(error).__name__}: {str(error).splitlines()[0]})."
        ) from error


def _smallest(network: Network) -> int:
    """Return the smallest side for which features have two cells; below it torch traces another program."""
    encoder = network.spec.encoder
    return (4 if encoder.arch == "tiny" else encoder.output_stride) + 1


@torch.no_grad()
def _trace(module: NormalizingNetwork, sides: tuple[int, int], dynamic: dict[int, object]) -> bytes:
    images = torch.zeros(2, 3, *sides, dtype=torch.uint8)
    program = torch.export.export(module, (images,), dynamic_shapes=({**dynamic},))
    _remove_source_lines(program)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _remove_source_lines(program: ExportedProgram) -> None:
    """Remove the source file and line of each operation: users of the program do not have this machine's files."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
