"""The strong view's operators, exactly one of five for each image, and the weak views' distortion.

Both work on batches and on any device.

Images are B x 3 x H x W, uint8, in and out: it is what the weak views are, a quarter of the memory traffic, and what
equalising and solarising are defined on. The other operators compute in single precision on the scale 0 to 255 and
round once, at their end. Each of the five gives what torchvision's operators give with the same parameters one
image at a time; no image's result depends on the others in the batch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
import torch.nn.functional as nn
from torchvision.transforms.v2 import functional as tv

from assay.data.views import Distort, Strong

OPERATORS = ("jitter", "blur", "grey", "equalize", "solarize")  # in the order of Strong's weights
LUMINANCE = (0.2989, 0.587, 0.114)  # how much of R, G and B is grey, as torchvision has it
WHITE = 255.0
CACHED = 2**18  # values that a processor works on at once: 1 MiB in single precision
TINY = 1e-9  # below any difference of two channels, above 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrongDraw:
    """One image's operator, and the parameters that each operator would have."""

    operator: str
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # in turns of the hue circle
    kernel: int = 1
    sigma: float = 1.0


def draw_strong(rng: np.random.Generator, strong: Strong) -> StrongDraw:
    """An operator and its parameters; always seven numbers from `rng`."""
    at_operator, at_kernel, at_sigma, *at_jitter = rng.random(7).tolist()
    spans = (strong.brightness, strong.contrast, strong.saturation, strong.hue)
    brightness, contrast, saturation, hue = ((2 * at - 1) * span for at, span in zip(at_jitter, spans, strict=True))
    low, high = strong.blur_sigma
    return StrongDraw(
        operator=_operator(at_operator, strong),
        brightness=1 + brightness,
        contrast=1 + contrast,
        saturation=1 + saturation,
        hue=hue,
        kernel=strong.blur_kernels[int(at_kernel * len(strong.blur_kernels))],
        sigma=low + at_sigma * (high - low),
    )


def _operator(at: float, strong: Strong) -> str:
    ends = np.cumsum([getattr(strong, name) for name in OPERATORS])
    return OPERATORS[int(np.searchsorted(ends, at * ends[-1], side="right"))]


def apply_strong(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Each image under its own draw."""
    kinds = [(draw.operator, draw.kernel if draw.operator == "blur" else 0) for draw in draws]
    return _by_kind(
        images, kinds, lambda batch, some: _APPLY[draws[some[0]].operator](batch, [draws[index] for index in some])
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistortDraw:
    """One image's distortion; what was not drawn to be done changes nothing."""

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # in turns of the hue circle
    contrast_last: bool = False

    @property
    def colours(self) -> bool:
        """Whether more than brightness and contrast changes."""
        return self.saturation != 1 or self.hue != 0


def draw_distort(rng: np.random.Generator, distort: Distort) -> DistortDraw:
    """What is done to an image and how strongly; always nine numbers from `rng`."""
    chances, amounts, (order,) = np.split(rng.random(9), [4, 8])
    spans = (distort.brightness, distort.contrast, distort.saturation, distort.hue)
    brightness, contrast, saturation, hue = (
        float((2 * at - 1) * span) if chance < distort.chance else 0.0
        for chance, at, span in zip(chances, amounts, spans, strict=True)
    )
    return DistortDraw(
        brightness=brightness,
        contrast=1 + contrast,
        saturation=1 + saturation,
        hue=hue,
        contrast_last=bool(order < 0.5),
    )


def apply_distort(images: torch.Tensor, draws: Sequence[DistortDraw]) -> torch.Tensor:
    """Each image under its own draw; those whose colours stay as they are skip the costly part."""
    kinds = [draw.colours for draw in draws]
    return _by_kind(images, kinds, lambda batch, some: distort(batch, [draws[index] for index in some]))


def distort(images: torch.Tensor, draws: Sequence[DistortDraw]) -> torch.Tensor:
    """Brightness, contrast, saturation and hue, or contrast last."""
    pixels = images.to(torch.float32).add_(_factors(images, [draw.brightness for draw in draws])).clamp_(0, WHITE)
    early = _factors(images, [1.0 if draw.contrast_last else draw.contrast for draw in draws])
    pixels = pixels.mul_(early).clamp_(0, WHITE)
    if any(draw.colours for draw in draws):
        pixels = _saturated(pixels, _factors(images, [draw.saturation for draw in draws]))
        pixels = _turn_hue(pixels, _factors(images, [draw.hue for draw in draws]))
    late = _factors(images, [draw.contrast if draw.contrast_last else 1.0 for draw in draws])
    return _rounded(pixels.mul_(late))


def _by_kind(
    images: torch.Tensor, kinds: Sequence[Hashable], change: Callable[[torch.Tensor, list[int]], torch.Tensor]
) -> torch.Tensor:
    """The images changed, those of one kind together; `change` is told which ones it has."""
    groups: dict[Hashable, list[int]] = {}
    for index, kind in enumerate(kinds):
        groups.setdefault(kind, []).append(index)
    changed: dict[int, torch.Tensor] = {}
    for members in groups.values():
        for some in _portions(members, images):
            where = torch.tensor(some, device=images.device)
            changed.update(zip(some, change(images.index_select(0, where), some), strict=True))
    return torch.stack([changed[index] for index in range(len(images))])


def _portions(members: list[int], images: torch.Tensor) -> list[list[int]]:
    # An accelerator wants few, large steps; a processor wants portions that stay in its cache.
    on_processor = images.device.type == "cpu"
    size = max(1, CACHED // images[0].numel()) if on_processor else len(members)
    return [members[start : start + size] for start in range(0, len(members), size)]


def jitter(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Brightness, contrast, saturation and hue, in this order."""
    pixels = images.to(torch.float32)
    pixels = pixels.mul_(_factors(images, [draw.brightness for draw in draws])).clamp_(0, WHITE)
    mean_grey = _luminance(pixels.mean(dim=(-2, -1), keepdim=True))
    pixels = _blend(pixels, mean_grey, _factors(images, [draw.contrast for draw in draws]))
    pixels = _blend(pixels, _luminance(pixels), _factors(images, [draw.saturation for draw in draws]))
    return _rounded(_turn_hue(pixels, _factors(images, [draw.hue for draw in draws])))


def blur(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """A Gaussian blur, the images mirrored at their borders; all draws must have the same kernel size."""
    # A mirror shows no more than the image beside it, so a small image bounds the kernel.
    reach = min(draws[0].kernel // 2, min(images.shape[-2:]) - 1)
    if reach == 0:
        return images.clone()
    taps = torch.tensor([_gaussian(reach, draw.sigma) for draw in draws], device=images.device)
    padded = nn.pad(images.to(torch.float32), (reach,) * 4, mode="reflect")
    return _rounded(_filter(_filter(padded, taps, dim=-2), taps, dim=-1))


def grey(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """The luminance in all three channels."""
    return _rounded(_luminance(images.to(torch.float32))).expand_as(images)


def equalize(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Every channel's histogram made flat."""
    equalized: torch.Tensor = tv.equalize(images)
    return equalized


def solarize(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """The bright half of the values (128 and above) inverted."""
    # Of a value and its inverse the smaller one is below 128; and this is vectorised where a choice is not.
    return torch.minimum(images, images.bitwise_not())


_APPLY: dict[str, Callable[[torch.Tensor, Sequence[StrongDraw]], torch.Tensor]] = {
    "jitter": jitter,
    "blur": blur,
    "grey": grey,
    "equalize": equalize,
    "solarize": solarize,
}


def _factors(images: torch.Tensor, values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, device=images.device).view(-1, 1, 1, 1)


def _rounded(pixels: torch.Tensor) -> torch.Tensor:
    """The nearest of 256 steps; the argument is used up."""
    # Through 16 bits, since processors have no fast way from floating point to 8 bits.
    return pixels.add_(0.5).clamp_(0, WHITE).to(torch.int16).to(torch.uint8)


def _luminance(pixels: torch.Tensor) -> torch.Tensor:
    red, green, blue = pixels.chunk(3, dim=1)
    return red.mul(LUMINANCE[0]).add_(green, alpha=LUMINANCE[1]).add_(blue, alpha=LUMINANCE[2])


def _blend(pixels: torch.Tensor, towards: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Both mixed, `factor` parts of the first; both arguments are used up."""
    return pixels.mul_(factor).add_(towards.mul_(1 - factor)).clamp_(0, WHITE)


def _saturated(pixels: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Saturation times `factor`, at most full, with hue and largest channel kept."""
    high = pixels.amax(dim=1, keepdim=True)
    span = high - pixels.amin(dim=1, keepdim=True)
    # A colour is fully saturated where its smallest channel is 0.
    stretched = torch.minimum(factor, high / span.clamp(min=TINY))
    return (pixels - high).mul_(stretched).add_(high)


def _turn_hue(pixels: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """The hue turned, the largest and the smallest channel of each pixel (value and saturation) kept.

    On the hue circle, six sixths long, each channel's place between smallest and largest is a trapezoid.
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
    """The hue in sixths of a circle, from -3 to 3 with red at 0; of a grey pixel any.

    With the channels stretched to smallest 0 and largest 1, green + blue + 1 - red is the distance from red along
    the whole circle: no case has to be told from another, which is what makes the usual conversion slow.
    """
    red, green, blue = pixels.chunk(3, dim=1)
    low_and_red = pixels.amin(dim=1, keepdim=True).add_(red)
    distance = (green + blue).sub_(low_and_red).div_(span.clamp(min=TINY)).add_(1)
    return distance.copysign_(green - blue)


def _gaussian(reach: int, sigma: float) -> list[float]:
    """The centre and one side of a Gaussian whose values, both sides counted, add up to 1."""
    side = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(reach + 1)]
    total = 2 * sum(side) - side[0]
    return [tap / total for tap in side]


def _filter(padded: torch.Tensor, taps: torch.Tensor, dim: int) -> torch.Tensor:
    """Images filtered along one side by symmetric taps, B x (reach + 1), and that much smaller at both ends."""
    reach = taps.shape[1] - 1
    size = padded.shape[dim] - 2 * reach
    weights = taps.view(*taps.shape, 1, 1, 1).unbind(dim=1)
    filtered = padded.narrow(dim, reach, size) * weights[0]
    for step in range(1, reach + 1):
        both = padded.narrow(dim, reach - step, size) + padded.narrow(dim, reach + step, size)
        filtered.add_(both.mul_(weights[step]))
    return filtered
