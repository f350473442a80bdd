"""Strong views of either kind: drawn for one image, applied to a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from assay.data.photometric import Size, StrongDraw, apply_strong, draw_strong
from assay.data.randaugment import RandAugmentDraw, apply_randaugment, draw_randaugment
from assay.data.views import RandAugment, Strong

AnyStrongDraw = StrongDraw | RandAugmentDraw


def draw_strong_view(rng: np.random.Generator, spec: Strong | RandAugment) -> AnyStrongDraw:
    """Draw a strong view. The number of numbers taken from `rng` depends on `spec` alone."""
    return draw_randaugment(rng, spec) if isinstance(spec, RandAugment) else draw_strong(rng, spec)


def apply_strong_view(
    images: torch.Tensor, draws: Sequence[AnyStrongDraw], sizes: Sequence[Size] | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Apply draws of one kind; return the views and their index map, which is None if all pixels stay in place.

    sizes: of each image without its padding, as for `apply_strong`
    """
    photometric = [draw for draw in draws if isinstance(draw, StrongDraw)]
    if photometric:
        return apply_strong(images, photometric, sizes), None
    return apply_randaugment(images, [draw for draw in draws if isinstance(draw, RandAugmentDraw)], sizes)
