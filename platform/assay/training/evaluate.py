"""Prediction and mIoU over a data set. C classes, H x W pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch.nn import functional

from assay.collectives import rank, sum_over_ranks, world_size
from assay.data.normalize import Normalization, normalize
from assay.data.reading import read
from assay.data.source import IGNORE, Source
from assay.method import Predictor
from assay.places import Places
from assay.recipe import Evaluation

PIXELS_PER_BATCH = 40 * 1024  # unless the user sets the number of images; larger images go one by one


class ConfusionMatrix:
    """Numbers of pixels by (true class, predicted class) over a whole data set, without ignored pixels."""

    def __init__(self, num_classes: int, *, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    def update(self, prediction: torch.Tensor, target: torch.Tensor) -> None:
        """Count the pixels of class maps of equal shape."""
        counted = target != IGNORE
        pairs = target[counted].long() * self.num_classes + prediction[counted].long()
        self.counts += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.counts)

    def over_ranks(self) -> ConfusionMatrix:
        """Return the matrix of all ranks' pixels."""
        total = ConfusionMatrix(self.num_classes, device=self.counts.device)
        total.counts = sum_over_ranks(self.counts)
        return total

    def iou(self) -> list[float | None]:
        """Return intersection over union by class; None for a class that is neither present nor predicted."""
        hits = self.counts.diagonal()
        unions = self.counts.sum(0) + self.counts.sum(1) - hits
        return [hit / union if union else None for hit, union in zip(hits.tolist(), unions.tolist(), strict=True)]

    def miou(self) -> float:
        """Return the mean over the classes that are present or predicted; 0 where no pixel was counted."""
        present = [value for value in self.iou() if value is not None]
        return sum(present) / len(present) if present else 0.0

    def pixel_accuracy(self) -> float:
        """Return the share of pixels with the right class."""
        total = int(self.counts.sum())
        return int(self.counts.diagonal().sum()) / total if total else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """The score of one predictor on the validation images, in shares, not percent."""

    miou: float
    pixel_accuracy: float
    iou: tuple[float | None, ...]


def evaluate(
    predictors: Mapping[str, Predictor],
    source: Source,
    ids: Sequence[str],
    spec: Evaluation,
    *,
    normalization: Normalization,
    batch: int | None = None,
    places: Places,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Score]:
    """Return every predictor's score. Each image is read once, and the ranks share the images."""
    matrices = {name: ConfusionMatrix(source.num_classes(), device=device) for name in predictors}
    ids_of_rank = ids[rank() :: world_size()]
    with torch.no_grad():
        for images, targets in image_batches(source, ids_of_rank, batch, places):
            pixels = normalize(images.to(device), normalization, dtype)
            labels = targets.to(device)
            for name, predictor in predictors.items():
                matrices[name].update(predict(predictor, pixels, spec), labels)
    return {name: _score(matrix.over_ranks()) for name, matrix in matrices.items()}


def _score(matrix: ConfusionMatrix) -> Score:
    return Score(miou=matrix.miou(), pixel_accuracy=matrix.pixel_accuracy(), iou=tuple(matrix.iou()))


def image_batches(
    source: Source, ids: Iterable[str], size: int | None, places: Places
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield images (B x 3 x H x W, uint8) and masks (B x H x W); neighbours of equal size form a batch."""
    waiting: list[tuple[torch.Tensor, torch.Tensor]] = []
    for image_id in ids:
        pixels, mask = read(source, image_id, places)
        image, target = torch.tensor(pixels).permute(2, 0, 1), torch.tensor(mask)
        full = size or max(1, PIXELS_PER_BATCH // target.numel())
        if waiting and (len(waiting) >= full or waiting[-1][1].shape != target.shape):
            yield _stack(waiting)
            waiting = []
        waiting.append((image, target))
    if waiting:
        yield _stack(waiting)


def _stack(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([image for image, _ in pairs]), torch.stack([mask for _, mask in pairs])


def predict(predictor: Predictor, images: torch.Tensor, spec: Evaluation) -> torch.Tensor:
    """Return the class of each pixel (B x H x W), by the evaluation protocol."""
    fit_scale = 1.0 if spec.fit is None else spec.fit / max(images.shape[-2:])
    if not spec.averages():
        return _classes(_resize_to(predictor(_rescale(images, fit_scale)), images))
    total = images.new_zeros(())
    for scale in spec.scales:
        scaled = _rescale(images, scale * fit_scale)
        for flipped in (False, True) if spec.flip else (False,):
            view = scaled.flip(-1) if flipped else scaled
            output = (
                _predict_windows(predictor, view, spec, scale)
                if spec.mode == "sliding"
                else _averaged(predictor(view), spec)
            )
            output = output.flip(-1) if flipped else output
            total = total + _resize_to(output, images)
    return _classes(total)


def _averaged(logits: torch.Tensor, spec: Evaluation) -> torch.Tensor:
    """Return what is averaged: probabilities or logits."""
    return logits if spec.average == "logits" else logits.softmax(dim=1)


def _classes(outputs: torch.Tensor) -> torch.Tensor:
    """Return the class of each pixel, as argmax does, which takes several times longer on a CPU."""
    return outputs.max(dim=1).indices


def _resize_to(outputs: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return logits or probabilities at the images' size."""
    size = images.shape[-2:]
    if outputs.shape[-2:] == size:
        return outputs
    return functional.interpolate(outputs, size=size, mode="bilinear", align_corners=False)


def _rescale(images: torch.Tensor, scale: float) -> torch.Tensor:
    if scale == 1.0:
        return images
    size = [max(1, round(length * scale)) for length in images.shape[-2:]]
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def _predict_windows(predictor: Predictor, images: torch.Tensor, spec: Evaluation, scale: float) -> torch.Tensor:
    """Return probabilities or logits averaged over sliding windows; pad images that are smaller than a window."""
    height, width = images.shape[-2:]
    window_height, window_width = spec.window
    if spec.windows == "scaled":
        window_height = min(int(window_height * max(scale, 1.0)), height)
        window_width = min(int(window_width * max(scale, 1.0)), width)
    padded = functional.pad(images, (0, max(0, window_width - width), 0, max(0, window_height - height)))
    total: torch.Tensor | None = None
    visits = images.new_zeros(padded.shape[-2:])
    for top in window_starts(padded.shape[-2], window_height, spec.stride_share):
        for left in window_starts(padded.shape[-1], window_width, spec.stride_share):
            rows, columns = slice(top, top + window_height), slice(left, left + window_width)
            output = _averaged(predictor(padded[..., rows, columns]), spec)
            if total is None:
                total = output.new_zeros((*output.shape[:2], *padded.shape[-2:]))
            total[..., rows, columns] += output
            visits[rows, columns] += 1
    assert total is not None
    return (total / visits)[..., :height, :width]


def window_starts(length: int, window: int, stride_share: float) -> list[int]:
    """Return the positions at which windows begin that cover the length; the last one ends at its end."""
    stride = max(1, int(window * stride_share))
    return [*range(0, max(length - window, 0), stride), max(length - window, 0)]
