"""Strips of pictures: validation images, their ground truth, and the predictions of a table's rows."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from assay.results.panel import IGNORE, Color, Panel

_HATCH = 254  # the index of the hatching lines' colour
_HEIGHT = 160  # the largest height of a picture, in pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strip:
    """Pictures that stand side by side, as data URIs."""

    label: str
    uris: tuple[str, ...]


def strips(panels: Sequence[tuple[str, Panel]]) -> list[Strip]:
    """Return the images and truths, then the predictions of each row.

    A row that was evaluated on other images gets its own images and truths above its predictions.
    """
    result: list[Strip] = []
    shown: Panel | None = None
    for label, panel in panels:
        if shown is None or not panel.shows_the_same_as(shown):
            shown = panel
            result += [_image_strip(panel), _mask_strip("Truth", panel.truths, panel)]
        result.append(_mask_strip(label, panel.predictions, panel))
    return result


def _image_strip(panel: Panel) -> Strip:
    pictures = (_resized(Image.fromarray(image), Image.Resampling.LANCZOS) for image in panel.images)
    return Strip(label="Image", uris=tuple(map(_uri, pictures)))


def _mask_strip(label: str, masks: np.ndarray, panel: Panel) -> Strip:
    colors = _color_table(panel.palette)
    pictures = []
    for mask in masks:
        resized = _resized(Image.fromarray(mask), Image.Resampling.NEAREST)
        picture = Image.fromarray(_hatched(np.asarray(resized)))
        picture.putpalette(colors)
        pictures.append(picture)
    return Strip(label=label, uris=tuple(map(_uri, pictures)))


def _color_table(palette: Sequence[Color]) -> list[int]:
    """Return 256 colours: the classes', black for indices of no class, grey for the hatching, white for IGNORE."""
    colors = [*palette, *[(0, 0, 0)] * (_HATCH - len(palette)), (160, 160, 160), (255, 255, 255)]
    return [channel for color in colors for channel in color]


def _hatched(mask: np.ndarray) -> np.ndarray:
    """Return the mask with diagonal lines over ignored pixels, so that their white is not taken for a class."""
    down, across = np.indices(mask.shape)
    return np.where((mask == IGNORE) & ((down + across) % 6 == 0), _HATCH, mask).astype(np.uint8)


def _resized(picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
    """Return the picture at most _HEIGHT high; a small one is enlarged by a whole factor and stays sharp."""
    if picture.height > _HEIGHT:
        return picture.resize((max(1, round(picture.width * _HEIGHT / picture.height)), _HEIGHT), resampling)
    factor = max(1, _HEIGHT // picture.height)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
