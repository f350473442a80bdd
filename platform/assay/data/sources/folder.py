"""A user's own images in folders, with masks or without."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np

from assay.data.source import DataBroken, DataMissing, Source
from assay.data.sources.files import pool_of, read_pair, read_without_mask, stem_of
from assay.data.sources.folder_contents import Contents, contents_of
from assay.errors import FieldError
from assay.places import Places
from assay.values import param

FOLDERS = ("train", "val", "unlabeled")  # that an entry of a list may begin with


class Folder(Source):
    """`<path>/{train,val}/{images,masks}`; or `<path>/{images,masks}`, with a share held out for validation.

    A mask is a PNG with its image's stem. Its pixels are class ids, 255 = ignore. Training images may have no mask:
    those in `images` beside the others, and all in `<path>/unlabeled`.

    Pools: train (with masks), unlabeled (without), all (both), val.
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
        return ("train", "unlabeled", "all", "val")

    def pool_of_rest(self, pool: str) -> str:
        return "all" if pool == "train" else pool

    def ids(self, pool: str, places: Places) -> tuple[str, ...]:
        return tuple(self._contents(places).pools[pool])

    def read(self, image_id: str, places: Places) -> tuple[np.ndarray, np.ndarray]:
        image, *masks = self.files(image_id, places)
        if masks:
            cure = "; set data.source.num_labels to the largest class id plus one"
            return read_pair(image, masks[0], num_classes=self.num_labels, strict=True, cure=cure)
        return read_without_mask(image, strict=True)

    def files(self, image_id: str, places: Places) -> tuple[Path, ...]:
        pools = self._contents(places).pools
        files = pools["val" if image_id.startswith("val/") else "all"].get(image_id)
        if files is None:
            raise DataBroken(f"{self.path} has no image {image_id} in {self._root(places)}.")
        return files

    def image_id(self, entry: str) -> str:
        return f"{pool_of(entry, FOLDERS)}/{stem_of(entry)}"

    def notes(self, pool: str, places: Places) -> tuple[str, ...]:
        return self._contents(places).notes[pool]

    def _contents(self, places: Places) -> Contents:
        return contents_of(self._root(places), self.val_share)

    def _root(self, places: Places) -> Path:
        if not self.path:
            raise DataMissing("data.source.path must name a folder with images/ and masks/; set it with --set.")
        for root in (places.data / self.path, Path(self.path).expanduser().absolute()):
            if root.is_dir():
                return root
        raise DataMissing(f"data.source.path={self.path} is not a folder, neither in {places.data} nor as given.")
