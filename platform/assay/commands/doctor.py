"""`assay doctor`: print the machine, what is missing and where it belongs, and the needs of each study."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from assay.commands.common import add_places, places_of
from assay.places import Places
from assay.wording import count

if TYPE_CHECKING:
    from assay.nets.spec import Encoder

PACKAGES = (
    *("torch", "torchvision", "numpy", "pillow", "timm", "safetensors", "rich", "ray", "pandas", "pyarrow", "scipy"),
    *("matplotlib", "jinja2", "optuna", "cmaes", "scikit-learn"),
)
STUDIES = Path("studies")  # in the working folder, as in a checkout


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    add_places(command)


def run(options: argparse.Namespace) -> int:
    """Print everything; return 0 even where something is missing, since no study needs all of it."""
    places = places_of(options)
    _print_machine()
    _print_packages()
    _print_data(places)
    _print_lists(places)
    _print_weights(places)
    _print_studies(places)
    return 0


def _print(title: str, text: str) -> None:
    print(f"{title:10} {text}", flush=True)


def _print_ok(text: str) -> None:
    _print("  ok", text)


def _print_missing(text: str) -> None:
    _print("  missing", text)


def _print_machine() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpus = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in Path("/dev").glob("nvidia*"))
    parts = [f"{platform.system()} {platform.machine()}", count(cores, "core"), f"{memory:.0f} GiB of memory"]
    _print("machine", ", ".join([*parts, count(gpus, "NVIDIA GPU") if gpus else "no NVIDIA GPU"]))


def _print_packages() -> None:
    versions = {package: _version(package) for package in PACKAGES}
    installed = [f"{package} {version}" for package, version in versions.items() if version]
    _print("packages", ", ".join([f"Python {platform.python_version()}", *installed]))
    missing = [package for package, version in versions.items() if not version]
    if missing:
        _print_missing(f"{', '.join(missing)}; install them with pip install -e .")


def _version(package: str) -> str | None:
    """Return the version of a package without importing it: torch and ray take seconds."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _print_data(places: Places) -> None:
    from assay.commands.data_report import report
    from assay.presets import PRESETS

    _print("data", _place(places.data, "--data-root", "ASSAY_DATA"))
    missing: list[str] = []
    for name, preset in PRESETS.items():
        if name == "folder":
            continue  # any folder of images: only the user knows which
        data = report(preset()[0].source, places)
        if data.status == "missing" and not places.data.is_dir():
            missing.append(name)
        else:
            _print(f"  {data.status}", data.describe())
    if missing:
        _print_missing(", ".join(missing))


def _print_lists(places: Places) -> None:
    from assay.data import published
    from assay.data.lists import own_lists

    own = own_lists(places)
    _print("lists", f"{count(len(own), 'own list')} in {places.splits} (--splits or ASSAY_SPLITS)")
    for origin in published.origins():
        _print_ok(f"{origin.folder}: {count(len(published.lists_of(origin.folder)), 'list')}, part of this package")
    _print("  note", f"{published.NOT_PACKED}; in that folder they are used as data.split.labeled=split_0.pkl:106")


def _print_weights(places: Places) -> None:
    from assay.nets.lite import INSTALL, PACKAGED
    from assay.nets.weights import WeightsMissing, find_weights

    _print("weights", _place(places.weights, "--weights", "ASSAY_WEIGHTS"))
    missing: list[str] = []
    in_packages: list[str] = []  # of the missing ones
    for name, encoder in _pretrained_encoders().items():
        try:
            _print_ok(f"{name}: {find_weights(encoder, places)}")
        except WeightsMissing:
            (in_packages if name in PACKAGED else missing).append(name)
    if in_packages:
        _print_missing(f"{', '.join(in_packages)}; install them with {INSTALL}")
    if missing:
        _print_missing(
            f"{', '.join(missing)}; put NAME.safetensors (or .pth) into that folder, where neither Hugging Face's nor"
            " torch's cache has it"
        )


def _pretrained_encoders() -> dict[str, Encoder]:
    """Return an encoder for each published weights file, by the name of the weights."""
    from assay.nets.spec import Encoder
    from assay.nets.weights import PRETRAINED, PUBLISHED_ELSEWHERE
    from assay.overrides import apply, overrides_of

    encoders: dict[str, Encoder] = {}
    for (arch, stem, stem_width), name in PRETRAINED.items():
        changes = {"stem": "deep", "stem_width": stem_width} if stem == "deep" else {}
        encoder = apply(Encoder(arch=arch, weights="imagenet"), overrides_of(changes, "the table of weights"))
        encoders.setdefault(name, encoder)
    others = {name: Encoder(arch=arch, weights="imagenet") for arch, (name, _) in PUBLISHED_ELSEWHERE.items()}
    return encoders | others


def _print_studies(places: Places) -> None:
    from assay.commands.study_needs import MissingInputs, needs_of, read_studies

    if not STUDIES.is_dir():
        _print("studies", f"none: there is no folder {STUDIES} here; run this command in a checkout")
        return
    _print("studies", f"in {STUDIES.absolute()}, by profile")
    missing = MissingInputs(places)
    for script, study in read_studies(STUDIES):
        if isinstance(study, Exception):
            print(f"  {script.name} cannot be read ({type(study).__name__}: {study})")
            continue
        profiles: dict[str, list[str]] = {}
        for needs in needs_of(study, missing):
            profiles.setdefault(needs.describe(), []).append(needs.profile)
        for text, names in profiles.items():
            print(f"  {study.name}, {', '.join(names)}: {text}", flush=True)


def _place(folder: Path, flag: str, variable: str) -> str:
    """Return a folder, with the cure where it does not exist."""
    absent = f", which does not exist; create it, or name another folder with {flag} or {variable}"
    return f"in {folder}{'' if folder.is_dir() else absent}"
