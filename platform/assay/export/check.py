"""The check that the exported files predict the same as the trained network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional

from assay.data.normalize import normalize
from assay.errors import AssayError
from assay.experiment import Experiment
from assay.export.network import Trained
from assay.export.program import Program
from assay.nets.network import Network, build_network
from assay.recipe import Evaluation
from assay.results.panel import read_arrays
from assay.store import records
from assay.store.store import Store
from assay.training.evaluate import predict
from assay.training.model import DTYPES

Runnable = Callable[[torch.Tensor], torch.Tensor]  # images (uint8) → logits
_TOLERANCE = 1e-4  # of logits, against their largest; other kernels may be chosen for a program's operations


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckImages:
    """The images of the check, with stored predictions where there are any."""

    kind: str  # "validation" or "random"
    images: tuple[torch.Tensor, ...]  # each 3 x H x W, uint8
    predictions: tuple[torch.Tensor, ...]  # each H x W, made when the training ended; none for random images


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of the check, which is stored beside the files."""

    images: str  # their kind
    shapes: tuple[tuple[int, ...], ...]
    program_difference: float  # the largest of all logits
    weights_difference: float
    as_in_training: float | None  # share of pixels with the same class as when the training ended


class PredictionsDiffer(AssayError):
    """An exported file does not predict the same as the trained network."""


def check_images(store: Store, trained: Trained) -> CheckImages:
    """Return the validation images stored with the result, with their predictions; random images where none are."""
    data = store.read(trained.key, records.PANEL)
    stored_images, _, predictions = read_arrays(data) if data else ([], [], [])
    if stored_images:
        return CheckImages(
            kind="validation",
            images=tuple(torch.tensor(image).permute(2, 0, 1) for image in stored_images),
            predictions=tuple(map(torch.tensor, predictions)),
        )
    crop = trained.experiment.recipe.augment.crop
    images = torch.randint(0, 256, (2, 3, *crop), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return CheckImages(kind="random", images=tuple(images), predictions=())


def check(
    program_file: Path, weights_file: Path, trained: Trained, program: Program, images: CheckImages
) -> tuple[CheckResult, Runnable]:
    """Read both files, compare them with the trained network, and return the result and the program that was read.

    Raise PredictionsDiffer where a file predicts other classes, or logits beyond the tolerance.
    """
    read_program: Runnable = torch.export.load(program_file).module()
    experiment, network = trained.experiment, trained.network
    read_network = build_network(network.spec, network.num_classes).to(DTYPES[experiment.recipe.precision])
    read_network.load_state_dict(load_file(weights_file))
    batches = batches_of(images.images, program)
    expected = _with_normalizing(network, experiment)
    return CheckResult(
        images=images.kind,
        shapes=tuple(tuple(batch.shape) for batch in batches),
        program_difference=_difference(program_file, read_program, expected, batches),
        weights_difference=_difference(
            weights_file, _with_normalizing(read_network.eval(), experiment), expected, batches
        ),
        as_in_training=_as_in_training(network, experiment, images),
    ), read_program


def batches_of(images: Sequence[torch.Tensor], program: Program) -> list[torch.Tensor]:
    """Return one image at its size, two of another size, and three of the smallest size that the program takes.

    For a program of one size, return one image and two images of that size.
    """
    first, second = images[0], images[-1]
    if program.sides is not None:
        return [_resize([first], program.sides), _resize([first, second], program.sides)]
    height, width = (max(side * 3 // 4, program.smallest) for side in first.shape[1:])
    smallest = (program.smallest, program.smallest)
    return [first[None], _resize([first, second], (height, width)), _resize([first, second, first], smallest)]


def _resize(images: Sequence[torch.Tensor], sides: tuple[int, int]) -> torch.Tensor:
    return torch.stack([functional.interpolate(image[None], size=sides, mode="nearest")[0] for image in images])


def _with_normalizing(network: Network, experiment: Experiment) -> Runnable:
    return lambda images: network(normalize(images, network.normalization, DTYPES[experiment.recipe.precision]))


@torch.no_grad()
def _difference(file: Path, exported: Runnable, network: Runnable, batches: Sequence[torch.Tensor]) -> float:
    """Return the largest difference of logits; raise PredictionsDiffer beyond the tolerance."""
    largest = 0.0
    for images in batches:
        logits, expected = exported(images), network(images)
        difference = (logits - expected).abs().max().item()
        same_classes = bool((logits.argmax(dim=1) == expected.argmax(dim=1)).all())
        if not same_classes or not difference <= _TOLERANCE * max(1.0, expected.abs().max().item()):
            raise PredictionsDiffer(
                f"{file.name} does not predict the same as the network: for images {tuple(images.shape)} logits differ"
                f" by up to {difference:g}, and classes {'do not differ' if same_classes else 'differ'}; nothing was"
                " exported."
            )
        largest = max(largest, difference)
    return largest


@torch.no_grad()
def _as_in_training(network: Network, experiment: Experiment, images: CheckImages) -> float | None:
    """Return the share of pixels with the class predicted when the training ended; None without such predictions.

    The protocol is the same, the arithmetic is this machine's.
    """
    right = total = 0
    evaluation: Evaluation = experiment.recipe.evaluation
    for image, stored in zip(images.images, images.predictions, strict=False):
        pixels = normalize(image[None], network.normalization, DTYPES[experiment.recipe.precision])
        right += int((predict(network, pixels, evaluation)[0] == stored).sum())
        total += stored.numel()
    return right / total if total else None
