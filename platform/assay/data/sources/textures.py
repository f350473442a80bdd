"""Images drawn by the program: no file is needed, and every image is a function of (seed, index).

A class is a texture. Two to four large objects, each with one class's texture, lie before a smooth ground. Colours,
light and outlines are drawn at random for every object, so colour says nothing about the class. As in photographs,
colour changes keep the class, a part of an object shows its class, and objects cover each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from assay.data.draws import generator
from assay.data.source import Source
from assay.places import Places
from assay.values import param

# The difficulty of the task, chosen by the numbers of Supervised (studies/LOG.md has every try).
OBJECTS = (2, 4)  # per image, both ends included
RADIUS = (0.22, 0.42)  # of an object, as a share of the image's side
OUTLINE = 0.18  # largest deviation of an outline from a circle, as a share of the radius, for each of two waves
PERIOD = (5.0, 7.5)  # of a texture, in pixels
TILT = 0.25  # largest turn of a texture, in radians
CONTRAST = (30.0, 60.0)  # of a texture: amplitude in 256 steps, as a distance in colour space
TINT = 0.6  # standard deviation of each channel's share in a texture's contrast, around 1
COLOUR = (60.0, 195.0)  # range of an object's mean colour, per channel
SLOPE = 35.0  # largest change of light from the centre of an image or object to its edge
PIXEL_NOISE = 11.0  # standard deviation of every pixel

Colour = tuple[int, int, int]
# A texture's values in [-1, 1] at phases (across, along) that turn by 2 π in a period. Random numbers for its own use.
Texture = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _rows(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin(across)


def _columns(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin(along)


def _checks(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(2 * np.sin(across) * np.sin(along), -1, 1)


def _dots(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(1.5 * (np.cos(across) + np.cos(along)) - 1, -1, 1)


def _grain(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1, 1, across.shape)


def _diagonals(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin((across + rng.choice((-1, 1)) * along) * np.sqrt(0.5))


def _diamonds(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _checks((across + along) * np.sqrt(0.5), (across - along) * np.sqrt(0.5), rng)


def _weave(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _checks(2.2 * across, 2.2 * along, rng)


def _specks(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.uniform(0, 1, across.shape) < 0.2, 1.0, -0.4)


def _waves(across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin(across + 2 * np.sin(along / 2))


_WORLDS: tuple[dict[str, tuple[Colour, Texture | None]], ...] = (
    {
        "ground": ((72, 74, 82), None),
        "rows": ((214, 94, 78), _rows),
        "columns": ((84, 138, 206), _columns),
        "checks": ((236, 184, 84), _checks),
        "dots": ((104, 170, 110), _dots),
        "grain": ((166, 118, 190), _grain),
    },
    {
        "ground": ((78, 74, 70), None),
        "diagonals": ((226, 132, 66), _diagonals),
        "diamonds": ((74, 158, 168), _diamonds),
        "weave": ((196, 92, 130), _weave),
        "specks": ((178, 176, 92), _specks),
        "waves": ((110, 120, 196), _waves),
    },
)


class Textures(Source):
    """Drawn images of a ground and five textures. The two worlds share no texture."""

    name = "textures"
    world: Literal[0, 1] = param(default=0)
    size: int = param(default=32, low=16, help="height and width")
    num_train: int = param(default=640, low=1)
    num_val: int = param(default=240, low=1)
    seed: int = param(default=0, low=0, help="seed of the drawing, not of the training")

    def classes(self) -> tuple[str, ...]:
        return tuple(_WORLDS[self.world])

    def palette(self) -> tuple[Colour, ...]:
        return tuple(colour for colour, _ in _WORLDS[self.world].values())

    def lies_below_data_root(self) -> bool:
        return False

    def pools(self) -> tuple[str, ...]:
        return ("train", "val")

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        count = self.num_train if pool == "train" else self.num_val
        return tuple(f"{pool}-{index:06}" for index in range(count))

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        pool, _, index = image_id.rpartition("-")
        return _draw(self.world, self.size, self.seed, pool, int(index))


@functools.lru_cache(maxsize=2048)
def _draw(world: int, size: int, seed: int, pool: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image and its mask. Both are read-only, because the cache shares them between readers."""
    rng = generator(seed, "textures", world, pool, index)
    textures = [texture for _, texture in _WORLDS[world].values() if texture is not None]
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    mask = np.zeros((size, size), dtype=np.uint8)
    canvas = rng.uniform(*COLOUR, 3) + _light(rng, rows / size - 0.5, columns / size - 0.5)
    for _ in range(rng.integers(OBJECTS[0], OBJECTS[1] + 1)):
        label = int(rng.integers(len(textures)))
        top, left = rng.uniform(0, size, 2)
        down, right = rows - top, columns - left
        inside = _blob(rng, down, right, rng.uniform(*RADIUS) * size)
        mask[inside] = label + 1
        canvas[inside] = _surface(rng, textures[label], down, right, size)[inside]
    canvas += rng.normal(0, PIXEL_NOISE, canvas.shape)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    image.setflags(write=False)
    mask.setflags(write=False)
    return image, mask


def _blob(rng: np.random.Generator, down: np.ndarray, right: np.ndarray, radius: float) -> np.ndarray:
    """Return the mask of an object: a circle around the origin, whose radius varies in two waves."""
    angle = np.arctan2(down, right)
    waves = [OUTLINE * rng.uniform(0, 1) * np.sin(turns * angle + rng.uniform(0, 2 * np.pi)) for turns in (2, 3)]
    return np.hypot(down, right) <= radius * (1 + waves[0] + waves[1])


def _surface(rng: np.random.Generator, texture: Texture, down: np.ndarray, right: np.ndarray, size: int) -> np.ndarray:
    """Return the colours of an object: a mean, a texture along one direction of colour space, and light."""
    turn, frequency = rng.uniform(-TILT, TILT), 2 * np.pi / rng.uniform(*PERIOD)
    across = frequency * (down * np.cos(turn) - right * np.sin(turn)) + rng.uniform(0, 2 * np.pi)
    along = frequency * (right * np.cos(turn) + down * np.sin(turn)) + rng.uniform(0, 2 * np.pi)
    direction = 1 + TINT * rng.normal(size=3)  # lighter and darker, with a tint: grey images keep their textures
    amplitude = rng.uniform(*CONTRAST) * rng.choice((-1, 1)) * direction / np.linalg.norm(direction)
    colours = rng.uniform(*COLOUR, 3) + texture(across, along, rng)[..., None] * amplitude
    return colours + _light(rng, down / size, right / size)


def _light(rng: np.random.Generator, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return a change of light with a constant slope in any direction."""
    turn = rng.uniform(0, 2 * np.pi)
    return (rng.uniform(0, 2 * SLOPE) * (np.cos(turn) * down + np.sin(turn) * right))[..., None]
