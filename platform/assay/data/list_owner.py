"""The data set that the images of a list belong to, for messages about a list that does not fit."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from assay.data import published
from assay.data.source import Source
from assay.data.sources.files import stem_of

# The names that the owners of data sets give to their images, without folder and suffix.
_NAMES = {
    "voc": re.compile(r"20(0[7-9]|1[01])_[0-9]{6}"),
    "cityscapes": re.compile(r"[a-z-]+_[0-9]{6}_[0-9]{6}"),
    "coco": re.compile(r"(COCO_(train|val)2014_)?[0-9]{12}"),
    "ade20k": re.compile(r"ADE_(train|val|test)_[0-9]{8}"),
    "camvid": re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_f?[0-9]+(_L)?"),
}


def describe_owner(entries: Sequence[str], source: Source) -> str:
    """Return a sentence about the other data set to which most of the entries belong; an empty text if there is none.

    The form of the names decides. The ids of the published lists make it certain.
    """
    stems = [stem_of(entry) for entry in entries]
    numbers = {data: sum(name.fullmatch(stem) is not None for stem in stems) for data, name in _NAMES.items()}
    data = max(numbers, key=lambda name: numbers[name])
    if data == source.name or 2 * numbers[data] <= len(stems):
        return ""
    subject = "They" if numbers[data] == len(stems) else f"{numbers[data]} of them"
    if set(stems) <= _published_ids(data):
        return f"{subject} are images of {data}."
    return f"{subject} have the names of images of {data}."


@functools.cache
def _published_ids(data: str) -> frozenset[str]:
    folders = [origin.folder for origin in published.origins() if origin.data == data]
    return frozenset(image_id for folder in folders for ids in published.lists_of(folder).values() for image_id in ids)
