"""The products of a finished training: its result as plain data, its weights, and a panel of a few predictions."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import torch
from torch import nn

from assay.collectives import rank, world_size
from assay.data.normalize import normalize
from assay.data.reading import read
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
# Sizes by network, crop and number of classes: in a gang, counting took longer than everything else between two short
# trainings, and equal networks are equally large.
_SIZES: dict[tuple[Net, int, int, int], dict[str, Any]] = {}


def result_of(training: Training, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the result as plain data. Scores are shares, not percent."""
    metrics, resolved = training.metrics, training.resolved
    official = next(iter(training.predictors()))
    source = resolved.experiment.data.source
    return {
        "key": resolved.key,
        "official": official,
        "steps": training.step,
        "miou": metrics.last[official]["miou"],
        "pixel_accuracy": metrics.last[official]["pixel_accuracy"],
        "iou": metrics.last[official]["iou"],
        "classes": list(source.classes()),
        "palette": [list(colour) for colour in source.palette()],
        "miou_best": metrics.best_miou,
        "step_best": metrics.best_step,
        "networks": metrics.last,
        "cost": _cost(training),
        "latency": _latency(training) if rank() == 0 else None,
        "data": {name: resolved.images.describe(name) for name in ("labeled", "unlabeled", "val")}
        | source.describe_labeled(resolved.images.labeled, training.places),
        "notes": [
            *training.notes(),
            *environment.notes(sessions),
        ],
        "random_parameters": random_parameters(training.nets),
        "accumulated": training.recipe.accumulate > 1,
        "seconds": round(metrics.seconds, 3),
        "device_seconds": round(metrics.seconds * world_size(), 3),
        "images_per_second": round(training.step * training.images_per_step() / max(metrics.seconds, 1e-9), 2),
        "peak_memory": _peak_memory(training.device),
        "sessions": sessions,
        "same_bits": _same_bits(training, sessions),
    }


def _same_bits(training: Training, sessions: list[dict[str, Any]]) -> bool:
    """Return whether an uninterrupted training would have given the same bits; on a GPU not even two of those agree."""
    interrupted = len(sessions) > 1
    return not any(session["changed"] for session in sessions) and not (interrupted and training.device.type != "cpu")


def _cost(training: Training) -> dict[str, dict[str, Any]]:
    """Return the parameters and multiply-adds of each network, and of its encoder alone, on one training crop."""
    height, width = training.recipe.augment.crop
    return {name: _size(net, height, width) for name, net in training.nets.items() if isinstance(net, Network)}


def _size(net: Network, height: int, width: int) -> dict[str, Any]:
    key = (net.spec, net.num_classes, height, width)
    if key not in _SIZES:
        _SIZES[key] = {**_count(net, height, width), "encoder": _count(net.encoder, height, width)}
    return _SIZES[key]


def _count(part: nn.Module, height: int, width: int) -> dict[str, int]:
    return {"parameters": parameters(part), "multiply_adds": multiply_adds(part, height, width)}


def _latency(training: Training) -> dict[str, Any]:
    """Return each network's latency on the CPU, teachers included, for the crop on which multiply-adds are counted."""
    height, width = training.recipe.augment.crop
    crop = torch.zeros(1, 3, height, width, dtype=training.dtype)
    training.nets.eval()
    milliseconds: dict[Net, float] = {}  # equal networks are equally fast
    times: dict[str, float] = {}
    for name, net in training.nets.items():
        if isinstance(net, Network):
            if net.spec not in milliseconds:
                on_cpu = net if training.device.type == "cpu" else copy.deepcopy(net).to("cpu")
                milliseconds[net.spec] = latency(on_cpu, crop).milliseconds
            times[name] = milliseconds[net.spec]
    return conditions(height, width) | {"milliseconds": times}


def _peak_memory(device: torch.device) -> int | None:
    """Return the peak memory on the GPU in bytes; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def stored_weights(store: Store) -> ReadWeights:
    """Return a function that reads the trained weights of an experiment from this store."""

    def read(key: str) -> bytes:
        weights = store.read(key, WEIGHTS)
        if weights is None:
            raise AssayError(f"{store.place(key)} holds no {WEIGHTS}: experiment {key} must be trained first.")
        return weights

    return read


def weights_of(training: Training) -> bytes:
    """Return the weights that this experiment trained, as the bytes of a file."""
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
        image, truth = read(source, image_id, training.places)
        pixels = torch.tensor(image, device=training.device).permute(2, 0, 1).unsqueeze(0)
        pixels = normalize(pixels, training.plan.normalization, training.dtype)
        with autocast(training.recipe.precision, training.device):
            prediction = predict(official, pixels, training.recipe.evaluation)
        images.append(np.asarray(image))
        truths.append(np.asarray(truth, dtype=np.uint8))
        predictions.append(prediction[0].to("cpu", torch.uint8).numpy())
    return encode(images, truths, predictions)
