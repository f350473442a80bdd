"""`assay doctor`: everything that is missing here, each with its place."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Callable

from assay.commands.common import add_places, places_of
from assay.errors import UserError
from assay.places import Places

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "pyarrow", "scipy", "rich")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    add_places(command)


def run(arguments: argparse.Namespace) -> int:
    """Check packages, data sets, lists and weights; 0 even where something is missing, since nothing need be here."""
    from assay.nets.spec import Encoder
    from assay.nets.weights import PRETRAINED, find_weights
    from assay.presets import PRESETS

    places = places_of(arguments)
    for package in PACKAGES:
        _report(package, lambda package=package: importlib.metadata.version(package))
    for name, preset in PRESETS.items():
        if name != "folder":
            source = preset()[0].source
            _report(f"data {name}", lambda source=source: _pools(source, places))
    _report("lists", lambda: _lists(places))
    for arch, stem, stem_width in PRETRAINED:
        spec = Encoder(arch=arch, stem=stem, stem_width=stem_width, weights="imagenet")
        title = f"weights {arch}" + (f" (deep stem {stem_width})" if stem == "deep" else "")
        _report(title, lambda spec=spec: str(find_weights(spec, places)))
    return 0


def _report(name: str, look: Callable[[], str]) -> None:
    try:
        print(f"ok       {name}: {look()}")
    except (UserError, importlib.metadata.PackageNotFoundError) as error:
        print(f"missing  {name}: {error}")


def _pools(source, places: Places) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return ", ".join(f"{pool} {len(source.ids(pool, places))}" for pool in source.pools())


def _lists(places: Places) -> str:
    if not places.splits.is_dir():
        raise UserError(f"no folder {places.splits}; name it with --splits or ASSAY_SPLITS.")
    return f"{len(list(places.splits.rglob('*.txt')))} in {places.splits}"
