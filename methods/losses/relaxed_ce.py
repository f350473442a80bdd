"""Cross entropy with relaxed labels at boundaries (Zhu et al., CVPR 2019; Eq. 2 of Kim et al. 2020)."""

from __future__ import annotations

import torch
from torch.nn import functional

from assay.collectives import global_mean
from assay.data.source import IGNORE


def relaxed_ce(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    window: int,
    strict_classes: tuple[int, ...] = (),
    ignored_borders: bool = False,
    class_weight: float = 0.0,
    pixel_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the mean over pixels of -log Σ P(c), over the classes c in a pixel's w x w window (Eq. 2).

    logits: B x C x H x W; target: B x H x W, IGNORE where a pixel does not count
    window: w, an odd side; at the image's edge the window ends with the image. 1 is plain cross entropy.
    strict_classes: a pixel of one of these classes has its own class alone
    ignored_borders: an ignored pixel counts where its window has a class
    class_weight: u in the weight 1 + u (1 - share of the class in the image); a pixel's weight is the mean of its
        classes'. A pixel in several classes' windows has a share in each of them.
    pixel_weight: B x H x W, a factor of each pixel's loss; the mean is still over the number of pixels
    """
    classes = _window_classes(target, logits.shape[1], window)
    if strict_classes and window > 1:
        strict = _is_one_of(target, strict_classes)
        classes = torch.where(strict.unsqueeze(1), _window_classes(target, logits.shape[1], 1), classes)
    counted = classes.any(dim=1) if ignored_borders else target != IGNORE
    loss = _negative_log(logits, classes, counted)  # Eq. 2
    if class_weight:
        loss = loss * _class_weights((classes & counted.unsqueeze(1)).to(loss.dtype), class_weight)
    if pixel_weight is not None:
        loss = loss * pixel_weight
    return global_mean(loss.sum(), counted.sum())


def boundary(target: torch.Tensor, num_classes: int, *, window: int) -> torch.Tensor:
    """Return the pixels whose w x w window has several classes, B x H x W, bool."""
    return _window_classes(target, num_classes, window).sum(dim=1) > 1


def _window_classes(target: torch.Tensor, num_classes: int, window: int) -> torch.Tensor:
    """Return which classes each pixel's window has, B x C x H x W, bool; IGNORE is no class."""
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive, got {window}")
    images, height, width = target.shape
    label = torch.where(target == IGNORE, num_classes, target)
    label = functional.pad(label, (window // 2,) * 4, value=num_classes).unsqueeze(1)
    present = torch.zeros((images, num_classes + 1, height, width), dtype=torch.bool, device=target.device)
    for top in range(window):
        for left in range(window):
            present.scatter_(1, label[:, :, top : top + height, left : left + width], True)
    return present[:, :num_classes]


def _negative_log(logits: torch.Tensor, classes: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Return -log of the summed probabilities of each pixel's classes, B x H x W; 0 where a pixel does not count."""
    logits = logits.to(torch.promote_types(torch.float32, logits.dtype))
    inside = classes | ~counted.unsqueeze(1)  # all classes where no pixel counts: its gradient is then finite
    chosen = logits.masked_fill(~inside, -torch.inf)
    return torch.where(counted, logits.logsumexp(dim=1) - chosen.logsumexp(dim=1), 0.0)


def _class_weights(classes: torch.Tensor, strength: float) -> torch.Tensor:
    """Return each pixel's mean of the weights 1 + u (1 - share) of its classes (B x C x H x W, 1 or 0), B x H x W."""
    sizes = classes.sum(dim=(2, 3), keepdim=True)
    weights = 1 + strength * (1 - sizes / sizes.sum(dim=1, keepdim=True).clamp(min=1))
    return (classes * weights).sum(dim=1) / classes.sum(dim=1).clamp(min=1)


def _is_one_of(target: torch.Tensor, classes: tuple[int, ...]) -> torch.Tensor:
    """Return which pixels have one of the classes, B x H x W, bool."""
    chosen = torch.zeros_like(target, dtype=torch.bool)
    for index in classes:
        chosen |= target == index
    return chosen
