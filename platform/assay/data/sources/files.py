"""Readers of images and masks, with messages for every kind of bad file."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.wording import count

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# PIL's modes that convert to 8-bit RGB without loss of range; 16 bits would be clipped to white.
_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
# The exceptions that PIL's readers raise for damaged files; PIL's own UnidentifiedImageError is an OSError.
_READ_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_FIRST_IMAGE = re.compile(rf".+?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=\s|$)", re.IGNORECASE)
_CITYSCAPES_TAIL = re.compile(r"_(leftImg8bit|gt(Fine|Coarse)(_\w+)?)$")


def stem_of(entry: str) -> str:
    """Return the image's name in a list's entry or a file's name, without folders, suffix and second column.

    Names may hold spaces and points, so a name ends only before the suffix of an image format.
    """
    column = entry.split("\t")[0].strip()
    match = _FIRST_IMAGE.match(column)
    name = Path(match[0] if match else column).name
    if name.lower().endswith(IMAGE_SUFFIXES):
        name = Path(name).stem
    return _CITYSCAPES_TAIL.sub("", name)


def pool_of(entry: str) -> str:
    """Return the pool whose folder occurs in a list's entry; train if there is none."""
    pools = [part for part in Path(entry.split("\t")[0].strip()).parent.parts if part in ("train", "val")]
    return pools[-1] if pools else "train"


def read_image(path: Path) -> np.ndarray:
    """Read an image as H x W x 3, uint8, RGB."""
    return _read_array(path, "RGB")


def read_mask(path: Path, *, num_classes: int, ignored_class: int | None = None) -> np.ndarray:
    """Read a mask as H x W, uint8, of class ids and IGNORE. The id `ignored_class` becomes IGNORE."""
    mask = _read_array(path, None)
    if mask.ndim != 2:
        raise DataBroken(
            f"{path} must hold one class id per pixel (a palette or grey image), got {mask.shape[-1]} channels."
        )
    if ignored_class is not None:
        mask = np.where(mask == ignored_class, np.uint8(IGNORE), mask)
    require_classes(path, mask, num_classes)
    return mask


def require_classes(path: Path, mask: np.ndarray, num_classes: int) -> None:
    """Raise DataBroken if a mask holds another class than those of the data set and IGNORE."""
    wrong = (mask >= num_classes) & (mask != IGNORE)
    if wrong.any():
        raise DataBroken(
            f"{path} holds class {int(mask[wrong].max())}, but the data set has {num_classes} classes"
            f" (0-{num_classes - 1}, {IGNORE} = ignore)."
        )


def read_pair(
    image: Path, mask: Path, *, num_classes: int, ignored_class: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and its mask; raise DataBroken if their sizes differ."""
    pixels, labels = read_image(image), read_mask(mask, num_classes=num_classes, ignored_class=ignored_class)
    require_equal_sizes(image, pixels, mask, labels)
    return pixels, labels


def require_equal_sizes(image: Path, pixels: np.ndarray, mask: Path, labels: np.ndarray) -> None:
    """Raise DataBroken if a mask has not the height and width of its image."""
    if pixels.shape[:2] != labels.shape:
        raise DataBroken(
            f"{mask} must have the size of its image {image.name}, {pixels.shape[1]} x {pixels.shape[0]}, got"
            f" {labels.shape[1]} x {labels.shape[0]}."
        )


def _read_array(path: Path, mode: str | None) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if mode and image.mode not in _IMAGE_MODES:
                raise DataBroken(f"{path} must hold 8 bits per channel, got an image of PIL's mode {image.mode}.")
            # The pixels of a palette mask are class ids; converting would turn them into colours.
            array = np.asarray(image.convert(mode) if mode else image)
    except FileNotFoundError:
        raise DataBroken(f"{path} is missing; other files of the data set refer to it.") from None
    except _READ_ERRORS as error:
        raise DataBroken(f"{path} cannot be read as an image ({error}); copy it again.") from None
    if array.dtype != np.uint8:
        raise DataBroken(f"{path} must hold 8 bits per channel, got {array.dtype}.")
    return array


def files_by_stem(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Return the image files of a folder by stem, sorted. A missing folder has none."""
    if not folder.is_dir():
        return {}
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        stem = stem_of(path.name)
        if stem in files:
            raise DataBroken(f"{folder} holds both {files[stem].name} and {path.name}; one id must mean one file.")
        files[stem] = path
    return files


def image_mask_pairs(images: Path, masks: Path, *, name: str, home: str) -> dict[str, tuple[Path, Path]]:
    """Return the paths of image and mask by stem; raise DataMissing for an empty folder and for a missing mask.

    name: of the data set and the pool, for messages.
    home: the origin of the data set, for messages.
    """
    image_files, mask_files = files_by_stem(images), files_by_stem(masks, (".png",))
    if not image_files:
        raise DataMissing(f"{name}: no images in {images} (looked for {', '.join(IMAGE_SUFFIXES)}). {home}")
    without_mask = [stem for stem in image_files if stem not in mask_files]
    if without_mask:
        raise DataMissing(
            f"{name}: {len(without_mask)} of {len(image_files)} images in {images} have no mask in {masks}, which holds"
            f" {count(len(mask_files), 'mask')}; the first missing mask is {without_mask[0]}.png. {home}"
        )
    return {stem: (path, mask_files[stem]) for stem, path in image_files.items()}
