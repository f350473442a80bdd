"""Readers of images and masks, with messages for every kind of bad file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources.decoding import decode_image, decode_mask, opened
from assay.wording import count

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MASK_SUFFIXES = (".png",)
# Files that systems leave in folders; hidden files, such as .DS_Store and ._name.jpg, are left out as well.
_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "icon\r")
_FIRST_IMAGE = re.compile(rf".+?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?=\s|$)", re.IGNORECASE)
_CITYSCAPES_TAIL = re.compile(r"_(leftImg8bit|gt(Fine|Coarse)(_\w+)?)$")


def stem_of(entry: str) -> str:
    """Return the image's name in a list's entry or a file's name, without folders, suffix and second column.

    Names may hold spaces and points, so a name ends only before the suffix of an image format. Accents get one form.
    """
    column = _one_form(entry.split("\t")[0].strip())
    match = _FIRST_IMAGE.match(column)
    name = Path(match[0] if match else column).name.lstrip()
    if name.lower().endswith(IMAGE_SUFFIXES):
        name = Path(name).stem
    return _CITYSCAPES_TAIL.sub("", name)


def pool_of(entry: str, pools: Sequence[str] = ("train", "val")) -> str:
    """Return the last of `pools` whose folder occurs in a list's entry; the first pool if there is none."""
    found = [part for part in Path(entry.split("\t")[0].strip()).parent.parts if part in pools]
    return found[-1] if found else pools[0]


def read_image(path: Path, *, strict: bool = False) -> np.ndarray:
    """Read an image as H x W x 3, uint8, RGB.

    strict: refuse what programs show differently, CMYK colours and EXIF rotations. A published data set is read as it
    is stored, because its masks belong to the stored pixels.
    """
    with opened(path) as image:
        return decode_image(image, path, strict=strict)


def read_mask(path: Path, *, num_classes: int, ignored_class: int | None = None, cure: str = "") -> np.ndarray:
    """Read a mask as H x W, uint8, of class ids and IGNORE. The id `ignored_class` becomes IGNORE.

    cure: of a class id that is too large, for the message.
    """
    with opened(path) as image:
        return _checked_classes(decode_mask(image, path), path, num_classes, ignored_class, cure)


def read_without_mask(path: Path, *, strict: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read an image without labels, as `read_image` does, and return a mask of IGNORE with it."""
    pixels = read_image(path, strict=strict)
    return pixels, np.full(pixels.shape[:2], IGNORE, dtype=np.uint8)


def read_pair(
    image: Path,
    mask: Path,
    *,
    num_classes: int,
    ignored_class: int | None = None,
    strict: bool = False,
    cure: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and its mask, as `read_image` and `read_mask` do; raise DataBroken if their sizes differ."""
    with opened(image) as opened_image, opened(mask) as opened_mask:
        _require_equal(image, opened_image.size, mask, opened_mask.size)
        pixels = decode_image(opened_image, image, strict=strict)
        labels = _checked_classes(decode_mask(opened_mask, mask), mask, num_classes, ignored_class, cure)
    return pixels, labels


def _checked_classes(
    mask: np.ndarray, path: Path, num_classes: int, ignored_class: int | None, cure: str
) -> np.ndarray:
    if ignored_class is not None:
        mask = np.where(mask == ignored_class, np.uint8(IGNORE), mask)
    require_classes(path, mask, num_classes, cure=cure)
    return mask


def require_classes(path: Path, mask: np.ndarray, num_classes: int, *, cure: str = "") -> None:
    """Raise DataBroken if a mask holds another class than those of the data set and IGNORE."""
    wrong = (mask >= num_classes) & (mask != IGNORE)
    if wrong.any():
        raise DataBroken(
            f"{path} holds class {int(mask[wrong].max())}, but the data set has {num_classes} classes"
            f" (0-{num_classes - 1}, {IGNORE} = ignore){cure}."
        )


def require_equal_sizes(image: Path, pixels: np.ndarray, mask: Path, labels: np.ndarray) -> None:
    """Raise DataBroken if a mask has not the height and width of its image."""
    _require_equal(image, (pixels.shape[1], pixels.shape[0]), mask, (labels.shape[1], labels.shape[0]))


def _require_equal(image: Path, image_size: tuple[int, int], mask: Path, mask_size: tuple[int, int]) -> None:
    """Raise DataBroken if two sizes, width and height, differ."""
    if image_size != mask_size:
        raise DataBroken(
            f"{mask} must have the size of its image {image.name}, {image_size[0]} x {image_size[1]}, got"
            f" {mask_size[0]} x {mask_size[1]}."
        )


def files_by_stem(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Return the image files of a folder by stem, sorted. A missing folder has none.

    Two names that some disks or systems take for one are refused, so that a copy of the folder is the same data set.
    """
    files: dict[str, Path] = {}
    by_small_letters: dict[str, Path] = {}
    for name in _names(folder):
        if not name.lower().endswith(suffixes):
            continue
        path = folder / name
        _check_name(path)
        stem = stem_of(name)
        twin = by_small_letters.setdefault(stem.lower(), path)
        if twin is not path:
            raise DataBroken(f"{folder} holds both {twin.name} and {name}; {_why_twins(twin.name, name)}.")
        files[stem] = path
    return files


def unread_files(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> tuple[str, ...]:
    """Return the names in a folder that `files_by_stem` leaves out, without hidden and system files, sorted."""
    return tuple(
        name for name in _names(folder) if not name.lower().endswith(suffixes) and name.lower() not in _SYSTEM_FILES
    )


def _names(folder: Path) -> list[str]:
    """Return the names in a folder that are not hidden, sorted; none where there is no folder."""
    if not folder.is_dir():
        return []
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise DataBroken(f"the folder {folder} cannot be listed ({error.strerror}).") from None
    return sorted((name for name in names if not name.startswith(".")), key=_one_form)


def _one_form(name: str) -> str:
    """Return a name with accents in one form: macOS writes them as letters of their own (NFD), others do not (NFC)."""
    return unicodedata.normalize("NFC", name)


def _check_name(path: Path) -> None:
    """Raise DataBroken for a name that a list cannot hold: with line breaks, or not in UTF-8."""
    name = path.name
    if not (name.isascii() and name.isprintable()) and any(map(_is_no_text, name)):
        raise DataBroken(
            f"{path.parent} holds a file whose name is not plain text, {name!a}; rename it without control"
            " characters, in UTF-8."
        )


def _is_no_text(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")


def _why_twins(one: str, other: str) -> str:
    if stem_of(one) != stem_of(other):
        return "some disks do not distinguish large and small letters, so rename one"
    if _one_form(one) == _one_form(other):
        return "the names differ only in how accents are encoded, so rename one"
    return "one id must mean one file"


def image_mask_pairs(images: Path, masks: Path, *, name: str, home: str) -> dict[str, tuple[Path, Path]]:
    """Return the paths of image and mask by stem; raise DataMissing for an empty folder and for a missing mask.

    name: of the data set and the pool, for messages.
    home: the origin of the data set, for messages.
    """
    return paired(
        require_images(images, name=name, home=home),
        files_by_stem(masks, MASK_SUFFIXES),
        name=name,
        places=(images, masks),
        home=home,
    )


def paired(
    images: dict[str, Path], masks: dict[str, Path], *, name: str, places: tuple[Path, Path], home: str
) -> dict[str, tuple[Path, Path]]:
    """Return each image with its mask; raise DataMissing where an image has none.

    places: the folders of images and masks, for messages.
    """
    without_mask = [stem for stem in images if stem not in masks]
    if without_mask:
        raise DataMissing(
            f"{name}: {len(without_mask)} of {len(images)} images in {places[0]} have no mask in {places[1]}, which"
            f" holds {count(len(masks), 'mask')}; the first missing mask is that of {without_mask[0]}. {home}"
        )
    return {stem: (path, masks[stem]) for stem, path in images.items()}


def require_images(folder: Path, *, name: str, home: str) -> dict[str, Path]:
    """Return the image files of a folder by stem; raise DataMissing where there is none."""
    files = files_by_stem(folder)
    if not files:
        unread = unread_files(folder)
        others = f"; it holds {count(len(unread), 'other file')}, the first is {unread[0]}" if unread else ""
        raise DataMissing(f"{name}: no images in {folder} (looked for {', '.join(IMAGE_SUFFIXES)}){others}. {home}")
    return files
