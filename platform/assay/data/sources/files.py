"""Reading an image and its mask, and saying what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from assay.data.source import IGNORE, DataBroken, DataMissing

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


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
            # A palette image's pixels are its class ids: converting would turn them into colours.
            array = np.asarray(image.convert(mode) if mode else image)
    except FileNotFoundError:
        raise DataBroken(f"{path} is missing; the data set's other files name it.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
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
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise DataBroken(
                    f"{folder} holds both {found[path.stem].name} and {path.name}; one id must mean one file."
                )
            found[path.stem] = path
    return found


def paired(images: Path, masks: Path, *, what: str, home: str) -> dict[str, tuple[Path, Path]]:
    """Image and mask by id; refuses a folder with none, and images without masks."""
    pictures, labels = listed(images), listed(masks, (".png",))
    if not pictures:
        raise DataMissing(f"{what}: no images in {images} (looked for {', '.join(IMAGE_SUFFIXES)}). {home}")
    without = [stem for stem in pictures if stem not in labels]
    if without:
        raise DataMissing(
            f"{what}: {len(without)} of {len(pictures)} images in {images} have no mask in {masks}; the first is"
            f" {without[0]}.png. {home}"
        )
    return {stem: (path, labels[stem]) for stem, path in pictures.items()}
