"""`assay doctor`: everything that is missing here, each with its place."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assay.commands.common import add_places, places_of
from assay.errors import UserError
from assay.places import Places

if TYPE_CHECKING:
    from assay.data.source import Source
    from assay.nets.spec import Encoder

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors", "rich")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    add_places(command)


def run(arguments: argparse.Namespace) -> int:
    """Check packages, data sets, lists and weights; 0 even where something is missing, since nothing need be here."""
    from assay.data.lists import PUBLISHED
    from assay.nets.spec import Encoder
    from assay.nets.weights import PRETRAINED
    from assay.overrides import apply, overrides_of
    from assay.presets import PRESETS

    places = places_of(arguments)
    for package in PACKAGES:
        _report(package, partial(importlib.metadata.version, package))
    for name, preset in PRESETS.items():
        if name != "folder":
            _report(f"data {name}", partial(_pools, preset()[0].source, places))
    for folder, names in PUBLISHED.items():
        _report(f"lists {folder}", partial(_lists, places.splits / folder, names))
    for arch, stem, stem_width in PRETRAINED:
        kind = {"stem": "deep", "stem_width": stem_width} if stem == "deep" else {}
        spec = apply(Encoder(arch=arch, weights="imagenet"), overrides_of(kind, "the table of weights"))
        title = f"weights {arch}" + (f" (deep stem {stem_width})" if stem == "deep" else "")
        _report(title, partial(_weights, spec, places))
    return 0


def _report(name: str, look: Callable[[], str]) -> None:
    try:
        print(f"ok       {name}: {look()}")
    except (UserError, importlib.metadata.PackageNotFoundError) as error:
        print(f"missing  {name}: {error}")


def _pools(source: Source, places: Places) -> str:
    from assay.data.source import DataMissing

    found = ", ".join(f"{pool} {len(source.ids(pool, places))}" for pool in source.pools())
    notes = [note for pool in source.pools() for note in source.notes(pool, places)]
    if notes:
        raise DataMissing(" ".join(notes))
    return found


def _lists(folder: Path, names: tuple[str, ...]) -> str:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(names)} are not in {folder}: {', '.join(missing)}; name the folder of all lists"
            " with --splits or ASSAY_SPLITS."
        )
    return f"{len(names)} in {folder}"


def _weights(spec: Encoder, places: Places) -> str:
    from assay.nets.weights import find_weights

    return str(find_weights(spec, places))
