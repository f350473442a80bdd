"""`assay show`: print an experiment and its result, from the store alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from assay.commands.common import KEY_HELP, add_out, document_of, key_in, store_of
from assay.store import records


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    command.add_argument("key", metavar="KEY", help=KEY_HELP)
    command.add_argument("--json", action="store_true", help="print the whole stored experiment and result as JSON")
    add_out(command)


def run(options: argparse.Namespace) -> int:
    """Print the state, the result or the last metrics, the errors, and the experiment of a key."""
    store = store_of(options)
    key = key_in(store, options.key)
    document = document_of(store, key)
    result = records.read_json(store, key, records.RESULT)
    if options.json:
        print(json.dumps({"experiment": document, "result": result}, indent=2))
        return 0
    state = records.state(store, key)
    print(f"{key}  {state.name}{f': {state.detail}' if state.detail else ''}")
    print(f"in {store.place(key)}")
    if result is not None:
        print(summary(document, result))
    else:
        _print_last_metrics(records.read_metrics(store, key))
    for failure in records.failures(store, key):
        print(f"failed: {failure['error']}")
    print(json.dumps(document["experiment"], indent=2))
    return 0


def _print_last_metrics(metrics: list[dict[str, Any]]) -> None:
    """Print the numbers of the newest line of metrics, mIoU and pixel accuracy in percent as everywhere."""
    from assay.results.history import is_in_percent

    if metrics:
        last = {name: value for name, value in metrics[-1].items() if not isinstance(value, list)}
        texts = (
            f"{name} {percent(value)} %" if is_in_percent(name) else f"{name} {value}" for name, value in last.items()
        )
        print("last line: " + "  ".join(texts))


def summary(document: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return the summary of a result in a few lines."""
    experiment = document["experiment"]
    data = result["data"]
    lines = [
        f"{experiment['method']['name']} on {experiment['data']['source']['name']}, seed {experiment['seed']}:"
        f" {data['labeled']['count']} labelled, {data['unlabeled']['count']} unlabelled,"
        f" {data['val']['count']} validation images",
        f"mIoU {percent(result['miou'])} ({result['official']}, last step {result['steps']});"
        f" best {percent(result['miou_best'])} at step {result['step_best']};"
        f" pixel accuracy {percent(result['pixel_accuracy'])}",
        "IoU: "
        + ", ".join(f"{name} {percent(value)}" for name, value in zip(result["classes"], result["iou"], strict=True)),
    ]
    lines += [f"{name}: mIoU {percent(score['miou'])}" for name, score in result["networks"].items()]
    lines += [f"{name}: {_size(name, cost, result.get('latency'))}" for name, cost in result["cost"].items()]
    lines.append(f"{result['seconds']:.0f} s, {result['device_seconds']:.0f} device seconds")
    if not result["same_bits"]:
        changed = "; ".join(change for session in result["sessions"] for change in session["changed"])
        lines.append("not the same bits as an uninterrupted training" + (f": {changed}" if changed else ""))
    lines += [f"note: {note}" for note in result["notes"]]
    for network, names in result["random_parameters"].items():
        lines.append(f"{network}: {len(names)} parameters of the encoder have no pre-trained weights")
    return "\n".join(lines)


def _size(name: str, cost: Mapping[str, Any], latency: Mapping[str, Any] | None) -> str:
    """Return the size of a network, and its latency where that was measured."""
    size = f"{cost['parameters'] / 1e6:.2f} M parameters, {cost['multiply_adds'] / 1e9:.3f} G multiply-adds"
    return f"{size}, {latency['milliseconds'][name]:.1f} ms on the {latency['device']}" if latency else size


def percent(share: float | None) -> str:
    """Return a share as a text in percent."""
    return "-" if share is None else f"{100 * share:.2f}"
