"""The data sets. A new one is one file here, one name below, and one in the type of `assay.experiment.Data.source`."""

from __future__ import annotations

from assay.data.source import Source
from assay.data.sources.camvid import CamVid
from assay.data.sources.folder import Folder
from assay.data.sources.shapes import Shapes
from assay.data.sources.voc import VOC

SOURCES: dict[str, type[Source]] = {each.name: each for each in (Shapes, VOC, CamVid, Folder)}

__all__ = ["SOURCES", "VOC", "CamVid", "Folder", "Shapes"]
