"""The data sets. A new data set is one file here and one name in `AnySource`."""

from __future__ import annotations

import typing

from assay.data.source import Source
from assay.data.sources.ade20k import ADE20K
from assay.data.sources.camvid import CamVid
from assay.data.sources.cityscapes import Cityscapes
from assay.data.sources.coco import COCO
from assay.data.sources.folder import Folder
from assay.data.sources.textures import Textures
from assay.data.sources.voc import VOC

AnySource = Textures | VOC | CamVid | Folder | Cityscapes | COCO | ADE20K

SOURCES: dict[str, type[Source]] = {source.name: source for source in typing.get_args(AnySource)}

__all__ = ["ADE20K", "COCO", "SOURCES", "VOC", "AnySource", "CamVid", "Cityscapes", "Folder", "Textures"]
