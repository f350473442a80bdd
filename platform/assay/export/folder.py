"""An exported network: a folder with a program, its weights, and a document that describes both."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from assay import __version__
from assay.atomic import replace_folder
from assay.data.normalize import normalize
from assay.data.source import IGNORE
from assay.errors import UserError
from assay.export.check import CheckImages, CheckResult, Runnable, check, check_images
from assay.export.network import Trained, load_trained
from assay.export.program import Program, make_program
from assay.nets.flops import multiply_adds, parameters
from assay.nets.latency import conditions, latency
from assay.store.store import Store
from assay.training.model import DTYPES
from assay.values import to_json

PROGRAM = "model.pt2"
WEIGHTS = "weights.safetensors"
DOCUMENT = "model.json"


def export(store: Store, key: str, folder: Path, *, force: bool = False, threads: int = 1) -> dict[str, Any]:
    """Write the folder, which appears as a whole or not at all, and return its document."""
    with _explained(folder):
        _refuse_to_overwrite(folder, force=force)
    torch.set_num_threads(threads)
    trained = load_trained(store, key)
    images = check_images(store, trained)
    program = make_program(trained.network, sides=_sides(images))
    with _explained(folder), replace_folder(folder) as spool:
        return _write(spool, trained, program, images)


def _write(spool: Path, trained: Trained, program: Program, images: CheckImages) -> dict[str, Any]:
    (spool / PROGRAM).write_bytes(program.data)
    # Copies, since the format refuses tensors that share memory.
    state = {name: value.detach().clone() for name, value in trained.network.state_dict().items()}
    (spool / WEIGHTS).write_bytes(save(state, metadata={"format": "pt", "assay_key": trained.key}))
    result, read_program = check(spool / PROGRAM, spool / WEIGHTS, trained, program, images)
    document = _document(trained, program, result) | {"latency": _latency(trained, read_program, program)}
    (spool / DOCUMENT).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return document


def _latency(trained: Trained, read_program: Runnable, program: Program) -> dict[str, Any]:
    """Return the latency of the written program and of the eager network, for one training crop."""
    sides = program.sides or trained.experiment.recipe.augment.crop
    image = torch.zeros(1, 3, *sides, dtype=torch.uint8)
    pixels = normalize(image, trained.network.normalization, DTYPES[trained.experiment.recipe.precision])
    latencies = {"program": latency(read_program, image), "network": latency(trained.network, pixels)}
    return conditions(*sides) | {
        "milliseconds": {name: measured.milliseconds for name, measured in latencies.items()},
        "runs": {name: measured.runs for name, measured in latencies.items()},
    }


def _sides(images: CheckImages) -> tuple[int, int]:
    height, width = images.images[0].shape[1:]
    return height, width


def _document(trained: Trained, program: Program, checked: CheckResult) -> dict[str, Any]:
    """Return everything that a user of these files alone needs."""
    experiment, result, network = trained.experiment, trained.result, trained.network
    height, width = experiment.recipe.augment.crop
    return {
        "key": trained.key,
        "method": experiment.method.name,
        "network": result["official"],
        "classes": result["classes"],
        "palette": result["palette"],
        "ignore_index": IGNORE,
        "input": _input(program),
        "output": {
            "logits": ["batch", len(result["classes"]), "height", "width"],
            "prediction": "the position in `classes` of the largest logit of each pixel",
        },
        "weights_expect": {
            "mean": list(network.normalization.mean),
            "std": list(network.normalization.std),
            "note": f"{WEIGHTS} holds the network `net` alone, which expects (image / 255 - mean) / std; {PROGRAM}"
            " does this itself.",
        },
        "net": to_json(network.spec),
        "parameters": parameters(network),
        "multiply_adds": {"count": multiply_adds(network, height, width), "height": height, "width": width},
        "miou": result["miou"],
        "evaluation": to_json(experiment.recipe.evaluation),
        "precision": experiment.recipe.precision,
        "check": {
            "images": checked.images,
            "shapes": [list(shape) for shape in checked.shapes],
            "largest_difference_of_logits": {
                PROGRAM: checked.program_difference,
                WEIGHTS: checked.weights_difference,
            },
            "pixels_as_in_training": checked.as_in_training,
        },
        "versions": {"assay": __version__, "torch": str(torch.__version__)},
        "experiment": experiment.to_json(),
    }


def _input(program: Program) -> dict[str, Any]:
    """Return the description of the input. Height and width as words stand for any number, not only for multiples."""
    height, width = program.sides or ("height", "width")
    return {
        "images": ["batch", 3, height, width],
        "dtype": "uint8",
        "channels": "RGB",
        "range": [0, 255],
        "preprocessing": "none: decode the image and keep its size; the program normalises",
        "smallest_side": program.smallest if program.sides is None else None,
    }


# --- the folder ----------------------------------------------------------------------------------------------


def _refuse_to_overwrite(folder: Path, *, force: bool) -> None:
    """Raise a UserError, before any work, for a folder of other files, and for an export without `force`."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name another folder with --to.")
    foreign = sorted({path.name for path in folder.iterdir()} - {PROGRAM, WEIGHTS, DOCUMENT})
    if foreign:
        raise UserError(f"{folder} holds {foreign[0]}, which no export wrote; name another folder with --to.")
    if not force:
        raise UserError(f"{folder} exists already; replace it with --force, or name another folder with --to.")


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn a refusal of the operating system into a UserError in one sentence."""
    try:
        yield
    except OSError as problem:
        cause = problem.strerror or str(problem)
        raise UserError(f"cannot write {folder} ({cause}); name another folder with --to.") from problem
