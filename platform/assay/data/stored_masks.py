"""Masks that an earlier experiment predicted, as one file: a zip of PNG images and the list of what they show."""

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

_IMAGES = "images.json"  # the ids, in the order of the masks
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same masks are the same bytes whenever they are packed
# What reading a zip raises where its bytes are not what was written.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError,
)  # fmt: skip


class MasksDamaged(Exception):
    """The bytes are no whole file of masks; says why."""


@dataclasses.dataclass(frozen=True)
class StoredMasks:
    """Masks by image id, decoded when asked for; loader processes get them with their plan."""

    images: Mapping[str, bytes]  # PNG, H x W, uint8, by image id
    place: str  # where they lie, for messages
    digest: str  # of the whole file

    def read(self, image_id: str, shape: tuple[int, ...]) -> np.ndarray:
        """The mask (H x W, uint8) of an image, whose height and width it must have."""
        with Image.open(io.BytesIO(self.images[image_id])) as image:
            mask = np.asarray(image)
        if mask.shape != shape:
            raise DataBroken(
                f"the stored mask of {image_id} in {self.place} must have its image's size, {shape[1]} x {shape[0]},"
                f" got {mask.shape[1]} x {mask.shape[0]}: the image was replaced since; delete that file, and the masks"
                " are predicted anew."
            )
        return mask

    def require(self, ids: Iterable[str]) -> None:
        """Refuse to serve images that have no mask here."""
        wanted = tuple(ids)
        missing = [each for each in wanted if each not in self.images]
        if missing:
            raise DataBroken(
                f"{self.place} holds no mask of {len(missing)} of the {len(wanted)} images that need one, the first is"
                f" {missing[0]}; delete that file, and the masks are predicted anew."
            )


def encode(mask: np.ndarray) -> bytes:
    """A mask (H x W, uint8) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()


def pack(images: Mapping[str, bytes]) -> bytes:
    """Masks by image id as one file. Ids may hold what names of files must not, so entries are numbered."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        archive.writestr(zipfile.ZipInfo(_IMAGES, _LONG_AGO), json.dumps(list(images), ensure_ascii=True))
        for index, content in enumerate(images.values()):
            archive.writestr(zipfile.ZipInfo(_entry(index), _LONG_AGO), content)
    return buffer.getvalue()


def unpack(data: bytes, place: str) -> StoredMasks:
    """What `pack` was given, every checksum compared. Raises MasksDamaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            ids: list[str] = json.loads(archive.read(_IMAGES))
            images = {each: archive.read(_entry(index)) for index, each in enumerate(ids)}
    except _DAMAGE as error:
        raise MasksDamaged(f"{place} is damaged ({error or type(error).__name__})") from None
    return StoredMasks(images, place, hashlib.sha256(data).hexdigest()[:16])


def _entry(index: int) -> str:
    return f"{index:06}.png"
