"""The colours of weak views: a change drawn for one image, applied to a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from assay.data.photometric import (
    DistortDraw,
    StrongDraw,
    apply_by_kind,
    apply_distort,
    blur,
    draw_distort,
    jitter,
)
from assay.data.views import Distort, JitterBlur

AnyWeakDraw = DistortDraw | StrongDraw
CUT = 4.0  # deviations at which the blur's kernel ends, as in scikit-image


def draw_weak_view(rng: np.random.Generator, spec: Distort | JitterBlur) -> AnyWeakDraw:
    """Draw a weak view's change of colours. The number of numbers taken from `rng` depends on `spec` alone."""
    return draw_jitter_blur(rng, spec) if isinstance(spec, JitterBlur) else draw_distort(rng, spec)


def apply_weak_view(images: torch.Tensor, draws: Sequence[AnyWeakDraw]) -> torch.Tensor:
    """Apply draws of one kind to images, B x 3 x H x W, uint8, on any device."""
    jitter_blurs = [draw for draw in draws if isinstance(draw, StrongDraw)]
    if jitter_blurs:
        return apply_jitter_blur(images, jitter_blurs)
    return apply_distort(images, [draw for draw in draws if isinstance(draw, DistortDraw)])


def draw_jitter_blur(rng: np.random.Generator, spec: JitterBlur) -> StrongDraw:
    """Draw the jitter's factors and the blur's width. Always takes five numbers from `rng`."""
    u_sigma, *u_jitter = rng.random(5).tolist()
    spans = (spec.brightness, spec.contrast, spec.saturation, spec.hue)
    brightness, contrast, saturation, hue = ((2 * u - 1) * span for u, span in zip(u_jitter, spans, strict=True))
    low, high = spec.blur_sigma
    return StrongDraw(
        operator="jitter",
        brightness=1 + brightness,
        contrast=1 + contrast,
        saturation=1 + saturation,
        hue=hue,
        kernel=2 * int(CUT * high + 0.5) + 1,
        sigma=low + u_sigma * (high - low),
    )


def apply_jitter_blur(images: torch.Tensor, draws: Sequence[StrongDraw]) -> torch.Tensor:
    """Jitter each image's colours, then blur it. No image's result depends on the other images."""

    def apply(batch: torch.Tensor, indices: list[int]) -> torch.Tensor:
        chosen = [draws[index] for index in indices]
        return blur(jitter(batch, chosen), chosen)

    return apply_by_kind(images, [draw.kernel for draw in draws], apply)
