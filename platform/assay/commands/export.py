"""`assay export`: write a finished experiment's network as files that do not need this program."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.commands.common import KEY_HELP, add_out, key_in, store_of
from assay.commands.show import percent
from assay.errors import FieldError
from assay.places import out_folder
from assay.wording import count

ABOUT = """The command writes a folder with
  model.pt2            a torch.export program: uint8 RGB images B x 3 x H x W in, logits B x C x H x W out;
                       torch.export.load(file).module() runs it without this program
  weights.safetensors  the network's tensors
  model.json           classes, preprocessing, sizes, scores, the experiment, and the result of the check
The command fails, and writes nothing, where the files' predictions differ from the trained network's.
"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = ABOUT
    command.add_argument("key", metavar="KEY", help=KEY_HELP)
    command.add_argument("--to", metavar="DIR", help="folder to write (default: export/KEY in the folder of results)")
    command.add_argument("--force", action="store_true", help="replace an earlier export in that folder")
    command.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads for the measurement of latency (default: 1)"
    )
    add_out(command)


def run(options: argparse.Namespace) -> int:
    """Export, check and measure a network, and print a summary and the folder."""
    if options.threads < 1:
        raise FieldError(f"--threads must be at least 1, got {options.threads}")
    store = store_of(options)
    key = key_in(store, options.key)
    to = Path(options.to).expanduser() if options.to else out_folder(options.out) / "export" / key
    folder = to.absolute()

    from assay.export.folder import export

    document = export(store, key, folder, force=options.force, threads=options.threads)
    print(summary(document))
    print(f"in {folder}")
    return 0


def summary(document: Mapping[str, Any]) -> str:
    """Return the summary of an export in a few lines."""
    lines = [
        f"{document['key']}: {document['network']} of {document['method']}, {len(document['classes'])} classes,"
        f" mIoU {percent(document['miou'])}",
        _input(document["input"]) + f"; output {_shape(document['output']['logits'])} logits",
        _check(document["check"]),
        _latency(document["latency"]),
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in _notes(document))])


def _input(images: Mapping[str, Any]) -> str:
    sides = "" if images["smallest_side"] is None else f", sides from {images['smallest_side']} pixels"
    return f"input {_shape(images['images'])}, {images['dtype']} {images['channels']}{sides}"


def _shape(shape: list[object]) -> str:
    return " x ".join(map(str, shape))


def _check(check: Mapping[str, Any]) -> str:
    differences = ", ".join(f"{name} {value:.1g}" for name, value in check["largest_difference_of_logits"].items())
    shapes = ", ".join(_shape([shape[0], *shape[2:]]) for shape in check["shapes"])
    stored = check["pixels_as_in_training"]
    again = "" if stored is None else f"; {percent(stored)} % of the pixels as predicted when the training ended"
    return (
        f"checked on {check['images']} images ({shapes}): equal classes, logits differ by at most {differences}{again}"
    )


def _latency(latency: Mapping[str, Any]) -> str:
    times = ", ".join(f"{name} {value:.2f} ms" for name, value in latency["milliseconds"].items())
    threads = count(latency["threads"], "thread")
    return f"latency of 1 x {latency['height']} x {latency['width']}: {times} ({latency['device']}, {threads}, median)"


def _notes(document: Mapping[str, Any]) -> list[str]:
    """Return notes on differences between the use of these files and the measurement of the mIoU."""
    evaluation, notes = document["evaluation"], []
    if evaluation["mode"] != "whole" or evaluation["scales"] != [1.0] or evaluation["flip"]:
        notes.append(
            "the mIoU was measured by the protocol in model.json's `evaluation`, while one run of the program predicts"
            " whole images once"
        )
    if document["precision"] == "bf16":
        notes.append("the mIoU was measured in bf16, while the files compute in float32")
    if document["input"]["smallest_side"] is None:
        notes.append("torch.export could not trace this network for other sizes of images")
    return notes
