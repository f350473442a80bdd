"""`assay status`: list the experiments of a store, one on each line."""

from __future__ import annotations

import argparse

from assay.commands.common import add_out, store_of
from assay.commands.show import percent
from assay.store import records
from assay.store.store import DamagedDocument, Store


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    add_out(command)


def run(options: argparse.Namespace) -> int:
    """Print a line for each key."""
    store = store_of(options)
    keys = store.keys()
    if not keys:
        print(f"no experiment in {store.describe()}")
        return 0
    print(f"{'key':16}  {'state':11}  {'method':14}  {'data':8}  {'seed':>4}  {'step':>7}  mIoU")
    for key in keys:
        try:
            print(_line(store, key))
        except DamagedDocument as damage:
            print(f"{key:16}  {'damaged':11}  {damage}")
    return 0


def _line(store: Store, key: str) -> str:
    document = records.read_json(store, key, records.EXPERIMENT)
    state = records.state(store, key)
    if document is None:
        return f"{key:16}  {state.name:11}"
    experiment = document["experiment"]
    result = records.read_json(store, key, records.RESULT)
    metrics = [] if result else records.read_metrics(store, key)
    step = result["steps"] if result else (metrics[-1]["step"] if metrics else 0)
    miou = percent(result["miou"]) if result else "-"
    method, data = experiment["method"]["name"], experiment["data"]["source"]["name"]
    detail = f"  {state.detail}" if state.name == "failed" else ""
    return f"{key:16}  {state.name:11}  {method:14}  {data:8}  {experiment['seed']:>4}  {step:>7}  {miou}{detail}"
