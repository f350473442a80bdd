"""A user's own images and masks in folders."""

from __future__ import annotations

import colorsys
import functools
from pathlib import Path

import numpy as np

from assay.data.draws import digest
from assay.data.source import DataMissing, Source
from assay.data.sources.files import image_mask_pairs, pool_of, read_pair, stem_of
from assay.errors import FieldError
from assay.places import Places
from assay.values import param

Pairs = dict[str, tuple[Path, Path]]


class Folder(Source):
    """`<path>/{train,val}/{images,masks}`; or `<path>/{images,masks}`, with a share held out for validation.

    A mask is a PNG with its image's stem. Its pixels are class ids, 255 = ignore.
    """

    name = "folder"
    path: str = param(default="", resolved=True, help="the folder; below the data root, or any other path")
    num_labels: int = param(default=2, low=2, high=255, help="number of classes in the masks")
    class_names: tuple[str, ...] = param(default=(), help="names of the classes; class 0, class 1, … if none are given")
    val_share: float = param(
        default=0.2, above=0, below=1, resolved=True, help="share held out for validation if there is no train folder"
    )

    def check(self) -> None:
        if self.class_names and len(self.class_names) != self.num_labels:
            raise FieldError(f"class_names must have {self.num_labels} entries, got {len(self.class_names)}")

    def classes(self) -> tuple[str, ...]:
        return self.class_names or tuple(f"class {index}" for index in range(self.num_labels))

    def palette(self) -> tuple[tuple[int, int, int], ...]:
        hues = [colorsys.hsv_to_rgb(index * 0.618 % 1, 0.65, 0.9) for index in range(1, self.num_labels)]
        return ((0, 0, 0), *((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues))

    def lies_below_data_root(self) -> bool:
        return not Path(self.path).expanduser().is_absolute()

    def pools(self) -> tuple[str, ...]:
        return ("train", "val")

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        return tuple(f"{pool}/{stem}" for stem in _pairs(self._root(places), self.val_share)[pool])

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.files(image_id, places)
        return read_pair(image, mask, num_classes=self.num_labels)

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        pool, _, stem = image_id.partition("/")
        return _pairs(self._root(places), self.val_share)[pool][stem]

    def image_id(self, entry: str) -> str:
        return f"{pool_of(entry)}/{stem_of(entry)}"

    def _root(self, places: Places) -> Path:
        if not self.path:
            raise DataMissing("data.source.path must name a folder with images/ and masks/; set it with --set.")
        for root in (places.data / self.path, Path(self.path).expanduser().absolute()):
            if root.is_dir():
                return root
        raise DataMissing(f"data.source.path={self.path} is not a folder, neither in {places.data} nor as given.")


@functools.lru_cache(maxsize=8)
def _pairs(root: Path, val_share: float) -> dict[str, Pairs]:
    home = "The layout is images/NAME.jpg beside masks/NAME.png, in the folder itself or in train/ and val/."
    if (root / "train").is_dir():
        return {
            pool: image_mask_pairs(root / pool / "images", root / pool / "masks", name=f"{root.name} {pool}", home=home)
            for pool in ("train", "val")
        }
    pairs = image_mask_pairs(root / "images", root / "masks", name=root.name, home=home)
    if len(pairs) < 2:
        raise DataMissing(f"{root.name}: one image cannot be both trained on and held out for validation. {home}")
    held_out = _held_out(tuple(pairs), val_share)
    return {
        "train": {stem: pair for stem, pair in pairs.items() if stem not in held_out},
        "val": {stem: pair for stem, pair in pairs.items() if stem in held_out},
    }


def _held_out(stems: tuple[str, ...], share: float) -> frozenset[str]:
    """Return the images for validation. Names alone decide, so a few more images move few others between pools."""
    count = min(max(1, round(share * len(stems))), len(stems) - 1)
    return frozenset(sorted(stems, key=lambda stem: digest("held out", stem))[:count])
