"""Where things lie on this machine. Nothing here takes part in a key: a moved folder is the same data."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from assay.errors import UserError

_VARIABLES = {"data": "ASSAY_DATA", "splits": "ASSAY_SPLITS", "weights": "ASSAY_WEIGHTS"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE = re.compile(r"file://(?:localhost)?(/.*)", re.IGNORECASE | re.DOTALL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """The folders that a training reads from."""

    data: Path = Path("data")  # one folder per data set, in its owner's layout
    splits: Path = Path("splits")  # published lists of labelled images
    weights: Path = Path("weights")  # encoder weights, one file per timm name
    unasked: frozenset[str] = frozenset()  # which of these nobody named

    @classmethod
    def from_environment(
        cls, *, data: str | None = None, splits: str | None = None, weights: str | None = None
    ) -> Places:
        """What was asked for; else ASSAY_DATA, ASSAY_SPLITS, ASSAY_WEIGHTS; else folders of these names here."""

        asked = {"data": data, "splits": splits, "weights": weights}
        return cls(
            **{name: _folder(named or os.environ.get(_VARIABLES[name]) or name) for name, named in asked.items()},
            unasked=frozenset(name for name, named in asked.items() if not named),
        )

    def on_this_machine(self) -> Places:
        """The places of a program whose work this process does: what nobody named is where this machine says."""
        told = {name: os.environ.get(_VARIABLES[name]) for name in self.unasked}
        own: dict[str, Any] = {name: _folder(path) for name, path in told.items() if path}
        return dataclasses.replace(self, **own)


def out_folder(written: str) -> Path:
    """The folder that is meant by OUT as a user wrote it, a path or file:///path; a relative path stays one."""
    file, scheme = _FILE.fullmatch(written), _SCHEME.match(written)
    if file:
        return Path(unquote(file[1]))
    if scheme and scheme[1].lower() == "file":
        raise UserError(
            f"OUT cannot be {written!r}: after file:// comes an absolute path, as in file:///shared/results."
        )
    if scheme:
        raise UserError(
            f"OUT cannot be {written!r}: results are written to folders of a file system, and {scheme[1]}:// is none; "
            "name a folder, for instance one where the bucket is mounted."
        )
    return Path(written).expanduser()


def _folder(path: str) -> Path:
    return Path(path).expanduser().absolute()
