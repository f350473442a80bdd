"""`assay export`: a finished experiment's network as files that need nothing of this program."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.commands.common import add_out, key_in, store_of
from assay.commands.show import percent
from assay.errors import FieldError
from assay.places import out_folder

ABOUT = """It writes a folder with
  model.pt2            a torch.export program: uint8 RGB images B x 3 x H x W in, logits B x C x H x W out;
                       torch.export.load(file).module() runs it without this program
  weights.safetensors  the network's tensors
  model.json           classes, preprocessing, sizes, scores, the experiment, and what the check found
and fails, leaving nothing, where the written files do not predict what the trained network predicts.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = ABOUT
    command.add_argument("key", metavar="KEY", help="a key, or its beginning")
    command.add_argument("--to", metavar="DIR", help="folder to write (default: export/KEY below OUT)")
    command.add_argument("--force", action="store_true", help="replace an earlier export there")
    command.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads with which latency is measured (default: 1)"
    )
    add_out(command)


def run(arguments: argparse.Namespace) -> int:
    """Export, check, measure, and say where it is."""
    if arguments.threads < 1:
        raise FieldError(f"--threads must be at least 1, got {arguments.threads}")
    store = store_of(arguments)
    key = key_in(store, arguments.key)
    to = Path(arguments.to).expanduser() if arguments.to else out_folder(arguments.out) / "export" / key
    folder = to.absolute()

    from assay.export.folder import export

    document = export(store, key, folder, force=arguments.force, threads=arguments.threads)
    print(summary(document))
    print(f"in {folder}")
    return 0


def summary(document: Mapping[str, Any]) -> str:
    """An export in a few lines."""
    lines = [
        f"{document['key']}: {document['network']} of {document['method']}, {len(document['classes'])} classes,"
        f" mIoU {percent(document['miou'])}",
        _takes(document["input"]) + f"; output {_shape(document['output']['logits'])} logits",
        _checked(document["check"]),
        _latency(document["latency"]),
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in _notes(document))])


def _takes(images: Mapping[str, Any]) -> str:
    sides = "" if images["smallest_side"] is None else f", sides from {images['smallest_side']} pixels"
    return f"input {_shape(images['images'])}, {images['dtype']} {images['channels']}{sides}"


def _shape(shape: list[object]) -> str:
    return " x ".join(map(str, shape))


def _checked(check: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name} {value:.1g}" for name, value in check["largest_difference_of_logits"].items())
    shapes = ", ".join(_shape([shape[0], *shape[2:]]) for shape in check["shapes"])
    stored = check["pixels_as_in_training"]
    again = "" if stored is None else f"; {percent(stored)} % of the pixels as predicted when the training ended"
    return f"checked on {check['images']} images ({shapes}): equal classes, logits differ by at most {said}{again}"


def _latency(latency: Mapping[str, Any]) -> str:
    times = ", ".join(f"{name} {value:.2f} ms" for name, value in latency["milliseconds"].items())
    threads = f"{latency['threads']} thread{'s' if latency['threads'] > 1 else ''}"
    return f"latency of 1 x {latency['height']} x {latency['width']}: {times} ({latency['device']}, {threads}, median)"


def _notes(document: Mapping[str, Any]) -> list[str]:
    """Where the files are not used as the mIoU was measured."""
    evaluation, found = document["evaluation"], []
    if evaluation["mode"] != "whole" or evaluation["scales"] != [1.0] or evaluation["flip"]:
        found.append(
            "the mIoU was measured by the protocol in model.json's `evaluation`, and one run of the program predicts"
            " whole images once"
        )
    if document["precision"] == "bf16":
        found.append("the mIoU was measured in bf16, and the files compute in float32")
    if document["input"]["smallest_side"] is None:
        found.append("torch.export could not trace this network for other sizes of images")
    return found
