"""Whether the written files predict what the platform predicts."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from assay.data.normalize import normalize
from assay.errors import AssayError
from assay.experiment import Experiment
from assay.export.network import Trained
from assay.export.program import Program
from assay.method import Predictor
from assay.nets.network import Network, build_network
from assay.recipe import Evaluation
from assay.store import records
from assay.store.store import Store
from assay.training.evaluate import predict
from assay.training.model import DTYPES

Runnable = Callable[[torch.Tensor], torch.Tensor]  # images (uint8) → logits
_EMPTY = b"PK\x05\x06" + 18 * b"\0"  # a zip file with nothing in it
_TOLERANCE = 1e-4  # of logits, against their largest; other kernels may be chosen for a program's operations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """What the check looks at."""

    kind: str
    images: tuple[torch.Tensor, ...]  # each 3 x H x W, uint8
    predictions: tuple[torch.Tensor, ...]  # H x W, made when the training ended; none for random images


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What the check found; it is stored beside the files."""

    images: str
    shapes: tuple[tuple[int, ...], ...]
    program_difference: float  # the largest, of logits
    weights_difference: float
    as_in_training: float | None  # share of the pixels that were predicted so when the training ended


class Differs(AssayError):
    """A written file predicts something else than the platform."""


def pictures_of(store: Store, trained: Trained) -> Pictures:
    """The validation images that lie with the result, with their predictions; random ones where there are none."""
    with np.load(io.BytesIO(store.read(trained.key, records.PANEL) or _EMPTY), allow_pickle=False) as arrays:
        count = sum(name.startswith("image") for name in arrays)
        if count:
            return Pictures(
                kind="validation",
                images=tuple(torch.tensor(arrays[f"image{index}"]).permute(2, 0, 1) for index in range(count)),
                predictions=tuple(torch.tensor(arrays[f"prediction{index}"]) for index in range(count)),
            )
    crop = trained.experiment.recipe.augment.crop
    images = torch.randint(0, 256, (2, 3, *crop), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Pictures(kind="random", images=tuple(images), predictions=())


def check(
    program_file: Path, weights_file: Path, trained: Trained, program: Program, pictures: Pictures
) -> tuple[Check, Runnable]:
    """Compare both files, read anew, with the trained network; also the program that was read. Raises Differs."""
    loaded: Runnable = torch.export.load(program_file).module()
    experiment, network = trained.experiment, trained.network
    fresh = build_network(network.spec, network.num_classes).to(DTYPES[experiment.recipe.precision])
    fresh.load_state_dict(load_file(weights_file))
    batches = batches_of(pictures.images, program)
    ours = _with_normalizing(network, experiment)
    return Check(
        images=pictures.kind,
        shapes=tuple(tuple(batch.shape) for batch in batches),
        program_difference=_difference(program_file, loaded, ours, batches),
        weights_difference=_difference(weights_file, _with_normalizing(fresh.eval(), experiment), ours, batches),
        as_in_training=_as_in_training(network, experiment, pictures),
    ), loaded


def batches_of(images: Sequence[torch.Tensor], program: Program) -> list[torch.Tensor]:
    """One image as it is, two of another size, and the smallest that is taken; equal sizes where there is one only."""
    first, second = images[0], images[-1]
    if program.sides is not None:
        return [_of_size([first], program.sides), _of_size([first, second], program.sides)]
    height, width = (max(side * 3 // 4, program.smallest) for side in first.shape[1:])
    smallest = (program.smallest, program.smallest)
    return [first[None], _of_size([first, second], (height, width)), _of_size([first, second, first], smallest)]


def _of_size(images: Sequence[torch.Tensor], sides: tuple[int, int]) -> torch.Tensor:
    return torch.stack([functional.interpolate(each[None], size=sides, mode="nearest")[0] for each in images])


def _with_normalizing(network: Network, experiment: Experiment) -> Runnable:
    return lambda images: network(normalize(images, dtype=DTYPES[experiment.recipe.precision]))


@torch.no_grad()
def _difference(file: Path, theirs: Runnable, ours: Runnable, batches: Sequence[torch.Tensor]) -> float:
    """The largest difference of logits."""
    largest = 0.0
    for images in batches:
        found, expected = theirs(images), ours(images)
        difference = (found - expected).abs().max().item()
        same = bool((found.argmax(dim=1) == expected.argmax(dim=1)).all())
        if not same or not difference <= _TOLERANCE * max(1.0, expected.abs().max().item()):
            raise Differs(
                f"{file.name} predicts something else than the network: for images {tuple(images.shape)} logits differ"
                f" by up to {difference:g}, and classes {'do not' if same else 'do'} differ; nothing was exported."
            )
        largest = max(largest, difference)
    return largest


@torch.no_grad()
def _as_in_training(network: Predictor, experiment: Experiment, pictures: Pictures) -> float | None:
    """How many pixels are predicted as when the training ended, by the same protocol in this machine's arithmetic."""
    right = total = 0
    evaluation: Evaluation = experiment.recipe.evaluation
    for image, stored in zip(pictures.images, pictures.predictions, strict=False):
        found = predict(network, normalize(image[None], dtype=DTYPES[experiment.recipe.precision]), evaluation)[0]
        right += int((found == stored).sum())
        total += stored.numel()
    return right / total if total else None
