"""Masks that an earlier experiment predicted, as one file: a zip of PNG images and a list of their images' ids."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image

from assay.data.source import DataBroken

_IMAGES = "images.json"  # the image ids, in the order of the masks
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal masks are packed to equal bytes at any time
# The exceptions that reading a damaged zip raises.
_READ_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError,
)  # fmt: skip


class MasksDamaged(Exception):
    """Bytes that are not a complete file of masks. The text names the reason."""


@dataclasses.dataclass(frozen=True)
class StoredMasks:
    """Masks by image id, decoded on access. Loader processes get them as part of their plan."""

    images: Mapping[str, bytes]  # PNG, H x W, uint8, by image id
    place: str  # the file's path or a description, for messages
    digest: str  # of the whole file

    def read(self, image_id: str, shape: tuple[int, ...]) -> np.ndarray:
        """Decode the mask (H x W, uint8) of an image; raise DataBroken if its shape is not `shape`."""
        with Image.open(io.BytesIO(self.images[image_id])) as image:
            mask = np.asarray(image)
        if mask.shape != shape:
            raise DataBroken(
                f"the stored mask of {image_id} in {self.place} must have its image's size, {shape[1]} x {shape[0]},"
                f" got {mask.shape[1]} x {mask.shape[0]}: the image has been replaced; delete that file, and the masks"
                " are predicted again."
            )
        return mask

    def require(self, ids: Iterable[str]) -> None:
        """Raise DataBroken if an image has no mask."""
        required = tuple(ids)
        missing = [image_id for image_id in required if image_id not in self.images]
        if missing:
            raise DataBroken(
                f"{self.place} holds no mask of {len(missing)} of the {len(required)} images that need one, the first"
                f" is {missing[0]}; delete that file, and the masks are predicted again."
            )


def encode(mask: np.ndarray) -> bytes:
    """Return a mask (H x W, uint8) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()


def pack(images: Mapping[str, bytes]) -> bytes:
    """Return masks by image id as one file. Its entries are numbered, because an id need not be a file name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNG is already compressed
        archive.writestr(zipfile.ZipInfo(_IMAGES, _TIMESTAMP), json.dumps(list(images), ensure_ascii=True))
        for index, content in enumerate(images.values()):
            archive.writestr(zipfile.ZipInfo(_entry(index), _TIMESTAMP), content)
    return buffer.getvalue()


def unpack(data: bytes, place: str) -> StoredMasks:
    """Read a file of `pack` and compare every checksum; raise MasksDamaged for a wrong one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            ids: list[str] = json.loads(archive.read(_IMAGES))
            images = {image_id: archive.read(_entry(index)) for index, image_id in enumerate(ids)}
    except _READ_ERRORS as error:
        raise MasksDamaged(f"{place} is damaged ({error or type(error).__name__})") from None
    return StoredMasks(images, place, hashlib.sha256(data).hexdigest()[:16])


def _entry(index: int) -> str:
    return f"{index:06}.png"
