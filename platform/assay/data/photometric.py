"""The operators of strong views, exactly one of five for each image, and the distortion of weak views.

Both work on batches and on any device. Images are B x 3 x H x W, uint8, before and after: the weak views have this
type, it needs a quarter of the memory traffic, and equalising and solarising are defined on it. The other operators
compute in single precision on the scale 0 to 255 and round once at their end. Each of the five operators gives the
results of torchvision's operators with the same parameters on single images. No image's result depends on the other
images of the batch. An operator processes the rectangle of a padded image alone, as in the authors' pipeline, which
pads last: no histogram, mean or border includes padding.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from torch.nn import functional
from torchvision.transforms.v2 import functional as tv

from assay.data.views import Distort, Strong

OPERATORS = ("jitter", "blur", "grey", "equalize", "solarize")  # in the order of Strong's weights
LUMINANCE = (0.2989, 0.587, 0.114)  # weights of R, G and B in grey, torchvision's
WHITE = 255.0
CACHE_VALUES = 2**18  # values of whole images that a CPU processes at once: 1 MiB in single precision
BAND_VALUES = 2**17  # values of the rows of an image that a CPU processes at once, with several results of that size
TINY = 1e-9  # above 0 and below any difference of two channels

Size = tuple[int, int]  # height and width


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrongDraw:
    """The operator of one image, with the drawn parameters of all operators."""

    operator: str
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # in turns of the hue circle
    kernel: int = 1
    sigma: float = 1.0


def draw_strong(rng: np.random.Generator, strong: Strong) -> StrongDraw:
    """Draw an operator and its parameters. Always takes seven numbers from `rng`."""
    u_operator, u_kernel, u_sigma, *u_jitter = rng.random(7).tolist()
    spans = (strong.brightness, strong.contrast, strong.saturation, strong.hue)
    brightness, contrast, saturation, hue = ((2 * u - 1) * span for u, span in zip(u_jitter, spans, strict=True))
    low, high = strong.blur_sigma
    return StrongDraw(
        operator=_operator(u_operator, strong),
        brightness=1 + brightness,
        contrast=1 + contrast,
        saturation=1 + saturation,
        hue=hue,
        kernel=strong.blur_kernels[int(u_kernel * len(strong.blur_kernels))],
        sigma=low + u_sigma * (high - low),
    )


def _operator(u: float, strong: Strong) -> str:
    ends = np.cumsum([getattr(strong, name) for name in OPERATORS])
    return OPERATORS[int(np.searchsorted(ends, u * ends[-1], side="right"))]


def apply_strong(
    images: torch.Tensor, draws: Sequence[StrongDraw], sizes: Sequence[Size] | None = None
) -> torch.Tensor:
    """Apply to each image the operator of its draw.

    sizes: of each image without its padding, which lies at the right and at the bottom and stays as it is; none: no
        image has padding
    """
    kinds = [(draw.operator, draw.kernel if draw.operator == "blur" else 0) for draw in draws]

    def apply(batch: torch.Tensor, indices: list[int]) -> torch.Tensor:
        return _APPLY[draws[indices[0]].operator](batch, [draws[index] for index in indices])

    return apply_by_kind(images, kinds, apply, sizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistortDraw:
    """The distortion of one image. The default of each field changes nothing."""

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # in turns of the hue circle
    contrast_last: bool = False

    @property
    def changes_colours(self) -> bool:
        """True if the distortion changes saturation or hue."""
        return self.saturation != 1 or self.hue != 0


def draw_distort(rng: np.random.Generator, distort: Distort) -> DistortDraw:
    """Draw the distortion of an image. Always takes nine numbers from `rng`."""
    u_chances, u_amounts, (u_order,) = np.split(rng.random(9), [4, 8])
    spans = (distort.brightness, distort.contrast, distort.saturation, distort.hue)
    brightness, contrast, saturation, hue = (
        float((2 * u_amount - 1) * span) if u_chance < distort.chance else 0.0
        for u_chance, u_amount, span in zip(u_chances, u_amounts, spans, strict=True)
    )
    return DistortDraw(
        brightness=brightness,
        contrast=1 + contrast,
        saturation=1 + saturation,
        hue=hue,
        contrast_last=bool(u_order < 0.5),
    )


def apply_distort(images: torch.Tensor, draws: Sequence[DistortDraw]) -> torch.Tensor:
    """Apply to each image the distortion of its draw. Images whose hue and saturation stay skip that costly part.

    A pixel's result depends on the pixel alone, so padding has no effect on images.
    """
    kinds = [draw.changes_colours for draw in draws]

    def apply(batch: torch.Tensor, indices: list[int]) -> torch.Tensor:
        return distort(batch, [draws[index] for index in indices])

    return apply_by_kind(images, kinds, apply)


def distort(images: torch.Tensor, draws: Sequence[DistortDraw]) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue in this order, or contrast last."""
    pixels = images.to(torch.float32).add_(factors(images, [draw.brightness for draw in draws])).clamp_(0, WHITE)
    early = factors(images, [1.0 if draw.contrast_last else draw.contrast for draw in draws])
    pixels = pixels.mul_(early).clamp_(0, WHITE)
    if any(draw.changes_colours for draw in draws):
        pixels = _saturate(pixels, factors(images, [draw.saturation for draw in draws]))
        pixels = _turn_hue(pixels, factors(images, [draw.hue for draw in draws]))
    late = factors(images, [draw.contrast if draw.contrast_last else 1.0 for draw in draws])
    return round_to_steps(pixels.mul_(late))


def apply_by_kind(
    images: torch.Tensor,
    kinds: Sequence[Hashable],
    apply: Callable[[torch.Tensor, list[int]], torch.Tensor],
    sizes: Sequence[Size] | None = None,
) -> torch.Tensor:
    """Apply a function to the images of each kind together, without their padding.

    It gets a batch of images of one size and their indices.
    """
    whole: Size = (images.shape[-2], images.shape[-1])
    groups: dict[tuple[Hashable, Size], list[int]] = {}
    for index, kind in enumerate(kinds):
        groups.setdefault((kind, whole if sizes is None else sizes[index]), []).append(index)
    results: dict[int, torch.Tensor] = {}
    for (_, (height, width)), group in groups.items():
        rectangles = images[..., :height, :width]
        for indices in portions(group, rectangles):
            batch = rectangles.index_select(0, torch.tensor(indices, device=images.device))
            outputs = zip(indices, apply(batch, indices), strict=True)
            results.update((index, _with_padding_of(images[index], output)) for index, output in outputs)
    return torch.stack([results[index] for index in range(len(images))])


def _with_padding_of(image: torch.Tensor, rectangle: torch.Tensor) -> torch.Tensor:
    """Return a rectangle with the padding of an image, or the rectangle itself if it fills the image."""
    if rectangle.shape == image.shape:
        return rectangle
    padded = image.clone()
    padded[..., : rectangle.shape[-2], : rectangle.shape[-1]] = rectangle
    return padded


def portions(indices: list[int], images: torch.Tensor) -> list[list[int]]:
    """Return indices of images in the portions that a device processes at once."""
    # An accelerator is fastest with few large steps, a CPU with portions that fit its cache.
    on_cpu = images.device.type == "cpu"
    size = max(1, CACHE_VALUES // images[0].numel()) if on_cpu else len(indices)
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _bands(images: torch.Tensor) -> list[slice]:
    """Return the rows that a device processes at once, in order."""
    height = images.shape[-2]
    on_cpu = images.device.type == "cpu"
    size = max(1, BAND_VALUES * height // images.numel()) if on_cpu else height
    return [slice(start, min(start + size, height)) for start in range(0, height, size)]


def jitter(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue, in this order."""
    pixels = images.to(torch.float32)
    pixels = pixels.mul_(factors(images, [draw.brightness for draw in draws])).clamp_(0, WHITE)
    mean_grey = luminance(pixels.mean(dim=(-2, -1), keepdim=True))
    contrast = factors(images, [draw.contrast for draw in draws])
    towards = mean_grey.mul_(1 - contrast)
    saturation, hue = (factors(images, [getattr(draw, name) for draw in draws]) for name in ("saturation", "hue"))
    jittered = torch.empty_like(images)
    for rows in _bands(images):
        band = pixels[..., rows, :].mul_(contrast).add_(towards).clamp_(0, WHITE)
        band = blend(band, luminance(band), saturation)
        jittered[..., rows, :] = round_to_steps(_turn_hue(band, hue))
    return jittered


def blur(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Blur with a Gaussian kernel and reflecting borders. All draws must have the same kernel size."""
    # Reflection cannot pad by more than the image's size, so a small image limits the kernel.
    reach = min(draws[0].kernel // 2, min(images.shape[-2:]) - 1)
    if reach == 0:
        return images.clone()
    taps = torch.tensor([_gaussian(reach, draw.sigma) for draw in draws], device=images.device)
    padded = functional.pad(images.to(torch.float32), (reach,) * 4, mode="reflect")
    blurred = torch.empty_like(images)
    for rows in _bands(images):
        band = padded[..., rows.start : rows.stop + 2 * reach, :]
        blurred[..., rows, :] = round_to_steps(_filter(_filter(band, taps, dim=-2), taps, dim=-1))
    return blurred


def grey(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Set all three channels to the luminance."""
    return round_to_steps(luminance(images.to(torch.float32))).expand_as(images)


def equalize(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Equalise every channel's histogram."""
    equalized: torch.Tensor = tv.equalize(images)
    return equalized


def solarize(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Invert values of 128 and above."""
    # The smaller of a value and its inverse is below 128. A minimum is vectorised, a conditional is not.
    return torch.minimum(images, images.bitwise_not())


_APPLY: dict[str, Callable[[torch.Tensor, Sequence[StrongDraw]], torch.Tensor]] = {
    "jitter": jitter,
    "blur": blur,
    "grey": grey,
    "equalize": equalize,
    "solarize": solarize,
}


def factors(images: torch.Tensor, values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, device=images.device).view(-1, 1, 1, 1)


def round_to_steps(pixels: torch.Tensor) -> torch.Tensor:
    """Return the nearest of 256 steps. The argument is overwritten."""
    # Through 16 bits, because CPUs convert floating point to 8 bits slowly.
    return pixels.add_(0.5).clamp_(0, WHITE).to(torch.int16).to(torch.uint8)


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    red, green, blue = pixels.chunk(3, dim=1)
    return red.mul(LUMINANCE[0]).add_(green, alpha=LUMINANCE[1]).add_(blue, alpha=LUMINANCE[2])


def blend(pixels: torch.Tensor, towards: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Return factor · pixels + (1 - factor) · towards. Both arguments are overwritten."""
    return pixels.mul_(factor).add_(towards.mul_(1 - factor)).clamp_(0, WHITE)


def _saturate(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply the saturation by `factor`, up to full saturation. Hue and largest channel stay the same."""
    high = pixels.amax(dim=1, keepdim=True)
    span = high - pixels.amin(dim=1, keepdim=True)
    # A colour is fully saturated where its smallest channel is 0.
    stretched = torch.minimum(factor, high / span.clamp(min=TINY))
    return (pixels - high).mul_(stretched).add_(high)


def _turn_hue(pixels: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hue. Each pixel's largest and smallest channel stay the same, and so do value and saturation.

    Measured in sixths of the hue circle, each channel's position between smallest and largest is a trapezoid.
    """
    low, high = pixels.amin(dim=1, keepdim=True), pixels.amax(dim=1, keepdim=True)
    span = high.sub_(low)
    sixths = _hue_sixths(pixels, span).add_(turns * 6)
    sixths.sub_(torch.floor(sixths / 6).mul_(6))
    red = (sixths - 3).abs_().sub_(1)
    green = (sixths - 2).abs_().neg_().add_(2)
    blue = (sixths - 4).abs_().neg_().add_(2)
    return torch.cat((red, green, blue), dim=1).clamp_(0, 1).mul_(span).add_(low)


def _hue_sixths(pixels: torch.Tensor, span: torch.Tensor) -> torch.Tensor:
    """Return the hue in sixths of a circle, from -3 to 3 with red at 0. The hue of a grey pixel is arbitrary.

    With the channels scaled to smallest 0 and largest 1, the distance from red is green + blue + 1 - red on the whole
    circle. The usual conversion is slow because it distinguishes cases; this one needs none.
    """
    red, green, blue = pixels.chunk(3, dim=1)
    low_and_red = pixels.amin(dim=1, keepdim=True).add_(red)
    distance = (green + blue).sub_(low_and_red).div_(span.clamp(min=TINY)).add_(1)
    return distance.copysign_(green - blue)


def _gaussian(reach: int, sigma: float) -> list[float]:
    """Return the centre and one side of a Gaussian. With both sides its values add up to 1."""
    side = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(reach + 1)]
    total = 2 * sum(side) - side[0]
    return [tap / total for tap in side]


def _filter(padded: torch.Tensor, taps: torch.Tensor, dim: int) -> torch.Tensor:
    """Filter images along one side with symmetric taps, B x (reach + 1). The result is `reach` shorter at both ends."""
    reach = taps.shape[1] - 1
    size = padded.shape[dim] - 2 * reach
    weights = taps.view(*taps.shape, 1, 1, 1).unbind(dim=1)
    filtered = padded.narrow(dim, reach, size) * weights[0]
    for step in range(1, reach + 1):
        both = padded.narrow(dim, reach - step, size) + padded.narrow(dim, reach + step, size)
        filtered.add_(both.mul_(weights[step]))
    return filtered
