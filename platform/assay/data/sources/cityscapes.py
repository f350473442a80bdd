"""Cityscapes: street scenes of 2048 x 1024 with fine masks, and 20,000 more with coarse masks or none."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from assay.data.source import IGNORE, DataBroken, DataMissing
from assay.data.sources.archive import Archive, Files
from assay.data.sources.files import paired, read_pair, read_without_mask
from assay.errors import FieldError
from assay.places import Places
from assay.values import param

# Label id, name and colour of the 19 classes of the benchmark, in the order of their train ids.
_CLASSES: tuple[tuple[int, str, tuple[int, int, int]], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
SIZES = {"train": 2975, "val": 500, "train_extra": 19998}
_NUM_LABELS = 34  # label ids 0-33; licence plates have the id -1, which the owner does not draw
_IMAGE = "_leftImg8bit.png"
_LABEL_IDS, _TRAIN_IDS = "_labelIds.png", "_labelTrainIds.png"


class Cityscapes(Archive):
    """`<root>/{leftImg8bit,gtFine,gtCoarse}/{train,val,train_extra}/CITY/*.png`; 2975, 500 and 19,998 images.

    A mask holds label ids (`_labelIds.png`, which goes first) or the train ids of the benchmark
    (`_labelTrainIds.png`). Each of the three folders may also lie in a folder of its archive's name.

    One image of the official train_extra, troisdorf_000000_000073, is black, and its coarse mask is of one class. The
    owner's page advises to delete it: then 19,997 remain.
    """

    name = "cityscapes"
    title = "Cityscapes"
    home = (
        "Cityscapes's home is cityscapes-dataset.com: leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip, and for"
        " train_extra leftImg8bit_trainextra.zip, gtCoarse.zip."
    )
    sizes = SIZES
    optional = frozenset({"train_extra"})
    folders = ("cityscapes", "Cityscapes", "cityscape")
    markers = ("leftImg8bit/train", "leftImg8bit_trainvaltest/leftImg8bit/train")
    train_extra_masks: Literal["none", "coarse"] = param(
        default="none",
        neutral="none",
        help="masks of train_extra: none (IGNORE everywhere), or gtCoarse. The value changes the key of every split,"
        " also of those without an image of train_extra",
    )
    resize: tuple[int, int] | None = param(
        default=None,
        neutral=None,
        help="height and width to which every image and its mask are resized first, also for evaluation; none: as read",
    )

    def check(self) -> None:
        if self.resize is not None and min(self.resize) < 1:
            raise FieldError(f"resize must be a height and a width of at least 1, got {self.resize}")

    def classes(self) -> tuple[str, ...]:
        return tuple(name for _, name, _ in _CLASSES)

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(colour for _, _, colour in _CLASSES)

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = _read(*self.files(image_id, places))
        return (image, mask) if self.resize is None else _resize(image, mask, self.resize)

    def place(self, pool: str, places: Places) -> Path:
        return _folder(self.root(places), "leftImg8bit", pool)

    def pool_files(self, root: Path, pool: str) -> Files:
        return _pool_files(root, pool, "none" if pool != "train_extra" else self.train_extra_masks)


def _read(image: Path, mask: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    if mask is None:
        return read_without_mask(image)
    if mask.name.endswith(_TRAIN_IDS):
        return read_pair(image, mask, num_classes=len(_CLASSES))
    pixels, labels = read_pair(image, mask, num_classes=_NUM_LABELS)
    return pixels, _train_ids()[labels]


@functools.cache
def _train_ids() -> np.ndarray:
    """Return the train id of each label id; IGNORE for those that are not among the 19 classes."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    for train_id, (label_id, _, _) in enumerate(_CLASSES):
        table[label_id] = train_id
    return table


def _resize(image: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resize an image bilinearly with antialias, and its mask to the label at the centre of each new pixel.

    The alignment is that of `data/geometry.py`, which needs torch.
    """
    if image.shape[:2] == size:
        return image, mask
    small = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    rows, columns = (_centres(new, old) for new, old in zip(size, mask.shape, strict=True))
    return np.asarray(small), mask[rows[:, None], columns]


def _centres(new: int, old: int) -> np.ndarray:
    """Return the old pixel at the centre of each new one: the floor of (index + 1/2) old / new, without rounding."""
    return (2 * np.arange(new) + 1) * old // (2 * new)


@functools.lru_cache(maxsize=16)
def _pool_files(root: Path, pool: str, extra_masks: str) -> Files:
    folder = _folder(root, "leftImg8bit", pool)
    images = dict(sorted(_files(folder, _IMAGE)))
    if not images:
        raise DataMissing(
            f"Cityscapes {pool}: no images CITY/NAME{_IMAGE} in {folder} ({SIZES[pool]} expected). {Cityscapes.home}"
        )
    if pool == "train_extra" and extra_masks == "none":
        return {image_id: (path,) for image_id, path in images.items()}
    masks_folder = _folder(root, "gtCoarse" if pool == "train_extra" else "gtFine", pool)
    places = (folder, masks_folder)
    return paired(images, _masks(masks_folder), name=f"Cityscapes {pool}", places=places, home=Cityscapes.home)


def _masks(folder: Path) -> dict[str, Path]:
    """Return the masks of a pool by image id. Official label ids go first, the same on every machine."""
    kind = f"_{folder.parent.name}"
    return dict(_files(folder, kind + _TRAIN_IDS)) | dict(_files(folder, kind + _LABEL_IDS))


def _files(folder: Path, tail: str) -> Iterator[tuple[str, Path]]:
    """Yield the image id and the path of each file of a pool's cities that ends in `tail`."""
    if not folder.is_dir():
        return
    cities: dict[str, str] = {}
    for city in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in city.iterdir():
            if not path.name.endswith(tail) or path.name.startswith("."):
                continue
            image_id = path.name.removesuffix(tail)
            if cities.setdefault(image_id, city.name) != city.name:
                raise DataBroken(
                    f"{folder} holds {path.name} in {cities[image_id]} and in {city.name}; one id must mean one file."
                )
            yield image_id, path


@functools.lru_cache(maxsize=32)
def _folder(root: Path, kind: str, pool: str) -> Path:
    """Return the folder of a pool's images or masks, directly in the root or in a folder of its archive's name."""
    if (root / kind / pool).is_dir():
        return root / kind / pool
    return next((path for path in sorted(root.glob(f"{kind}*/{kind}/{pool}")) if path.is_dir()), root / kind / pool)
