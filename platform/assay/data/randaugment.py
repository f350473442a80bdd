"""RandAugment and Cutout: A on images, and index maps for B on labels, as in Three-Stage's code.

Images are B x 3 x H x W, uint8, on any device. The operators of an image are applied one by one. Those that move
pixels take the nearest pixel, computed in PIL's whole numbers (16 bits after the point): the results are PIL's to the
pixel, and the same on every device. The index map is moved by the same numbers, so image and labels stay aligned to
the pixel. The other operators give torchvision's results on single images. No image's result depends on the other
images of the batch. As in `photometric`, the rectangle of a padded image is processed alone, and padding stays.

Pixels from outside the frame are black for the operators that follow, as in the authors' code, and mid-grey at the
end. The code leaves some of them black or inverted, because equalising, solarising and others lose its transparency
channel; and it stretches the contrast of each normalised crop to the full range before the operators. Neither is
copied: the first pixels count in no loss, and images have 8 bits here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as tv

from assay.data.index_maps import look_up, unmoved
from assay.data.photometric import Size, apply_by_kind, blend, factors, luminance, portions, round_to_steps
from assay.data.views import MAX_MAGNITUDE, MOVING, Operator, RandAugment

MID_GREY = 127  # 0 on the authors' scale from -1 to 1, as 8 bits
_OUTSIDE = 0  # black
_FRACTION_BITS = 16  # PIL's, of source coordinates

Affine = tuple[float, float, float, float, float, float]  # source x = a x + b y + c, source y = d x + e y + f


@dataclasses.dataclass(frozen=True)
class OperatorDraw:
    """An operator with its amount: degrees, shear, pixels, a factor, the first inverted value, or bits."""

    name: Operator
    amount: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandAugmentDraw:
    """The operators of one image in their order, and its squares; an operator that is not applied is the identity."""

    operators: tuple[OperatorDraw, ...]
    centres: tuple[tuple[float, float], ...]  # of squares, row and column as shares of height and width
    cutout_size: int
    ignore_cutout: bool


def draw_randaugment(rng: np.random.Generator, spec: RandAugment) -> RandAugmentDraw:
    """Draw operators and squares. Always takes four numbers for each operator and two for each square from `rng`."""
    u_operators, u_centres = rng.random((spec.num_ops, 4)), rng.random((spec.cutout_squares, 2))
    return RandAugmentDraw(
        operators=tuple(_operator(u, spec) for u in u_operators.tolist()),
        centres=tuple((u_row, u_column) for u_row, u_column in u_centres.tolist()),
        cutout_size=spec.cutout_size,
        ignore_cutout=spec.ignore_cutout,
    )


def _operator(u: list[float], spec: RandAugment) -> OperatorDraw:
    u_name, u_chance, u_magnitude, u_side = u
    name = spec.operators[int(u_name * len(spec.operators))]
    if u_chance >= spec.chance:
        return OperatorDraw("identity")
    low, high = spec.magnitudes
    magnitude = low + int(u_magnitude * (high - low + 1))
    return OperatorDraw(name, _amount(name, magnitude, spec, side=1 if u_side < 0.5 else -1))


def _amount(name: Operator, magnitude: int, spec: RandAugment, *, side: int) -> float:
    """Return the amount of an operator at a magnitude."""
    if name == "rotate":
        return side * magnitude * spec.rotate / MAX_MAGNITUDE
    if name in ("shear_x", "shear_y"):
        return side * magnitude * spec.shear / MAX_MAGNITUDE
    if name in ("translate_x", "translate_y"):
        return side * int(magnitude * spec.translate / MAX_MAGNITUDE)
    if name == "solarize":
        return 256 - magnitude * 256 // MAX_MAGNITUDE
    if name == "posterize":
        return 4 - magnitude * 4 // MAX_MAGNITUDE
    if name in ("color", "contrast", "brightness", "sharpness"):
        return 0.1 + magnitude * 1.8 / MAX_MAGNITUDE
    return 0.0


def apply_randaugment(
    images: torch.Tensor, draws: Sequence[RandAugmentDraw], sizes: Sequence[Size] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply to each image the operators of its draw; return the images and their index map.

    sizes: of each image without its padding, as for `apply_strong`
    """
    whole: Size = (images.shape[-2], images.shape[-1])
    sizes = [whole] * len(images) if sizes is None else sizes
    parts = [
        _apply(images[part[0] : part[-1] + 1], [draws[i] for i in part], [sizes[i] for i in part])
        for part in portions(list(range(len(images))), images)
    ]
    return torch.cat([image for image, _ in parts]), torch.cat([index_map for _, index_map in parts])


def _apply(
    images: torch.Tensor, draws: Sequence[RandAugmentDraw], sizes: Sequence[Size]
) -> tuple[torch.Tensor, torch.Tensor]:
    index_map = unmoved(len(images), images.shape[-2], images.shape[-1], images.device)
    for operators in zip(*(draw.operators for draw in draws), strict=True):
        images, index_map = _move(images, index_map, operators, sizes)
        images = _recolour(images, operators, sizes)
    if any(operator.name in MOVING for draw in draws for operator in draw.operators):
        images = images.masked_fill((index_map < 0).unsqueeze(1), MID_GREY)
    return _cut_out(images, index_map, draws, sizes)


# --- operators that move pixels ------------------------------------------------------------------------------


def _move(
    images: torch.Tensor, index_map: torch.Tensor, operators: Sequence[OperatorDraw], sizes: Sequence[Size]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply those operators that move pixels to their images and to the index map."""
    moved = [index for index, operator in enumerate(operators) if operator.name in MOVING]
    if not moved:
        return images, index_map
    affines = [_in_whole_numbers(_affine(operators[index], sizes[index])) for index in moved]
    step = _step(affines, [sizes[index] for index in moved], index_map)
    if len(moved) == len(images):
        return look_up(images, step, _OUTSIDE), look_up(index_map, step, -1)
    at = torch.tensor(moved, device=images.device)
    return (
        images.index_copy(0, at, look_up(images.index_select(0, at), step, _OUTSIDE)),
        index_map.index_copy(0, at, look_up(index_map.index_select(0, at), step, -1)),
    )


def _affine(operator: OperatorDraw, size: Size) -> Affine:
    """Return the map from a pixel of the result to its source: PIL's direction, from the top left corner."""
    amount = operator.amount
    if operator.name == "shear_x":
        return 1, amount, 0, 0, 1, 0
    if operator.name == "shear_y":
        return 1, 0, 0, amount, 1, 0
    if operator.name == "translate_x":
        return 1, 0, amount, 0, 1, 0
    if operator.name == "translate_y":
        return 1, 0, 0, 0, 1, amount
    assert operator.name == "rotate"
    # Against the clock, around the centre.
    cosine, sine = math.cos(math.radians(amount)), math.sin(math.radians(amount))
    x, y = size[1] / 2, size[0] / 2
    return cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y


def _in_whole_numbers(affine: Affine) -> tuple[int, ...]:
    """Return an affine map from a pixel's row and column to the source's coordinates, with 16 bits after the point."""
    a, b, c, d, e, f = affine
    # The map takes the pixel's centre.
    centred = (a, b, c + a / 2 + b / 2, d, e, f + d / 2 + e / 2)
    return tuple(math.floor(value * 2**_FRACTION_BITS + 0.5) for value in centred)


def _step(affines: Sequence[tuple[int, ...]], sizes: Sequence[Size], index_map: torch.Tensor) -> torch.Tensor:
    """Return the index map (N x H x W) of one affine map for each image; padding stays where it is."""
    device, (height, width) = index_map.device, index_map.shape[-2:]
    a, b, c, d, e, f = torch.tensor(affines, device=device).view(-1, 6, 1, 1).unbind(1)
    heights, widths = torch.tensor(sizes, device=device).view(-1, 2, 1, 1).unbind(1)
    y, x = torch.arange(height, device=device).view(-1, 1), torch.arange(width, device=device)
    source_x, source_y = (a * x + (b * y + c)) >> _FRACTION_BITS, (d * x + (e * y + f)) >> _FRACTION_BITS
    inside = (source_x >= 0) & (source_x < widths) & (source_y >= 0) & (source_y < heights)
    source = source_y.mul_(width).add_(source_x).masked_fill_(~inside, -1)
    if all(size == (height, width) for size in sizes):
        return source
    return torch.where((x < widths) & (y < heights), source, y * width + x)


# --- operators that keep pixels in place ---------------------------------------------------------------------


def _recolour(images: torch.Tensor, operators: Sequence[OperatorDraw], sizes: Sequence[Size]) -> torch.Tensor:
    """Apply those operators that change colours."""
    names = [operator.name if operator.name in _RECOLOUR else "identity" for operator in operators]
    if set(names) == {"identity"}:
        return images

    def apply(batch: torch.Tensor, indices: list[int]) -> torch.Tensor:
        name = names[indices[0]]
        return _RECOLOUR[name](batch, [operators[i].amount for i in indices]) if name != "identity" else batch

    return apply_by_kind(images, names, apply, sizes)


def autocontrast(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Stretch every channel to the full range."""
    stretched: torch.Tensor = tv.autocontrast(images)
    return stretched


def equalize(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Equalise every channel's histogram."""
    equalized: torch.Tensor = tv.equalize(images)
    return equalized


def solarize(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Invert the values from a threshold up."""
    return torch.where(images >= factors(images, amounts), images.bitwise_not(), images)


def posterize(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Keep the highest bits of each value."""
    kept = torch.tensor([256 - (256 >> int(bits)) for bits in amounts], dtype=torch.uint8, device=images.device)
    return images & kept.view(-1, 1, 1, 1)


def color(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Multiply the distance of each pixel from its luminance."""
    pixels = images.to(torch.float32)
    return round_to_steps(blend(pixels, luminance(pixels), factors(images, amounts)))


def contrast(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Multiply the distance of each pixel from the image's mean luminance."""
    pixels = images.to(torch.float32)
    mean = luminance(pixels.mean(dim=(-2, -1), keepdim=True))
    return round_to_steps(blend(pixels, mean, factors(images, amounts)))


def brightness(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Multiply every value."""
    return round_to_steps(images.to(torch.float32).mul_(factors(images, amounts)))


def sharpness(images: torch.Tensor, amounts: list[float]) -> torch.Tensor:
    """Multiply the distance of each pixel from its smoothed neighbourhood; the outermost pixels stay the same."""
    if min(images.shape[-2:]) < 3:
        return images
    pixels = images.to(torch.float32)
    inner = pixels[..., 1:-1, 1:-1].clone()
    # Of 13 parts, the centre has five and each of its eight neighbours one.
    smooth = functional.avg_pool2d(pixels, 3, stride=1).mul_(9 / 13).add_(inner, alpha=4 / 13)
    pixels[..., 1:-1, 1:-1] = blend(inner, smooth, factors(images, amounts))
    return round_to_steps(pixels)


_RECOLOUR: dict[str, Callable[[torch.Tensor, list[float]], torch.Tensor]] = {
    "autocontrast": autocontrast,
    "equalize": equalize,
    "solarize": solarize,
    "posterize": posterize,
    "color": color,
    "contrast": contrast,
    "brightness": brightness,
    "sharpness": sharpness,
}


# --- squares -------------------------------------------------------------------------------------------------


def _cut_out(
    images: torch.Tensor, index_map: torch.Tensor, draws: Sequence[RandAugmentDraw], sizes: Sequence[Size]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fill the squares with mid-grey. With `ignore_cutout` they show nothing of the image."""
    if not draws[0].centres:
        return images, index_map
    corners = [_corners(draw, size) for draw, size in zip(draws, sizes, strict=True)]
    top, left, bottom, right = torch.tensor(corners, device=images.device).view(len(draws), -1, 4, 1, 1).unbind(2)
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device).view(-1, 1)
    x = torch.arange(width, device=images.device)
    cut = (((y >= top) & (y < bottom)) & ((x >= left) & (x < right))).any(dim=1)
    images = images.masked_fill(cut.unsqueeze(1), MID_GREY)
    return images, index_map.masked_fill(cut, -1) if draws[0].ignore_cutout else index_map


def _corners(draw: RandAugmentDraw, size: Size) -> list[tuple[int, int, int, int]]:
    """Return the squares of an image as top, left, bottom, right (exclusive), clipped to the image."""
    (height, width), reach = size, draw.cutout_size // 2
    centres = [(int(row * height), int(column * width)) for row, column in draw.centres]
    return [
        (max(0, row - reach), max(0, column - reach), min(height, row + reach), min(width, column + reach))
        for row, column in centres
    ]
