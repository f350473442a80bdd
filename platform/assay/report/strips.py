"""Strips of validation images: what was to be seen, what is right, and what each row of a table predicted."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from assay.results.panel import IGNORE, Color, Panel

_HATCH = 254  # the colour of the hatching lines in a painted image
_HEIGHT = 160  # pixels that a picture is high at most


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strip:
    """Pictures that stand side by side, each as a data URI that a page can hold."""

    label: str
    uris: tuple[str, ...]


def strips(panels: Sequence[tuple[str, Panel]]) -> list[Strip]:
    """The images and truths, and below them each row's predictions; both again where a row saw other images."""
    found: list[Strip] = []
    shown: Panel | None = None
    for label, panel in panels:
        if shown is None or not panel.shows_the_same_as(shown):
            shown = panel
            found += [_photos(panel), _painted("Truth", panel.truths, panel)]
        found.append(_painted(label, panel.predictions, panel))
    return found


def _photos(panel: Panel) -> Strip:
    pictures = (_sized(Image.fromarray(image), Image.Resampling.LANCZOS) for image in panel.images)
    return Strip(label="Image", uris=tuple(map(_uri, pictures)))


def _painted(label: str, masks: np.ndarray, panel: Panel) -> Strip:
    table = _table(panel.palette)
    pictures = []
    for mask in masks:
        sized = _sized(Image.fromarray(mask), Image.Resampling.NEAREST)
        picture = Image.fromarray(_hatched(np.asarray(sized)))
        picture.putpalette(table)
        pictures.append(picture)
    return Strip(label=label, uris=tuple(map(_uri, pictures)))


def _table(palette: Sequence[Color]) -> list[int]:
    """256 colours: the classes', black for what is no class, grey for the hatching, white for IGNORE."""
    colors = [*palette, *[(0, 0, 0)] * (_HATCH - len(palette)), (160, 160, 160), (255, 255, 255)]
    return [channel for color in colors for channel in color]


def _hatched(mask: np.ndarray) -> np.ndarray:
    """Lines from corner to corner over what counts for nothing, so that white is not taken for a class."""
    down, across = np.indices(mask.shape)
    return np.where((mask == IGNORE) & ((down + across) % 6 == 0), _HATCH, mask).astype(np.uint8)


def _sized(picture: Image.Image, how: Image.Resampling) -> Image.Image:
    """A large picture made smaller; small ones enlarged by whole pixels, so that they stay sharp."""
    if picture.height > _HEIGHT:
        return picture.resize((max(1, round(picture.width * _HEIGHT / picture.height)), _HEIGHT), how)
    times = max(1, _HEIGHT // picture.height)
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
