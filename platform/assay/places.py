"""Where things lie on this machine. Nothing here takes part in a key: a moved folder is the same data."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Places:
    """The folders that a training reads from."""

    data: Path = Path("data")  # one folder per data set, in its owner's layout
    splits: Path = Path("splits")  # published lists of labelled images
    weights: Path = Path("weights")  # encoder weights, one file per timm name

    @classmethod
    def from_environment(
        cls, *, data: str | None = None, splits: str | None = None, weights: str | None = None
    ) -> Places:
        """What was asked for; else ASSAY_DATA, ASSAY_SPLITS, ASSAY_WEIGHTS; else folders of these names here."""

        def pick(asked: str | None, variable: str, default: str) -> Path:
            return Path(asked or os.environ.get(variable) or default).expanduser().absolute()

        return cls(
            data=pick(data, "ASSAY_DATA", "data"),
            splits=pick(splits, "ASSAY_SPLITS", "splits"),
            weights=pick(weights, "ASSAY_WEIGHTS", "weights"),
        )
