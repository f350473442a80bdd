"""Decoding with checks: PIL reads a file's header, the header is checked, and then the pixels are decoded once.

Every error of PIL or of the disk becomes a DataBroken that names the file. PIL's global limits stay as they are.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from assay.data.source import DataBroken

# Without this list PIL tries every format that it knows, and starts another program for some of them.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
# PIL's modes that convert to 8-bit RGB without loss of range; 16 bits would be clipped to white.
_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
# The exceptions that PIL's readers raise for damaged files.
_READ_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_ORIENTATION = 0x0112  # EXIF's number of the field
_UPRIGHT = (0, 1)  # its values for an image that is stored as it is shown; 0 is written for "unknown"

# EXIF data that PIL cannot read change no pixel. One filter for the process, since threads decode: they would restore
# each other's filters.
warnings.filterwarnings("ignore", message="(Possibly c|C)orrupt EXIF data", category=UserWarning, module=r"PIL\.")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Yield an image whose header is read and whose pixels are not; raise DataBroken for a file of several images."""
    with _errors_of(path):
        image = Image.open(path, formats=FORMATS)
    with image:
        frames = getattr(image, "n_frames", 1)
        # A camera's MPO file is a JPEG with previews behind the image.
        if frames > 1 and image.format != "MPO":
            raise DataBroken(f"{path} is an animation of {frames} images; save the one that is meant.")
        yield image


def decode_image(image: Image.Image, path: Path, *, strict: bool) -> np.ndarray:
    """Return an opened image's pixels as H x W x 3, uint8, RGB.

    strict: refuse CMYK colours and EXIF rotations, which programs show differently.
    """
    if image.mode not in _IMAGE_MODES or _has_16_bits(image):
        raise DataBroken(f"{path} must hold 8 bits per channel, got an image of PIL's mode {_mode(image)}.")
    if strict and image.mode == "CMYK":
        raise DataBroken(f"{path} holds CMYK colours, which programs convert differently; save it as RGB.")
    with _errors_of(path):
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # converting RGB is a copy
    if strict:
        _refuse_rotation(image, path)
    return pixels


def decode_mask(image: Image.Image, path: Path) -> np.ndarray:
    """Return an opened mask's stored values as H x W, uint8."""
    if image.format in ("JPEG", "MPO"):
        raise DataBroken(f"{path} is a JPEG file, whose compression changes class ids; save the mask as PNG.")
    if _has_16_bits(image) or _raw_mode(image) in ("L;2", "L;4"):
        # PIL would scale the values of 2 and 4 bits to 0-255.
        raise DataBroken(f"{path} must hold 8 bits per channel, got PIL's mode {_mode(image)}; save it as 8-bit PNG.")
    with _errors_of(path):
        # The pixels of a palette mask are class ids; converting would turn them into colours.
        array = np.asarray(image)
    if array.dtype == np.bool_:  # 1 bit per pixel: classes 0 and 1
        array = array.astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataBroken(f"{path} must hold 8 bits per channel, got {array.dtype}; save it as 8-bit PNG.")
    if array.ndim != 2:
        raise DataBroken(
            f"{path} must hold one class id per pixel (a palette or grey image), got {array.shape[-1]} channels; write"
            " the id of each colour's class in place of the colour."
        )
    return array


def unreadable(path: Path, *, why: str = "") -> DataBroken:
    """Return the error for a file that cannot be read, with the reason that its path shows, or else `why`."""
    if path.is_symlink() and not _exists(path):
        return DataBroken(f"{path} is a link to {path.readlink()}, which leads to no file; copy the file itself.")
    if path.is_dir():
        return DataBroken(f"{path} is a folder, and its name is that of an image; rename it.")
    if not _exists(path):
        return DataBroken(f"{path} is missing; other files of the data set refer to it.")
    with contextlib.suppress(OSError):
        if not path.stat().st_size:
            return DataBroken(f"{path} cannot be read as an image (it is empty); copy it again.")
    return DataBroken(f"{path} cannot be read ({why or 'it is no ordinary file'}).")


def _exists(path: Path) -> bool:
    """Return True if a path, or the end of its links, exists; False for links that lead back to themselves."""
    try:
        return path.exists()
    except OSError:
        return False


@contextlib.contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn the errors of reading one file into DataBroken."""
    try:
        yield
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataBroken(
            f"{path} declares more than {limit} pixels, PIL's limit against files that fill the memory; cut the image"
            " into tiles, or copy it again if it is smaller."
        ) from None
    except UnidentifiedImageError:
        if not path.stat().st_size:
            raise unreadable(path) from None
        raise DataBroken(
            f"{path} cannot be read as an image (its content is not {', '.join(FORMATS[:-1])} or {FORMATS[-1]}); copy"
            " it again, or convert it."
        ) from None
    except OSError as error:
        if error.errno:  # from the disk; PIL's own errors have no number
            raise unreadable(path, why=error.strerror or str(error)) from None
        raise _damaged(path, error) from None
    except _READ_ERRORS as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataBroken:
    return DataBroken(f"{path} cannot be read as an image ({error}); copy it again.")


def _refuse_rotation(image: Image.Image, path: Path) -> None:
    """Raise DataBroken for a decoded image that is shown otherwise than it is stored."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _READ_ERRORS:  # EXIF data that no program can read rotate nothing
        return
    if orientation not in _UPRIGHT:
        raise DataBroken(
            f"{path} is stored rotated or mirrored (EXIF orientation {orientation}), so its mask may fit the stored or"
            " the shown image; rotate the pixels, for example with `mogrify -auto-orient`."
        )


def _raw_mode(image: Image.Image) -> str:
    """Return how a PNG's pixels are stored, as PIL names it; an empty text for other formats."""
    tiles = getattr(image, "tile", None)  # PIL's stubs do not have it
    return str(tiles[0][3]) if image.format == "PNG" and tiles else ""


def _has_16_bits(image: Image.Image) -> bool:
    """Return True for 16 bits per channel. For colours, PIL would drop the lower eight."""
    return "16" in image.mode or "16" in _raw_mode(image)


def _mode(image: Image.Image) -> str:
    return _raw_mode(image) or image.mode
