"""Class masks of COCO, drawn from its instance annotations.

Instances overlap, and COCO gives no order of depth. The rule here:

- Instances are drawn from the largest to the smallest, by the area in their annotation, and those of equal area by
  rising annotation id. So a small object stays visible before or behind a large one.
- A crowd region, which marks many objects of one category together, is IGNORE where no instance is drawn.
- Everything else is background.

pycocotools, COCO's own library, decides which pixels a polygon or a run-length code covers.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.data.source import IGNORE, DataBroken
from assay.data.sources.coco import CATEGORIES, CATEGORY_IDS

RULE = "largest area first, then by annotation id; crowds are ignored where no instance is drawn"  # in words, to store
_CLASS_OF = {category: index for index, category in enumerate(CATEGORY_IDS, start=1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotation:
    """An instance, or a crowd region."""

    id: int
    label: int  # the class in the mask
    area: float
    is_crowd: bool
    shape: Any  # a list of polygons or a run-length code, as COCO writes it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """An image's name without suffix, its size, and its annotations."""

    name: str
    height: int
    width: int
    annotations: Sequence[Annotation]


def read_annotations(path: Path) -> tuple[Picture, ...]:
    """Return the images of a file of instance annotations, those without annotations included, sorted by name."""
    try:
        content = json.loads(path.read_bytes())
        _require_categories(path, {entry["id"]: entry["name"] for entry in content["categories"]})
        by_image: dict[int, list[Annotation]] = defaultdict(list)
        for entry in content["annotations"]:
            by_image[entry["image_id"]].append(_annotation(entry))
        pictures = [_picture(entry, by_image[entry["id"]]) for entry in content["images"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataBroken(
            f"{path} cannot be read as COCO's instance annotations ({type(error).__name__}: {error}); copy it again."
        ) from None
    return tuple(sorted(pictures, key=lambda picture: picture.name))


def _annotation(entry: Mapping[str, Any]) -> Annotation:
    return Annotation(
        id=int(entry["id"]),
        label=_CLASS_OF[entry["category_id"]],
        area=float(entry["area"]),
        is_crowd=bool(entry["iscrowd"]),
        shape=entry["segmentation"],
    )


def _picture(entry: Mapping[str, Any], annotations: Sequence[Annotation]) -> Picture:
    name, height, width = Path(entry["file_name"]).stem, int(entry["height"]), int(entry["width"])
    return Picture(name=name, height=height, width=width, annotations=annotations)


def _require_categories(path: Path, names: Mapping[int, str]) -> None:
    expected = dict(zip(CATEGORY_IDS, CATEGORIES, strict=True))
    for category, name in names.items():
        if expected.get(category) != name:
            raise DataBroken(
                f"{path} has the category {category} = {name!r}, but COCO's is {expected.get(category)!r}; use the"
                " instance annotations of annotations_trainval2017.zip."
            )


def draw(picture: Picture) -> np.ndarray:
    """Return the class mask of an image (H x W, uint8)."""
    mask = np.zeros((picture.height, picture.width), dtype=np.uint8)
    for crowd in (annotation for annotation in picture.annotations if annotation.is_crowd):
        mask[_pixels(crowd, picture)] = IGNORE
    instances = (annotation for annotation in picture.annotations if not annotation.is_crowd)
    for instance in sorted(instances, key=lambda instance: (-instance.area, instance.id)):
        mask[_pixels(instance, picture)] = instance.label
    return mask


def _pixels(annotation: Annotation, picture: Picture) -> np.ndarray:
    """Return the pixels of an annotation (H x W, bool)."""
    from pycocotools import mask as coco

    shape, height, width = annotation.shape, picture.height, picture.width
    place = f"the annotation {annotation.id} of {picture.name}"
    try:
        if isinstance(shape, list):
            code = coco.merge(coco.frPyObjects(shape, height, width))
        else:
            code = coco.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, with NumPy 2
            pixels: np.ndarray = coco.decode(code)
    except Exception as error:  # pycocotools raises plain Exception for shapes that it cannot read
        raise DataBroken(f"{place} has no usable shape ({type(error).__name__}: {error}).") from None
    if pixels.shape != (height, width):
        raise DataBroken(
            f"{place} must have its image's size, {width} x {height}, got {pixels.shape[1]} x {pixels.shape[0]}."
        )
    return pixels.astype(bool)
