"""Reading an image and its mask, and saying what is wrong with them."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from assay.data.source import IGNORE, DataBroken, DataMissing

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# Kinds of pixels that become 8-bit RGB without loss of range; 16 bits would be clipped to white.
_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
# What PIL's readers raise for damaged files, beside its own UnidentifiedImageError (an OSError).
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_FIRST_IMAGE = re.compile(rf".+?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=\s|$)", re.IGNORECASE)
_CITYSCAPES_TAIL = re.compile(r"_(leftImg8bit|gtFine(_\w+)?)$")


def stem_of(entry: str) -> str:
    """The image that a list's entry or a file's name means: no folders, no suffix, no second column.

    Names may hold spaces and points, so that only known suffixes end a name.
    """
    first = entry.split("\t")[0].strip()
    found = _FIRST_IMAGE.match(first)
    name = Path(found[0] if found else first).name
    if name.lower().endswith(IMAGE_SUFFIXES):
        name = Path(name).stem
    return _CITYSCAPES_TAIL.sub("", name)


def pool_of(entry: str) -> str:
    """The pool whose folder an entry of a list names; train where it names none."""
    named = [part for part in Path(entry.split("\t")[0].strip()).parent.parts if part in ("train", "val")]
    return named[-1] if named else "train"


def read_image(path: Path) -> np.ndarray:
    """H x W x 3, uint8, RGB."""
    return _opened(path, "RGB")


def read_mask(path: Path, *, num_classes: int, to_ignore: int | None = None) -> np.ndarray:
    """H x W, uint8: class ids or IGNORE; `to_ignore` is one more id that the data set leaves out."""
    mask = _opened(path, None)
    if mask.ndim != 2:
        raise DataBroken(
            f"{path} must hold one class id per pixel (a palette or grey image), got {mask.shape[-1]} channels."
        )
    if to_ignore is not None:
        mask = np.where(mask == to_ignore, np.uint8(IGNORE), mask)
    wrong = (mask >= num_classes) & (mask != IGNORE)
    if wrong.any():
        raise DataBroken(
            f"{path} holds class {int(mask[wrong].max())}, but the data set has {num_classes} classes"
            f" (0-{num_classes - 1}, {IGNORE} = ignore)."
        )
    return mask


def read_pair(
    image: Path, mask: Path, *, num_classes: int, to_ignore: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """An image and its mask, of one size."""
    pixels, labels = read_image(image), read_mask(mask, num_classes=num_classes, to_ignore=to_ignore)
    if pixels.shape[:2] != labels.shape:
        raise DataBroken(
            f"{mask} must have the size of its image {image.name}, {pixels.shape[1]} x {pixels.shape[0]}, got"
            f" {labels.shape[1]} x {labels.shape[0]}."
        )
    return pixels, labels


def _opened(path: Path, mode: str | None) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if mode and image.mode not in _IMAGE_MODES:
                raise DataBroken(f"{path} must hold 8 bits per channel, got an image of PIL's mode {image.mode}.")
            # A palette mask's pixels are its class ids: converting would turn them into colours.
            array = np.asarray(image.convert(mode) if mode else image)
    except FileNotFoundError:
        raise DataBroken(f"{path} is missing; the data set's other files name it.") from None
    except _DAMAGE as error:
        raise DataBroken(f"{path} cannot be read as an image ({error}); copy it anew.") from None
    if array.dtype != np.uint8:
        raise DataBroken(f"{path} must hold 8 bits per channel, got {array.dtype}.")
    return array


def listed(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """The image files of a folder by stem, sorted; empty where there is no folder."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        stem = stem_of(path.name)
        if stem in found:
            raise DataBroken(f"{folder} holds both {found[stem].name} and {path.name}; one id must mean one file.")
        found[stem] = path
    return found


def size_notes(what: str, *, found: int, official: int, where: Path, home: str) -> tuple[str, ...]:
    """Nothing for a pool of its owner's size. Another size is no mistake, but its results are another data set's."""
    if found == official:
        return ()
    return (
        f"{what}: looked for the official {official} images in {where}, found {found}; results on them cannot be"
        f" compared with published ones. {home}",
    )


def paired(images: Path, masks: Path, *, what: str, home: str) -> dict[str, tuple[Path, Path]]:
    """Image and mask by id; refuses a folder with none, and images without masks."""
    pictures, labels = listed(images), listed(masks, (".png",))
    if not pictures:
        raise DataMissing(f"{what}: no images in {images} (looked for {', '.join(IMAGE_SUFFIXES)}). {home}")
    without = [stem for stem in pictures if stem not in labels]
    if without:
        raise DataMissing(
            f"{what}: {len(without)} of {len(pictures)} images in {images} have no mask in {masks}, which holds"
            f" {len(labels)}; the first is {without[0]}.png. {home}"
        )
    return {stem: (path, labels[stem]) for stem, path in pictures.items()}
