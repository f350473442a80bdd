"""Folders on this machine. They take no part in a key: a moved folder holds the same data."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from assay.errors import UserError

_VARIABLES = {"data": "ASSAY_DATA", "splits": "ASSAY_SPLITS", "weights": "ASSAY_WEIGHTS", "cache": "ASSAY_CACHE"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE = re.compile(r"file://(?:localhost)?(/.*)", re.IGNORECASE | re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """The folders that a training reads from, and the cache of what it has read."""

    data: Path = Path("data")  # one folder per data set, in its owner's layout
    splits: Path = Path("splits")  # published lists of labelled images
    weights: Path = Path("weights")  # encoder weights, one file per timm name
    cache: Path | None = None  # decoded images, which are read faster; None: there is no cache
    unspecified: frozenset[str] = frozenset()  # the names of the fields above that no flag set

    @classmethod
    def from_environment(
        cls,
        *,
        data: str | None = None,
        splits: str | None = None,
        weights: str | None = None,
        cache: str | None = None,
    ) -> Places:
        """Return the given folders; else those that ASSAY_DATA, ASSAY_SPLITS, ASSAY_WEIGHTS and ASSAY_CACHE name.

        Else data, splits and weights in the working folder, and no cache.
        """
        given = {"data": data, "splits": splits, "weights": weights, "cache": cache}
        named = {name: path or os.environ.get(_VARIABLES[name]) for name, path in given.items()}
        folders: dict[str, Any] = {name: _folder(path) for name, path in named.items() if path}
        default: dict[str, Any] = {name: _folder(name) for name in ("data", "splits", "weights")}
        return cls(**default | folders, unspecified=frozenset(name for name, path in given.items() if not path))

    def on_this_machine(self) -> Places:
        """Return the places for a worker on this machine, whose environment decides where no flag did."""
        paths = {name: os.environ.get(_VARIABLES[name]) for name in self.unspecified}
        folders: dict[str, Any] = {name: _folder(path) for name, path in paths.items() if path}
        return dataclasses.replace(self, **folders)


def out_folder(text: str, name: str = "--out") -> Path:
    """Return the folder that a user named, as a path or as file:///path. A relative path stays relative.

    name: the name of the flag or argument, for messages
    """
    file, scheme = _FILE.fullmatch(text), _SCHEME.match(text)
    if file:
        return Path(unquote(file[1]))
    if scheme and scheme[1].lower() == "file":
        raise UserError(
            f"{name} cannot be {text!r}: after file:// comes an absolute path, as in file:///shared/results."
        )
    if scheme:
        raise UserError(
            f"{name} cannot be {text!r}: results are written to folders of a file system, not to {scheme[1]}://; "
            "name a folder, for instance one where the bucket is mounted."
        )
    return Path(text).expanduser()


def _folder(path: str) -> Path:
    return Path(path).expanduser().absolute()
