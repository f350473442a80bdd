"""A file that holds one decoded image and its mask, as bytes that readers map into memory.

The file appears with its name only when it is complete, and no process changes it afterwards. So a reader finds a
whole image or none, and a mapped image stays valid after the file's name is gone.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np

from assay import atomic
from assay.data.source import IGNORE

FORMAT = 1  # of the file
_HEADER = struct.Struct("<16s32sII?7x")  # magic, hash of the origin, height, width, has a mask; 64 bytes
_MAGIC = f"assay decoded {FORMAT}".encode().ljust(16)


def write(path: Path, origin: bytes, image: np.ndarray, mask: np.ndarray) -> None:
    """Write an image (H x W x 3, uint8) and its mask (H x W, uint8).

    origin: a hash (32 bytes) of what the image was decoded from
    """
    height, width = mask.shape
    has_mask = bool((mask != IGNORE).any())  # an image without labels needs no room for them
    header = _HEADER.pack(_MAGIC, origin, height, width, has_mask)
    atomic.replace(path, b"".join((header, image.tobytes(), mask.tobytes() if has_mask else b"")))


def read(path: Path, origin: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Return an image and its mask, which are read-only and read from the disk page by page where they are used.

    Return None where there is no file, or where it was decoded from something else.
    """
    try:
        with path.open("rb", buffering=0) as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # a ValueError means an empty file
        return None
    if len(content) < _HEADER.size:
        return None
    magic, stored_origin, height, width, has_mask = _HEADER.unpack_from(content)
    pixels = height * width
    if (magic, stored_origin) != (_MAGIC, origin) or len(content) != _HEADER.size + pixels * (3 + has_mask):
        return None
    image = np.frombuffer(content, np.uint8, 3 * pixels, _HEADER.size).reshape(height, width, 3)
    if not has_mask:
        return image, np.broadcast_to(np.uint8(IGNORE), (height, width))
    return image, np.frombuffer(content, np.uint8, pixels, _HEADER.size + 3 * pixels).reshape(height, width)
