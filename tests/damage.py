"""Damaged and unusual files: each function writes one into a folder of images and returns the path to be named."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 24
CLASSES = 3
_FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".gif": "GIF", ".tif": "TIFF"}
_RNG = np.random.default_rng(0)


def pixels(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return _RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def labels(height: int = HEIGHT, width: int = WIDTH, *, num_classes: int = CLASSES) -> np.ndarray:
    return _RNG.integers(0, num_classes, (height, width), dtype=np.uint8)


def write_folder(root: Path, *, train: int = 4, val: int = 2, suffix: str = ".jpg") -> Path:
    """Write `<root>/{train,val}/{images,masks}` with images 0, 1, … and their masks."""
    for pool, number in (("train", train), ("val", val)):
        for index in range(number):
            write_pair(root / pool, str(index), suffix)
    return root


def write_pair(folder: Path, stem: str, suffix: str = ".jpg") -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels()).save(folder / "images" / f"{stem}{suffix}")
    Image.fromarray(labels()).save(folder / "masks" / f"{stem}.png")


def encoded(image: Image.Image, suffix: str, **options: object) -> bytes:
    """Return an image as the content of a file with this suffix."""
    content = io.BytesIO()
    image.save(content, _FORMATS[suffix], **options)
    return content.getvalue()


def png(width: int, height: int, *, bits: int, colour: int, rows: bytes, interlaced: bool = False) -> bytes:
    """Return a PNG made by hand. colour: 0 for grey, 2 for RGB, 3 for a palette."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def replace(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
