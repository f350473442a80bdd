"""The class masks of SBD (Hariharan et al.), which are MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assay.data.source import DataBroken
from assay.data.sources.files import require_classes

SUFFIX = ".mat"
HOME = (
    "SBD's home is www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours (benchmark.tgz); its"
    " folder dataset/cls is searched in the folders sbd, SBD, benchmark_RELEASE and VOCdevkit/VOCaug below the data"
    " root."
)
_FOLDERS = ("sbd", "SBD", "benchmark_RELEASE", "VOCdevkit/VOCaug")
_INSIDE = ("dataset/cls", "benchmark_RELEASE/dataset/cls", "cls")
# Bytes of a file. VOC's images have at most 500 x 500 pixels, and zlib unpacks a byte to at most about 1000.
_LARGEST = 2**20


def sbd_folder(data: Path) -> Path:
    """Return the folder of SBD's class masks below the data root; the first place that is searched if there is none."""
    candidates = [data / folder / inside for folder in _FOLDERS for inside in _INSIDE]
    return next((path for path in candidates if path.is_dir()), candidates[0])


def sbd_files(folder: Path) -> dict[str, Path]:
    """Return SBD's class masks by image id. A missing folder has none."""
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def read_sbd_mask(path: Path, *, num_classes: int) -> np.ndarray:
    """Read the mask GTcls.Segmentation of a MATLAB file as H x W, uint8."""
    mask = _segmentation(path)
    if mask.ndim != 2 or mask.dtype.kind not in "ui":
        raise DataBroken(
            f"{path} must hold one class id per pixel in GTcls.Segmentation, got {mask.dtype} of shape {mask.shape}."
        )
    require_classes(path, mask, num_classes)
    return mask.astype(np.uint8)


def _segmentation(path: Path) -> np.ndarray:
    from scipy.io import loadmat  # slow to import, and no other data set needs it

    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ValueError(f"it has {size} bytes, more than a mask of VOC needs")
        content = loadmat(path, variable_names=["GTcls"])
        return np.asarray(content["GTcls"]["Segmentation"][0, 0])  # MATLAB's structs are arrays, here of one
    except FileNotFoundError:
        raise DataBroken(f"{path} is missing; other files of the data set refer to it.") from None
    except Exception as error:  # SciPy's reader raises errors of many kinds for damaged files
        raise DataBroken(
            f"{path} cannot be read as a MATLAB file with GTcls.Segmentation ({type(error).__name__}: {error}); copy it"
            " again."
        ) from None
