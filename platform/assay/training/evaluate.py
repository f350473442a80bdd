"""Prediction and mIoU over a data set. C classes, H x W pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch.nn import functional

from assay.collectives import rank, sum_over_ranks, world_size
from assay.data.normalize import normalize
from assay.data.source import IGNORE, Source
from assay.method import Predictor
from assay.places import Places
from assay.recipe import Evaluation

PIXELS_TOGETHER = 40 * 1024  # in one batch, unless the user says how many images; large ones go one by one


class ConfusionMatrix:
    """Pixels by (true class, predicted class) over a whole data set; ignored pixels are left out."""

    def __init__(self, num_classes: int, *, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Count the pixels of class maps of equal shape."""
        kept = target != IGNORE
        cells = target[kept].long() * self.num_classes + prediction[kept].long()
        self.counts += torch.bincount(cells, minlength=self.num_classes**2).view_as(self.counts)

    def over_ranks(self) -> ConfusionMatrix:
        """The matrix of all ranks' pixels."""
        total = ConfusionMatrix(self.num_classes, device=self.counts.device)
        total.counts = sum_over_ranks(self.counts)
        return total

    def iou(self) -> list[float | None]:
        """Intersection over union by class; None for a class that is neither there nor predicted."""
        hits = self.counts.diagonal()
        unions = self.counts.sum(0) + self.counts.sum(1) - hits
        return [hit / union if union else None for hit, union in zip(hits.tolist(), unions.tolist(), strict=True)]

    def miou(self) -> float:
        """The mean over the classes that are there or predicted; 0 where nothing was counted."""
        present = [value for value in self.iou() if value is not None]
        return sum(present) / len(present) if present else 0.0

    def pixel_accuracy(self) -> float:
        """The share of pixels that are right."""
        total = int(self.counts.sum())
        return int(self.counts.diagonal().sum()) / total if total else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """What one predictor reached on the validation images; shares, not percent."""

    miou: float
    pixel_accuracy: float
    iou: tuple[float | None, ...]


def evaluate(
    predictors: Mapping[str, Predictor],
    source: Source,
    ids: Sequence[str],
    spec: Evaluation,
    *,
    batch: int | None = None,
    places: Places,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Score]:
    """Every predictor's score; each image is read once, and ranks share the images."""
    matrices = {name: ConfusionMatrix(source.num_classes(), device=device) for name in predictors}
    mine = ids[rank() :: world_size()]
    with torch.no_grad():
        for images, targets in image_batches(source, mine, batch, places):
            pixels = normalize(images.to(device), dtype=dtype)
            labels = targets.to(device)
            for name, predictor in predictors.items():
                matrices[name].update(predict(predictor, pixels, spec), labels)
    return {name: _score(matrix.over_ranks()) for name, matrix in matrices.items()}


def _score(matrix: ConfusionMatrix) -> Score:
    return Score(miou=matrix.miou(), pixel_accuracy=matrix.pixel_accuracy(), iou=tuple(matrix.iou()))


def image_batches(
    source: Source, ids: Iterable[str], size: int | None, places: Places
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Images (B x 3 x H x W, uint8) and masks (B x H x W); neighbours of equal size go together."""
    waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
    for image_id in ids:
        pixels, mask = source.read(image_id, places)
        image, target = torch.tensor(pixels).permute(2, 0, 1), torch.tensor(mask)
        full = size or max(1, PIXELS_TOGETHER // target.numel())
        if waiting and (len(waiting) >= full or waiting[-1][1].shape != target.shape):
            yield _stacked(waiting)
            waiting = []
        waiting.append((image, target))
    if waiting:
        yield _stacked(waiting)


def _stacked(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([image for image, _ in pairs]), torch.stack([mask for _, mask in pairs])


def predict(predictor: Predictor, images: torch.Tensor, spec: Evaluation) -> torch.Tensor:
    """The class of each pixel (B x H x W)."""
    fitted = 1.0 if spec.fit is None else spec.fit / max(images.shape[-2:])
    if spec.mode == "whole" and tuple(spec.scales) == (1.0,) and not spec.flip:
        return _classes(_as_large(predictor(_resized(images, fitted)), images))
    probabilities = images.new_zeros(())
    for scale in spec.scales:
        scaled = _resized(images, scale * fitted)
        for flipped in (False, True) if spec.flip else (False,):
            view = scaled.flip(-1) if flipped else scaled
            found = _sliding(predictor, view, spec) if spec.mode == "sliding" else predictor(view).softmax(dim=1)
            found = found.flip(-1) if flipped else found
            probabilities = probabilities + _as_large(found, images)
    return _classes(probabilities)


def _classes(found: torch.Tensor) -> torch.Tensor:
    """The class of each pixel, as argmax gives it, which takes several times longer on a CPU."""
    return found.max(dim=1).indices


def _as_large(found: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Logits or probabilities at the images' size."""
    size = images.shape[-2:]
    if found.shape[-2:] == size:
        return found
    return functional.interpolate(found, size=size, mode="bilinear", align_corners=False)


def _resized(images: torch.Tensor, scale: float) -> torch.Tensor:
    if scale == 1.0:
        return images
    size = [max(1, round(length * scale)) for length in images.shape[-2:]]
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def _sliding(predictor: Predictor, images: torch.Tensor, spec: Evaluation) -> torch.Tensor:
    """Probabilities averaged over windows; the image is padded where it is smaller than one."""
    height, width = images.shape[-2:]
    tall, wide = spec.window
    padded = functional.pad(images, (0, max(0, wide - width), 0, max(0, tall - height)))
    total: torch.Tensor | None = None
    visits = images.new_zeros(padded.shape[-2:])
    for top in window_starts(padded.shape[-2], tall, spec.stride_share):
        for left in window_starts(padded.shape[-1], wide, spec.stride_share):
            rows, columns = slice(top, top + tall), slice(left, left + wide)
            found = predictor(padded[..., rows, columns]).softmax(dim=1)
            if total is None:
                total = found.new_zeros((*found.shape[:2], *padded.shape[-2:]))
            total[..., rows, columns] += found
            visits[rows, columns] += 1
    assert total is not None
    return (total / visits)[..., :height, :width]


def window_starts(length: int, window: int, stride_share: float) -> list[int]:
    """Where windows begin so that they cover the length; the last one ends at its end."""
    stride = max(1, int(window * stride_share))
    return [*range(0, max(length - window, 0), stride), max(length - window, 0)]
