"""Images drawn by the program: no file is needed, and every image is a function of (seed, index).

Each class has a colour and a shape. Colours vary from object to object and overlap between classes, so neither colour
nor shape alone is enough. Objects cover each other, and the ground has a texture.
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

# The difficulty of the task: tuned on Supervised alone, to give a mIoU of 50 to 60 with 1/16 of the labels.
OBJECTS = (4, 7)  # per image, both ends included
RADIUS = (0.12, 0.26)  # of an object, as a share of the image's side
COLOUR_SPREAD = 34.0  # standard deviation of an object's colour around its class's, per channel
PIXEL_NOISE = 15.0  # standard deviation of every pixel
TEXTURE = 30.0  # amplitude of the waves on ground and objects
LIGHT = (0.7, 1.2)  # factor on the whole image

Colour = tuple[int, int, int]
# A mask over coordinates (u, v) in [-1, 1] around an object's centre.
Form = Callable[[np.ndarray, np.ndarray], np.ndarray]

_FORMS: dict[str, Form] = {
    "disc": lambda u, v: u * u + v * v <= 1,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) <= 0.85,
    "triangle": lambda u, v: (v <= 0.8) & (v >= 2 * abs(u) - 1),
    "ring": lambda u, v: (u * u + v * v <= 1) & (u * u + v * v >= 0.3),
    "cross": lambda u, v: (np.minimum(abs(u), abs(v)) <= 0.3) & (np.maximum(abs(u), abs(v)) <= 1),
    "diamond": lambda u, v: abs(u) + abs(v) <= 1,
    "bar": lambda u, v: (abs(u) <= 1) & (abs(v) <= 0.4),
    "half disc": lambda u, v: (u * u + v * v <= 1) & (v >= 0),
    "frame": lambda u, v: (np.maximum(abs(u), abs(v)) <= 0.9) & (np.maximum(abs(u), abs(v)) >= 0.5),
    "corner": lambda u, v: (np.maximum(abs(u), abs(v)) <= 0.9) & ((u <= -0.3) | (v >= 0.3)),
}
_WORLDS: tuple[dict[str, Colour], ...] = (
    {
        "ground": (96, 96, 96),
        "disc": (176, 76, 70),
        "square": (80, 142, 92),
        "triangle": (84, 104, 178),
        "ring": (188, 150, 74),
        "cross": (142, 84, 160),
    },
    {
        "ground": (126, 118, 104),
        "diamond": (70, 150, 160),
        "bar": (190, 112, 60),
        "half disc": (160, 166, 78),
        "frame": (98, 86, 156),
        "corner": (176, 92, 122),
    },
)


class Shapes(Source):
    """Drawn images of six classes. The two worlds share no colours and no shapes."""

    name = "shapes"
    world: Literal[0, 1] = param(default=0)
    size: int = param(default=32, low=16, help="height and width")
    num_train: int = param(default=960, low=1)
    num_val: int = param(default=240, low=1)
    seed: int = param(default=0, low=0, help="seed of the drawing, not of the training")

    def classes(self) -> tuple[str, ...]:
        return tuple(_WORLDS[self.world])

    def palette(self) -> tuple[Colour, ...]:
        return tuple(_WORLDS[self.world].values())

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
    rng = generator(seed, "shapes", world, pool, index)
    names, colours = zip(*_WORLDS[world].items(), strict=True)
    rows, columns = np.mgrid[0:size, 0:size] / size
    mask = np.zeros((size, size), dtype=np.uint8)
    canvas = np.empty((size, size, 3))
    canvas[:] = rng.normal(colours[0], COLOUR_SPREAD / 2)
    canvas += _waves(rng, rows, columns)
    for _ in range(rng.integers(OBJECTS[0], OBJECTS[1] + 1)):
        label = int(rng.integers(1, len(names)))
        inside = _object_mask(rng, _FORMS[names[label]], rows, columns)
        mask[inside] = label
        canvas[inside] = (rng.normal(colours[label], COLOUR_SPREAD) + _waves(rng, rows, columns))[inside]
    canvas = canvas * rng.uniform(*LIGHT) + rng.normal(0, PIXEL_NOISE, canvas.shape)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    image.setflags(write=False)
    mask.setflags(write=False)
    return image, mask


def _object_mask(rng: np.random.Generator, form: Form, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the mask of one object: a form at any position, of any allowed size, slightly turned."""
    radius, top, left = rng.uniform(*RADIUS), rng.uniform(0, 1), rng.uniform(0, 1)
    turn = rng.uniform(-0.5, 0.5)
    v, u = (rows - top) / radius, (columns - left) / radius
    return form(u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn))


def _waves(rng: np.random.Generator, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return a grey texture: one wave in any direction."""
    along, across, phase = rng.uniform(-40, 40), rng.uniform(-40, 40), rng.uniform(0, 2 * np.pi)
    return (TEXTURE * rng.uniform(0, 1) * np.sin(along * rows + across * columns + phase))[..., None]
