"""The n-th batch as a function of the experiment's seed and n, whatever reads it: any number of loader processes,
any number of ranks.

Endless streams of images are cut into batches. Loader processes read, crop and draw; `on_device` does the rest.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from assay.data.batch import Batch, BoxMaps, Labeled, Unlabeled
from assay.data.boxes import draw_boxes, paint
from assay.data.draws import generator
from assay.data.geometry import apply_geometry, apply_to_mask, draw_geometry
from assay.data.normalize import normalize
from assay.data.photometric import DistortDraw, StrongDraw, apply_distort, apply_strong, draw_distort, draw_strong
from assay.data.source import Source
from assay.data.splits import SplitResult
from assay.data.stored_masks import StoredMasks
from assay.data.streams import Stream
from assay.data.views import Augment, Boxes, Views
from assay.errors import AssayError, UserError
from assay.places import Places
from assay.recipe import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crops:
    """What a loader process makes of one stream for one batch."""

    images: torch.Tensor  # B x 3 x H x W, uint8
    labels: torch.Tensor  # B x H x W, uint8
    valid: torch.Tensor  # B x H x W, bool
    distort: tuple[DistortDraw, ...]  # by image; none where colours stay as they are
    strong: tuple[tuple[StrongDraw, ...], ...]  # by strong view, by image
    ids: tuple[str, ...]
    stored: Mapping[str, torch.Tensor]  # B x H x W, uint8, by name


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawBatch:
    """One (micro-)batch of one rank as it comes from a loader process."""

    labeled: Crops
    unlabeled: tuple[Crops, ...]
    boxes: torch.Tensor | None  # B x N x 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Everything a loader process needs to make any batch."""

    source: Source
    places: Places
    labeled: Stream
    unlabeled: tuple[Stream, ...]
    views: Views
    recipe: Recipe
    seed: int
    rank: int
    world_size: int
    stored: Mapping[str, StoredMasks] = dataclasses.field(default_factory=dict)  # by the name in `views.stored`

    @classmethod
    def make(
        cls,
        source: Source,
        images: SplitResult,
        views: Views,
        recipe: Recipe,
        *,
        places: Places,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> BatchPlan:
        """Refuses what cannot be divided over the ranks, and methods without the images they need."""
        for field in ("labeled_batch", "unlabeled_batch"):
            size, parts = getattr(recipe, field), recipe.accumulate * world_size
            if size % parts:
                raise UserError(
                    f"recipe.{field} must divide over {world_size} ranks x {recipe.accumulate} micro-batches, got"
                    f" {size}; choose a multiple of {parts}, or other ranks."
                )
        if views.unlabeled and not images.unlabeled:
            raise UserError(
                "this method needs unlabelled images and the split has none; choose data.split.unlabeled, for"
                " example the training pool's name."
            )
        return cls(
            source=source,
            places=places,
            labeled=Stream(name="labeled", ids=tuple(sorted(images.labeled)), seed=seed),
            unlabeled=tuple(
                Stream(name=f"unlabeled{index}", ids=tuple(sorted(images.unlabeled)), seed=seed)
                for index in range(views.unlabeled)
            ),
            views=views,
            recipe=recipe,
            seed=seed,
            rank=rank,
            world_size=world_size,
        )

    def images_with_stored(self) -> tuple[str, ...]:
        """The images whose stored masks the method wants."""
        streams = (*self.unlabeled, *((self.labeled,) if self.views.labeled_stored else ()))
        return tuple(sorted({each for stream in streams for each in stream.ids})) if self.views.stored else ()

    @property
    def lacks_stored(self) -> bool:
        """Whether masks must still be handed over, by `with_stored`, before there can be batches."""
        return set(self.stored) != set(self.views.stored)

    def with_stored(self, stored: Mapping[str, StoredMasks]) -> BatchPlan:
        """This plan with the masks that `views.stored` names; refused where an image has none."""
        for masks in stored.values():
            masks.require(self.images_with_stored())
        return dataclasses.replace(self, stored=stored)

    def micro_batch(self, step: int, part: int) -> RawBatch:
        """This rank's share of the part-th micro-batch of a step."""
        labeled = self._positions(step, part, self.recipe.labeled_batch)
        unlabeled = self._positions(step, part, self.recipe.unlabeled_batch)
        return RawBatch(
            labeled=self._crops(self.labeled, labeled, num_strong=int(self.views.labeled_strong)),
            unlabeled=tuple(self._crops(stream, unlabeled, num_strong=self.views.strong) for stream in self.unlabeled),
            boxes=self._boxes(self.views.boxes, unlabeled) if self.views.boxes and self.unlabeled else None,
        )

    def images_of(self, step: int) -> tuple[str, ...]:
        """The images of a step over all ranks, labelled ones first, for messages."""
        labeled, unlabeled = self.recipe.labeled_batch, self.recipe.unlabeled_batch
        return (
            *(self.labeled.image_id(at) for at in range(step * labeled, (step + 1) * labeled)),
            *(each.image_id(at) for each in self.unlabeled for at in range(step * unlabeled, (step + 1) * unlabeled)),
        )

    def _positions(self, step: int, part: int, batch: int) -> range:
        share = batch // (self.recipe.accumulate * self.world_size)
        start = step * batch + part * share * self.world_size + self.rank * share
        return range(start, start + share)

    def _crops(self, stream: Stream, positions: range, *, num_strong: int) -> Crops:
        ids = tuple(stream.image_id(position) for position in positions)
        augment = self.recipe.augment
        names = self.views.stored if stream is not self.labeled or self.views.labeled_stored else ()
        cut = [self._crop(stream, each, at, augment, names) for each, at in zip(ids, positions, strict=True)]
        images, labels, valid, *stored = (torch.stack(parts) for parts in zip(*cut, strict=True))
        strong = tuple(
            tuple(
                draw_strong(generator(self.seed, "strong", stream.name, view, at), augment.strong) for at in positions
            )
            for view in range(num_strong)
        )
        colours = augment.distort
        distort = (
            tuple(draw_distort(generator(self.seed, "distort", stream.name, at), colours) for at in positions)
            if colours
            else ()
        )
        masks = dict(zip(names, stored, strict=True))
        return Crops(images=images, labels=labels, valid=valid, distort=distort, strong=strong, ids=ids, stored=masks)

    def _crop(
        self, stream: Stream, image_id: str, position: int, augment: Augment, names: tuple[str, ...]
    ) -> tuple[torch.Tensor, ...]:
        """Image, labels, where they are an image's, and the stored masks of these names."""
        image, mask = self.source.read(image_id, self.places)
        rng = generator(self.seed, "crop", stream.name, position)
        geometry = draw_geometry(rng, mask.shape[0], mask.shape[1], augment)
        stored = [self.stored[name].read(image_id, mask.shape) for name in names]
        return (
            *apply_geometry(image, mask, geometry, augment.crop),
            *(apply_to_mask(each, geometry, augment.crop) for each in stored),
        )

    def _boxes(self, boxes: Boxes, positions: range) -> torch.Tensor:
        height, width = self.recipe.augment.crop
        return torch.from_numpy(
            np.stack([draw_boxes(generator(self.seed, "boxes", at), height, width, boxes) for at in positions])
        )


class _Steps(Dataset[list[RawBatch] | AssayError]):
    """All micro-batches of a step, by step; or why there are none."""

    def __init__(self, plan: BatchPlan) -> None:
        self.plan = plan

    def __getitem__(self, step: int) -> list[RawBatch] | AssayError:
        try:
            return [self.plan.micro_batch(step, part) for part in range(self.plan.recipe.accumulate)]
        except AssayError as error:
            return error  # raised in a loader process, it would arrive wrapped in that process's traceback


def _leave_signals_to_the_trainer(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the trainer still needs batches to stop in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _started(loader: DataLoader[list[RawBatch] | AssayError]) -> Iterator[list[RawBatch] | AssayError]:
    """The loader's processes, deaf to Ctrl-C from their first moment: they import for seconds before they ask us."""
    if not loader.num_workers:
        return iter(loader)
    multiprocessing.set_forkserver_preload(["torchvision.transforms.v2"])  # imported once, not by every process
    resource_tracker.ensure_running()  # the loader would start it, and starting it lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited by what is started here
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def batches(plan: BatchPlan, steps: Sequence[int], *, workers: int = 0) -> Iterator[list[RawBatch]]:
    """The micro-batches of each of `steps`, in order."""
    loader = DataLoader(
        _Steps(plan),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_leave_signals_to_the_trainer,
    )
    for found in _started(loader):
        if isinstance(found, AssayError):
            raise found
        yield found


def on_device(
    raw: RawBatch,
    views: Views,
    augment: Augment,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Batch:
    """What the method sees: distortion, strong operators, boxes and normalisation are done on the training device."""

    def finished(images: torch.Tensor) -> torch.Tensor:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return normalize(images, dtype=dtype).contiguous(memory_format=layout)

    labeled = raw.labeled
    images, valid = labeled.images.to(device, non_blocking=True), labeled.valid.to(device, non_blocking=True)
    return Batch(
        labeled=Labeled(
            weak=finished(_distorted(images, valid, labeled)),
            label=labeled.labels.to(device, non_blocking=True).long(),
            valid=valid,
            strong=finished(apply_strong(images, labeled.strong[0])) if labeled.strong else None,
            stored=_stored(labeled, device=device),
        ),
        unlabeled=tuple(_unlabeled(each, finished, device=device) for each in raw.unlabeled),
        boxes=None if raw.boxes is None else _painted(raw.boxes, views, augment, device=device),
    )


def _unlabeled(crops: Crops, finished: Callable[[torch.Tensor], torch.Tensor], *, device: torch.device) -> Unlabeled:
    images, valid = crops.images.to(device, non_blocking=True), crops.valid.to(device, non_blocking=True)
    return Unlabeled(
        weak=finished(_distorted(images, valid, crops)),
        strong=tuple(finished(apply_strong(images, draws)) for draws in crops.strong),
        valid=valid,
        truth=crops.labels.to(device, non_blocking=True).long(),
        stored=_stored(crops, device=device),
    )


def _distorted(images: torch.Tensor, valid: torch.Tensor, crops: Crops) -> torch.Tensor:
    """The weak views; padding stays the mean colour, since only an image has colours to distort."""
    if not crops.distort:
        return images
    return torch.where(valid.unsqueeze(1), apply_distort(images, crops.distort), images)


def _stored(crops: Crops, *, device: torch.device) -> dict[str, torch.Tensor]:
    return {name: masks.to(device, non_blocking=True).long() for name, masks in crops.stored.items()}


def _painted(boxes: torch.Tensor, views: Views, augment: Augment, *, device: torch.device) -> BoxMaps:
    """Painted on the host, where the boxes were drawn: reading their edges back from a GPU would wait for it."""
    assert views.boxes is not None
    mask, owner = paint(boxes, *augment.crop, views.boxes.rule)
    return BoxMaps(mask=mask.to(device, non_blocking=True), owner=owner.to(device, non_blocking=True))
