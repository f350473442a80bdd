"""What a finished training leaves: its result as plain data, its weights, and a few predictions to look at."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import torch
from torch import nn

from assay.collectives import rank, world_size
from assay.data.normalize import normalize
from assay.errors import AssayError
from assay.nets.flops import multiply_adds, parameters
from assay.nets.latency import conditions, latency
from assay.nets.network import Network
from assay.nets.spec import Net
from assay.results.panel import encode
from assay.store.store import Store
from assay.training import environment
from assay.training.evaluate import predict
from assay.training.loop import Training
from assay.training.model import ReadWeights, autocast, own_state, random_parameters

WEIGHTS = "weights.pt"  # the networks after the last step
PANEL_IMAGES = 4
# Of equal networks, which are as large: in a gang, counting took longer than all else between two short trainings.
_SIZES: dict[tuple[Net, int, int, int], dict[str, Any]] = {}


def result_of(training: Training, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known at the end. Shares, not percent."""
    journal, resolved = training.journal, training.resolved
    official = next(iter(training.predictors()))
    source = resolved.experiment.data.source
    return {
        "key": resolved.key,
        "official": official,
        "steps": training.step,
        "miou": journal.last[official]["miou"],
        "pixel_accuracy": journal.last[official]["pixel_accuracy"],
        "iou": journal.last[official]["iou"],
        "classes": list(source.classes()),
        "palette": [list(colour) for colour in source.palette()],
        "miou_best": journal.best_miou,
        "step_best": journal.best_step,
        "networks": journal.last,
        "cost": _cost(training),
        "latency": _latency(training) if rank() == 0 else None,
        "data": {name: resolved.images.describe(name) for name in ("labeled", "unlabeled", "val")}
        | source.describe_labeled(resolved.images.labeled, training.places),
        "notes": [*resolved.images.notes, *training.recipe.notes(), *environment.notes(sessions)],
        "random_parameters": random_parameters(training.nets),
        "accumulated": training.recipe.accumulate > 1,
        "seconds": round(journal.seconds, 3),
        "device_seconds": round(journal.seconds * world_size(), 3),
        "images_per_second": round(training.step * training.images_per_step() / max(journal.seconds, 1e-9), 2),
        "peak_memory": _peak_memory(training.device),
        "sessions": sessions,
        "same_bits": _same_bits(training, sessions),
    }


def _same_bits(training: Training, sessions: list[dict[str, Any]]) -> bool:
    """Whether an uninterrupted training would have given the same bits; on a GPU not even two of those do."""
    interrupted = len(sessions) > 1
    return not any(each["changed"] for each in sessions) and not (interrupted and training.device.type != "cpu")


def _cost(training: Training) -> dict[str, dict[str, Any]]:
    """Parameters and multiply-adds of each network, and of its encoder alone, on one training crop."""
    height, width = training.recipe.augment.crop
    return {name: _size(net, height, width) for name, net in training.nets.items() if isinstance(net, Network)}


def _size(net: Network, height: int, width: int) -> dict[str, Any]:
    kind = (net.spec, net.num_classes, height, width)
    if kind not in _SIZES:
        _SIZES[kind] = {**_count(net, height, width), "encoder": _count(net.encoder, height, width)}
    return _SIZES[kind]


def _count(part: nn.Module, height: int, width: int) -> dict[str, int]:
    return {"parameters": parameters(part), "multiply_adds": multiply_adds(part, height, width)}


def _latency(training: Training) -> dict[str, Any]:
    """Of each network on the CPU, for the crop that multiply-adds are counted on: teachers beside their student."""
    height, width = training.recipe.augment.crop
    crop = torch.zeros(1, 3, height, width, dtype=training.dtype)
    training.nets.eval()
    found: dict[Net, float] = {}  # equal networks are as fast
    times: dict[str, float] = {}
    for name, net in training.nets.items():
        if isinstance(net, Network):
            if net.spec not in found:
                here = net if training.device.type == "cpu" else copy.deepcopy(net).to("cpu")
                found[net.spec] = latency(here, crop).milliseconds
            times[name] = found[net.spec]
    return conditions(height, width) | {"milliseconds": times}


def _peak_memory(device: torch.device) -> int | None:
    """Bytes on the accelerator; None where there is none."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def stored_weights(store: Store) -> ReadWeights:
    """Reads the networks that an experiment of this store trained."""

    def read(key: str) -> bytes:
        found = store.read(key, WEIGHTS)
        if found is None:
            raise AssayError(f"{store.place(key)} holds no {WEIGHTS}: experiment {key} must be trained first.")
        return found

    return read


def weights_of(training: Training) -> bytes:
    """The networks that this experiment trained."""
    buffer = io.BytesIO()
    torch.save({name: value.cpu() for name, value in own_state(training.nets).items()}, buffer)
    return buffer.getvalue()


@torch.no_grad()
def panel_of(training: Training) -> bytes:
    """Return the archive of the first validation images with truth and the official network's prediction."""
    source = training.resolved.experiment.data.source
    ids = training.resolved.images.val[:PANEL_IMAGES]
    training.nets.eval()
    official = next(iter(training.predictors().values()))
    images, truths, predictions = [], [], []
    for image_id in ids:
        image, truth = source.read(image_id, training.places)
        pixels = normalize(
            torch.tensor(image, device=training.device).permute(2, 0, 1).unsqueeze(0), dtype=training.dtype
        )
        with autocast(training.recipe.precision, training.device):
            prediction = predict(official, pixels, training.recipe.evaluation)
        images.append(np.asarray(image))
        truths.append(np.asarray(truth, dtype=np.uint8))
        predictions.append(prediction[0].to("cpu", torch.uint8).numpy())
    return encode(images, truths, predictions)
