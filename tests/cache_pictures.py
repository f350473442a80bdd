"""A folder of images, and a process that reads them through a cache, for tests of the cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from assay.data.sources import Folder
from assay.places import Places

SIZE = (20, 30)
SOURCE = Folder(path="pictures", num_labels=9)
# Arguments: the data root, the cache, a line of Python to run first. Prints a line for each image that it has read,
# and at the end how many images it decoded.
READ_ALL = """
import sys
from pathlib import Path
from assay.data import cache, reading
from assay.data.sources import Folder
from assay.places import Places

cache.TIME_STEP = 0.0
decoded = []

class Counting(Folder):
    name = "folder"

    def read(self, image_id, places):
        decoded.append(image_id)
        return super().read(image_id, places)

root, folder, first = sys.argv[1:]
places = Places(data=Path(root), cache=Path(folder))
source = Counting(path="pictures", num_labels=9)
exec(first)
for image_id in source.ids("train", places):
    reading.read(source, image_id, places)
    print(image_id, flush=True)
print(len(decoded))
"""


def write_pictures(root: Path, *, count: int = 12, seed: int = 0) -> Places:
    """Write JPEGs and masks, and return where they are."""
    rng = np.random.default_rng(seed)
    for name in ("train/images", "train/masks", "val/images", "val/masks"):
        (root / "pictures" / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pool = "val" if index == 0 else "train"
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        mask = rng.integers(0, 9, SIZE, dtype=np.uint8)
        Image.fromarray(image).save(root / "pictures" / pool / "images" / f"{index:03}.jpg")
        Image.fromarray(mask).save(root / "pictures" / pool / "masks" / f"{index:03}.png")
    return Places(data=root)


def reader(root: Path, cache: Path, first: str = "") -> subprocess.Popen[str]:
    """Start a process that reads all training images."""
    command = [sys.executable, "-c", READ_ALL, str(root), str(cache), first]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    """Return the lines that a process printed, and its stderr; raise an error if it failed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines(), err
