"""The files in a user's folder, sorted into pools: images with masks, images without, validation images."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from assay.data.draws import digest
from assay.data.source import DataBroken, DataMissing
from assay.data.sources.files import (
    IMAGE_SUFFIXES,
    MASK_SUFFIXES,
    files_by_stem,
    image_mask_pairs,
    require_images,
    unread_files,
)
from assay.wording import count

Files = dict[str, tuple[Path, ...]]  # by image id: the image, and its mask if it has one
Pairs = dict[str, tuple[Path, Path]]  # by stem
LAYOUT = (
    "The layout is images/NAME.jpg beside masks/NAME.png, in the folder itself or in train/ and val/; images without"
    " masks lie beside the others, or in unlabeled/."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """The files of a folder by pool, and notes about files whose use may surprise their owner."""

    pools: dict[str, Files]
    notes: dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Images:
    """The images of one folder `images`."""

    pairs: Pairs
    without_mask: dict[str, Path]  # by stem
    notes: tuple[str, ...]


@functools.lru_cache(maxsize=8)
def contents_of(root: Path, val_share: float) -> Contents:
    """Return what lies in a folder; raise DataMissing where images or masks are missing that must be there."""
    if (root / "train").is_dir():
        images, val, val_notes = _train_and_val(root)
        train = images.pairs
    else:
        images = _images(root, root.name)
        train, val = _hold_out(images.pairs, val_share, root.name)
        val_notes = images.notes
    labeled: Files = {f"train/{stem}": pair for stem, pair in train.items()}
    extra, extra_notes = _unlabeled_folder(root)
    unlabeled: Files = {f"train/{stem}": (path,) for stem, path in images.without_mask.items()} | extra
    all_notes = images.notes + extra_notes
    return Contents(
        pools={
            "train": labeled,
            "unlabeled": unlabeled,
            "all": labeled | unlabeled,
            "val": {f"val/{stem}": pair for stem, pair in val.items()},
        },
        notes={"train": images.notes, "unlabeled": all_notes, "all": all_notes, "val": val_notes},
    )


def _train_and_val(root: Path) -> tuple[_Images, Pairs, tuple[str, ...]]:
    """Return the images of train/, and the pairs of val/ with notes: a validation image must have a mask."""
    folder, name = root / "val", f"{root.name} val"
    val = image_mask_pairs(folder / "images", folder / "masks", name=name, home=LAYOUT)
    return _images(root / "train", f"{root.name} train"), val, _notes(folder, name, tuple(val), {})


def _hold_out(pairs: Pairs, share: float, name: str) -> tuple[Pairs, Pairs]:
    """Return the images to train on and those for validation.

    Names alone decide, so a few more images move few others between pools.
    """
    if len(pairs) < 2:
        raise DataMissing(
            f"{name}: one image with a mask cannot be both trained on and held out for validation. {LAYOUT}"
        )
    size = min(max(1, round(share * len(pairs))), len(pairs) - 1)
    held_out = frozenset(sorted(pairs, key=lambda stem: digest("held out", stem))[:size])
    train = {stem: pair for stem, pair in pairs.items() if stem not in held_out}
    return train, {stem: pair for stem, pair in pairs.items() if stem in held_out}


def _unlabeled_folder(root: Path) -> tuple[Files, tuple[str, ...]]:
    """Return the images in `unlabeled/` or `unlabeled/images/`, and a note about other files."""
    folder, name = root / "unlabeled", f"{root.name} unlabeled"
    if not folder.is_dir():
        return {}, ()
    folder = folder / "images" if (folder / "images").is_dir() else folder
    files = require_images(folder, name=name, home=LAYOUT)
    return {f"unlabeled/{stem}": (path,) for stem, path in files.items()}, _unread_note(folder, name, IMAGE_SUFFIXES)


def _images(folder: Path, name: str) -> _Images:
    """Return the images in `images/`, with the masks in `masks/`; raise DataMissing where no image has a mask."""
    images, masks = folder / "images", folder / "masks"
    image_files, mask_files = require_images(images, name=name, home=LAYOUT), files_by_stem(masks, MASK_SUFFIXES)
    without_mask = {stem: path for stem, path in image_files.items() if stem not in mask_files}
    _refuse_other_letters(without_mask, mask_files)
    if len(without_mask) == len(image_files):
        first = next(iter(image_files))
        raise DataMissing(
            f"{name}: none of {count(len(image_files), 'image')} in {images} has a mask in {masks}, which holds"
            f" {count(len(mask_files), 'PNG file')}{_example(masks, mask_files)}; the mask of"
            f" {image_files[first].name} is {first}.png. {LAYOUT}"
        )
    return _Images(
        pairs={stem: (path, mask_files[stem]) for stem, path in image_files.items() if stem in mask_files},
        without_mask=without_mask,
        notes=_notes(folder, name, tuple(image_files), without_mask),
    )


def _example(masks: Path, mask_files: dict[str, Path]) -> str:
    """Return the name of a file among the masks, to be compared with the name that a mask must have."""
    names = [path.name for path in mask_files.values()] or unread_files(masks, MASK_SUFFIXES)
    return f" (the first file there is {names[0]})" if names else ""


def _refuse_other_letters(without_mask: dict[str, Path], mask_files: dict[str, Path]) -> None:
    """Raise DataBroken for an image whose mask differs from it in large and small letters."""
    by_small_letters = {stem.lower(): path for stem, path in mask_files.items()}
    for stem, path in without_mask.items():
        mask = by_small_letters.get(stem.lower())
        if mask:
            raise DataBroken(f"{path} and {mask} differ in large and small letters; give the mask its image's name.")


def _notes(folder: Path, name: str, stems: tuple[str, ...], without_mask: dict[str, Path]) -> tuple[str, ...]:
    """Return notes about images without masks, masks without images, and files that are not read."""
    images, masks = folder / "images", folder / "masks"
    unused = sorted(set(files_by_stem(masks, MASK_SUFFIXES)) - set(stems))
    notes = []
    if without_mask:
        notes.append(
            f"{name}: images without a mask in {masks}: {len(without_mask)} of {len(stems)}, the first is"
            f" {next(iter(without_mask.values())).name}; they count as unlabelled images."
        )
    if unused:
        notes.append(
            f"{name}: masks without an image in {images}: {len(unused)}, the first is {unused[0]}.png; they are not"
            " used."
        )
    return (*notes, *_unread_note(images, name, IMAGE_SUFFIXES), *_unread_note(masks, name, MASK_SUFFIXES))


def _unread_note(folder: Path, name: str, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    names = unread_files(folder, suffixes)
    if not names:
        return ()
    return (
        f"{name}: left out in {folder}: {count(len(names), 'file')}, the first is {names[0]}; only names in"
        f" {', '.join(suffixes)} are read.",
    )
